"""Signatures: every way to be right, and many to be wrong."""

from __future__ import annotations

import ast
import shutil
import subprocess
from base64 import b64encode
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.receiver import signatures
from pipelines.receiver.signatures import Scheme, is_signed, sign

SECRET = b"a secret of some length"
BODY = b'{"message":{"id":"wamid.1"}}'
HEX = Scheme()
BASE64 = Scheme(encoding="base64")
# RFC 4231, test cases 1 and 2.
VECTORS = [
    (
        b"\x0b" * 20,
        b"Hi There",
        "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
    ),
    (
        b"Jefe",
        b"what do ya want for nothing?",
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    ),
]


@pytest.mark.parametrize(("secret", "body", "expected"), VECTORS)
def test_published_vectors_are_right(secret: bytes, body: bytes, expected: str) -> None:
    assert sign(body, secret) == expected.encode()
    assert is_signed(body, [expected.encode()], [secret], HEX)


@pytest.mark.skipif(not shutil.which("openssl"), reason="there is no openssl here to compare with")
@pytest.mark.parametrize("body", [BODY, b"\x00\xff" * 500, "ñandú €".encode(), b"a\r\n"])
def test_openssl_signs_alike(body: bytes) -> None:
    command = ["openssl", "dgst", "-sha256", "-mac", "HMAC", "-macopt", f"hexkey:{SECRET.hex()}"]
    text = subprocess.run([*command, "-r"], input=body, capture_output=True, check=True).stdout
    binary = subprocess.run([*command, "-binary"], input=body, capture_output=True, check=True)
    assert sign(body, SECRET, HEX) == text.split()[0]
    assert sign(body, SECRET, BASE64) == b64encode(binary.stdout)


RIGHT = sign(BODY, SECRET)


@pytest.mark.parametrize(
    "value",
    [RIGHT, b"sha256=" + RIGHT, RIGHT.upper(), b"  " + RIGHT + b" "],
    ids=["plain", "prefix", "upper case", "blanks around"],
)
def test_ways_to_be_right(value: bytes) -> None:
    assert is_signed(BODY, [value], [SECRET], HEX)


WRONG: dict[str, list[bytes]] = {
    "missing": [],
    "empty": [b""],
    "blank": [b" "],
    "only the prefix": [b"sha256="],
    "short": [RIGHT[:-1]],
    "long": [RIGHT + b"0"],
    "first digit": [bytes([RIGHT[0] ^ 1]) + RIGHT[1:]],
    "last digit": [RIGHT[:-1] + bytes([RIGHT[-1] ^ 1])],
    "not hex": [b"z" * 64],
    "not ASCII": ["é".encode() * 32],
    "Latin-1": [b"\xe9" * 64],
    "NUL": [RIGHT[:-1] + b"\x00"],
    "blank inside": [RIGHT[:32] + b" " + RIGHT[32:]],
    "twice there": [RIGHT, RIGHT],
    "right and wrong": [RIGHT, b"0" * 64],
    "wrong and right": [b"0" * 64, RIGHT],
    "joined by a comma": [RIGHT + b"," + RIGHT],
    "another secret": [sign(BODY, b"another secret")],
    "empty secret": [sign(BODY, b"")],
    "another body": [sign(BODY + b" ", SECRET)],
    "prefix twice": [b"sha256=sha256=" + RIGHT],
    "another prefix": [b"sha1=" + RIGHT],
    "prefix in capitals": [b"SHA256=" + RIGHT],
    "base64 where hex is due": [sign(BODY, SECRET, BASE64)],
    "huge": [b"0" * 100_000],
    "Python's bytes": [repr(RIGHT).encode()],
}


@pytest.mark.parametrize("values", WRONG.values(), ids=WRONG)
def test_ways_to_be_wrong(values: list[bytes]) -> None:
    assert not is_signed(BODY, values, [SECRET], HEX)


def test_either_of_two_secrets_is_right_and_a_third_is_not() -> None:
    new, old = b"the new secret", b"the old secret"
    assert is_signed(BODY, [sign(BODY, new)], [new, old], HEX)
    assert is_signed(BODY, [sign(BODY, old)], [new, old], HEX)
    assert not is_signed(BODY, [sign(BODY, old)], [new], HEX)
    assert not is_signed(BODY, [sign(BODY, SECRET)], [new, old], HEX)
    assert not is_signed(BODY, [sign(BODY, SECRET)], [], HEX)


def test_base64_and_a_prefix_of_its_own() -> None:
    scheme = Scheme(prefix=b"v1=", encoding="base64")
    value = sign(BODY, SECRET, scheme)
    assert value.startswith(b"v1=")
    assert is_signed(BODY, [value], [SECRET], scheme)
    assert not is_signed(BODY, [value.removeprefix(b"v1=")], [SECRET], scheme)
    assert not is_signed(BODY, [value.swapcase()], [SECRET], scheme)
    assert not is_signed(BODY, [b"sha256=" + sign(BODY, SECRET)], [SECRET], Scheme(prefix=b""))


@given(st.binary(max_size=200), st.binary(min_size=1, max_size=80), st.binary(max_size=80))
def test_what_is_signed_is_right_and_anything_else_is_no_error(
    body: bytes, secret: bytes, junk: bytes
) -> None:
    for scheme in (HEX, BASE64, Scheme(prefix=b"p:")):
        assert is_signed(body, [sign(body, secret, scheme)], [secret], scheme)
        assert not is_signed(body, [junk], [secret], scheme)


def test_signatures_are_compared_in_one_way_only_and_nothing_is_parsed() -> None:
    tree = ast.parse(Path(signatures.__file__).read_text())
    compared = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Eq | ast.NotEq)
    ]
    texts = [ast.unparse(node) for node in compared]
    assert set(texts) == {
        "self.encoding == 'base64'",
        "self.encoding == 'hex'",
        "len(given) == 1",
    }
    assert "compare_digest" in ast.unparse(tree)
    imported = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    assert imported == {"hmac"}
