"""Who wrote a body: HMAC-SHA256 over its bytes as received, with a secret that two parties know.

    X-Webhook-Signature: 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae
    X-Webhook-Signature: sha256=2c26…          the prefix may be there

Signing stands beside checking, so that simulators and tests use the same code.
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

HEADER = "X-Webhook-Signature"
USUAL_PREFIX = b"sha256="


@dataclass(frozen=True)
class Scheme:
    """How a signature is written.

    Attributes:
        header: its name, in lower case.
        prefix: what stands before it; None: `sha256=`, or nothing.
        encoding: of the 32 bytes.
    """

    header: bytes = HEADER.lower().encode()
    prefix: bytes | None = None
    encoding: Literal["hex", "base64"] = "hex"

    def write(self, digest: bytes) -> bytes:
        """A digest as text, without the prefix."""
        return b64encode(digest) if self.encoding == "base64" else digest.hex().encode()

    def read(self, given: bytes) -> bytes:
        """What should be the digest's text, of a header's value; anything may come back."""
        text = given.strip()
        prefix = USUAL_PREFIX if self.prefix is None else self.prefix
        if text.startswith(prefix):
            text = text[len(prefix) :]
        elif self.prefix is not None:
            return b""
        return text.lower() if self.encoding == "hex" else text


def sign(body: bytes, secret: bytes, scheme: Scheme = Scheme()) -> bytes:
    """The header's value for a body."""
    digest = hmac.digest(secret, body, "sha256")
    return (scheme.prefix or b"") + scheme.write(digest)


def is_signed(
    body: bytes, given: Sequence[bytes], secrets: Sequence[bytes], scheme: Scheme
) -> bool:
    """Whether a body was signed with one of the secrets.

    All are tried, also after one was right: the time it takes tells nothing.

    Args:
        given: the values of the signature's header. Only exactly one is accepted.
    """
    text = scheme.read(given[0]) if len(given) == 1 else b""
    is_right = False
    for secret in secrets:
        expected = scheme.write(hmac.digest(secret, body, "sha256"))
        is_right |= hmac.compare_digest(expected, text)
    return is_right
