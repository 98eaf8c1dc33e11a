"""One bad row costs one row: EXT-16 and EXT-17."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.provider import Table, fields
from pipelines.reading.landing import Lander, land
from pipelines.salvage import REMOVED, Unreadable, decode, redacted, salvage, salvage_one

BAD = {
    "bytes that are no UTF-8": b'{"id":"bad","text":"\xff\xfe"}',
    "a byte order mark": b'\xef\xbb\xbf{"id":"bad"}',
    "NaN": b'{"id":"bad","cost":NaN}',
    "Infinity": b'{"id":"bad","cost":-Infinity}',
    "an integer of 5,000 digits": b'{"id":"bad","n":' + b"9" * 5000 + b"}",
    "a number that is no double": b'{"id":"bad","n":1e400}',
    "half of a surrogate pair": rb'{"id":"bad","text":"\ud800"}',
    "a NUL": rb'{"id":"bad","text":"a\u0000b"}',
    "a key that stands twice": b'{"id":"bad","text":"a","text":"b"}',
    "an integer beyond 64 bits": b'{"id":"bad","n":18446744073709551616}',
    "a raw NUL": b'{"id":"bad","text":"a\x00b"}',
    "2,000 levels": b'{"id":"bad","deep":' + b"[" * 2000 + b"]" * 2000 + b"}",
    "300 levels": b'{"id":"bad","deep":' + b"[" * 300 + b"]" * 300 + b"}",
    "no value": b'{"id":"bad","text":}',
}
GOOD = (
    rb'{"id":"1","text":"a, [b] {c} \" \\u0000 \u003a","tags":["x",{"y":[1,2]}]}',
    b'{"id":"2","n":18446744073709551615,"text":""}',
)
AT = datetime(2026, 1, 1, tzinfo=UTC)


def page(*rows: bytes) -> bytes:
    return b'{"data": [' + b" ,\n ".join(rows) + b'], "meta":{"cursor":"next","sizes":[1]} }'


@pytest.mark.parametrize("name", BAD)
def test_a_bad_row_is_set_aside_with_its_bytes_and_the_others_stay(name: str) -> None:
    body = salvage(page(GOOD[0], BAD[name], GOOD[1]))
    first, bad, last = body["data"]
    assert [first, last] == [orjson.loads(row) for row in GOOD]
    assert isinstance(bad, Unreadable)
    assert bad.raw.strip() == BAD[name]
    assert body["meta"] == {"cursor": "next", "sizes": [1]}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_row_is_never_decoded_as_if_it_were_good(name: str) -> None:
    try:
        body = decode(page(BAD[name]))
    except ValueError:
        return  # asked for again first
    assert isinstance(body["data"][0], Unreadable)


@pytest.mark.parametrize("name", sorted(BAD.keys() - {"2,000 levels", "no value"}))
def test_a_bad_row_still_tells_its_id(name: str) -> None:
    assert Unreadable(BAD[name], "bad").id == "bad"


@pytest.mark.parametrize(
    "raw", [b"", b"7", b"{}", b'{"id":NaN}', b'{"id":""}', rb'{"id":"\ud83d"}', b'{"id":"a\xff"}']
)
def test_an_id_that_is_no_good_text_is_none(raw: bytes) -> None:
    assert Unreadable(raw, "bad").id is None


def test_the_reason_tells_nothing_of_the_row() -> None:
    reasons = {row.reason for raw in BAD.values() for row in salvage(page(raw))["data"]}
    assert len(reasons) > 5
    assert not any("bad" in reason or "999" in reason for reason in reasons)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>[1]</html>",
        page(*GOOD)[:-20],
        page(*GOOD)[:40],
        b'{"data":[1],"meta":NaN}',
        b'{"data":[1],"data":[2]}',
        rb'{"data":[1],"meta":{"cursor":"a\u0000"}}',
    ],
)
def test_what_stands_around_the_rows_must_be_good(body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - orjson's own words
        salvage(body)


def test_an_answer_about_one_thing_is_taken_whole_or_not_at_all() -> None:
    assert decode(b'{"data":{"tags":["\\u003a"]}}', has_rows=False) == {"data": {"tags": [":"]}}
    with pytest.raises(ValueError, match="twice"):
        decode(b'{"data":{"tags":[{"a":1,"a":2}]}}', has_rows=False)


@pytest.mark.parametrize(
    "name",
    [
        "bytes that are no UTF-8",
        "NaN",
        "half of a surrogate pair",
        "a NUL",
        "a raw NUL",
        "a key that stands twice",
        "an integer beyond 64 bits",
        "300 levels",
    ],
)
def test_one_thing_that_is_not_quite_json_is_set_aside_whole(name: str) -> None:
    body = b'{"data":' + BAD[name] + b',"meta":{"id":1},"ok":true}'
    found = salvage_one(body)
    assert isinstance(found["data"], Unreadable)
    assert found["data"].raw == body
    assert "bad" not in found["data"].reason


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"data":{"id":1', b"[NaN]", b'{"data":}'])
def test_what_is_no_answer_about_one_thing_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - orjson's own words
        salvage_one(body)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.floats(-9, 9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)


@given(json_values, st.booleans(), st.sampled_from([None, 2]))
def test_good_json_is_decoded_as_it_is(value: Any, ascii_only: bool, indent: int | None) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    if "\\u0000" in text.replace("\\\\", ""):
        return
    body = text.encode()
    assert decode(body) == orjson.loads(body)
    assert salvage(body) == orjson.loads(body)


@given(st.binary(max_size=60))
def test_no_bytes_make_it_stumble(noise: bytes) -> None:
    for body in (noise, page(GOOD[0], noise)):
        try:
            salvage(body)
        except ValueError:
            continue


TABLE = Table("things", fields("id"), secrets=("mediaKey", "image.url"))


def test_what_is_set_aside_holds_no_secret_and_can_be_read() -> None:
    raw = (
        b'{"id":NaN,"mediaKey" : "k\\"ey-4711","image":{"url":"plain-4712"},'
        b'"text":"URL: https://cdn.example/4713 \xff","also":"http:\\/\\/x\\/4714"}'
    )
    (bad,) = land(Lander(TABLE), [Unreadable(raw, "not JSON")], AT)[1]
    assert not any(secret in bad["@body"] for secret in ("4711", "4712", "4713", "4714"))
    assert bad["@body"].count(REMOVED) == 4
    assert bad["@body"].startswith('{"id":NaN')
    assert r"\xff" in bad["@body"]
    assert (bad["@resource"], bad["@reason"]) == ("things", "not JSON")


@pytest.mark.parametrize(
    "headers",
    [
        '{"Authorization": "Bearer CANARY"}',
        '{"a": "}", "Authorization": "Bearer CANARY"}',
        '{"a": {"b": ["x", 1]}, "Authorization": ["Bearer CANARY"]}',
        '[{"name": "Authorization", "value": "Bearer CANARY"}]',
        '{"Authorization": "Bearer CANARY',
    ],
)
def test_a_secret_that_is_an_object_is_taken_out_whole(headers: str) -> None:
    told = redacted(f'{{"id": 1, "headers": {headers}, "active": true}}', frozenset({"headers"}))
    assert "CANARY" not in told
    assert told.startswith('{"id": 1, "headers": "[removed]"')
    if headers.endswith(("}", "]")) and headers.count("{") < 2:
        assert told.endswith('"active": true}')
