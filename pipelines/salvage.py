"""Decoding a page so that one bad row costs one row, and nothing is changed in silence.

orjson refuses what JSON is not (NaN, a lone surrogate, bytes that are no UTF-8, …) and takes three
things that it or a database would change: of two equal keys it keeps the last, an integer beyond
64 bits becomes a float, and a NUL in a text is more than Postgres can hold. A row with any of
these is set aside whole, as an `Unreadable`; the other rows of its page are as they were sent.

A page is split at its commas and brackets, on bytes: the arrays that stand in no other array hold
the rows. What is left, the paging, must be good JSON, or there is no telling where to read on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import orjson

BOM = b"\xef\xbb\xbf"

REMOVED = "[removed]"
"""Stands where a secret stood, so that the field still shows it was there."""

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+"|[\[\]{},]', re.DOTALL)
_OPENING = (b"[", b"{")
_CLOSING = (b"]", b"}")
_LONG_INTEGER = re.compile(rb"[:\[,]\s*-?\d{19}")
_LINK = re.compile(r"https?:(?:\\?/|\\u002[fF]){2}[^\s\"]*")
_MOST, _LEAST = 2**64, -(2**63)


class Unreadable(dict[str, Any]):
    """A row that could not be decoded: empty to whoever looks for a field in it.

    Attributes:
        raw: the bytes of the row.
        reason: what is wrong with them; never a part of them.
    """

    def __init__(self, raw: bytes, reason: str) -> None:
        super().__init__()
        self.raw, self.reason = raw, reason

    @property
    def id(self) -> str | None:
        """The id it tells, so that what hangs on it can be asked for; None when it tells none."""
        text = self.raw.removeprefix(BOM).decode("utf-8", "surrogateescape")
        try:
            row = json.loads(text, strict=False, parse_int=str)
        except (ValueError, RecursionError):
            return None
        identity = row.get("id") if isinstance(row, dict) else None
        is_good = isinstance(identity, str) and identity.isprintable()
        return identity or None if is_good else None

    @property
    def text(self) -> str:
        """The bytes as text that every database can hold; what is no UTF-8 reads `\\xff`."""
        return self.raw.decode("utf-8", "backslashreplace").replace("\x00", "\\x00")


def decode(body: bytes, *, has_rows: bool = True) -> Any:
    """The body as JSON types; rows that would be changed by decoding are `Unreadable`.

    Raises:
        ValueError: it is not JSON, or would be changed outside its rows.
    """
    decoded = orjson.loads(body)
    if _is_plain(body, decoded):
        return decoded
    if has_rows:
        return salvage(body)
    if problem := _problem(body):
        raise ValueError(problem)
    return decoded


def salvage(body: bytes) -> Any:
    """The body as JSON types, whatever some of its rows are: the bad ones are `Unreadable`.

    Raises:
        ValueError: the body is cut off, or what stands around its rows is not JSON.
    """
    envelope, arrays = _split(body.removeprefix(BOM))
    decoded = orjson.loads(envelope)
    if problem := _problem(envelope):
        raise ValueError(problem)
    return _filled(decoded, arrays)


def salvage_one(body: bytes) -> Any:
    """The body of an answer about one thing; where decoding would lose something of it, each object
    of the envelope is `Unreadable`, as the whole body.

    Raises:
        ValueError: no such answer: the body is cut off, or no JSON object.
    """
    try:
        return decode(body, has_rows=False)
    except ValueError as error:
        reason = str(error)
    try:
        envelope = json.loads(body.decode("utf-8", "replace"), strict=False)
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not isinstance(envelope, dict):
        raise ValueError(reason)  # noqa: TRY004 - the bytes are wrong, not the argument
    objects = [key for key, value in envelope.items() if isinstance(value, dict)]
    return {key: Unreadable(body, reason) for key in objects}


def _is_plain(body: bytes, decoded: Any) -> bool:
    """Whether decoding kept everything: a quick look, wrong only in sending too much to `salvage`.

    Every key has one colon, and a colon in a text is written as it is, so a key that was dropped
    shows in their number.
    """
    try:
        written = orjson.dumps(decoded)
    except TypeError:  # nested deeper than it can be written
        return False
    if b"\\u0000" in body:
        return False
    return written == body or (
        not any(colon in body for colon in (b"\\u003a", b"\\u003A"))
        and body.count(b":") == written.count(b":")
        and _LONG_INTEGER.search(body) is None
    )


def _split(body: bytes) -> tuple[bytes, list[list[bytes]]]:
    """The body with a number in each outermost array, and what stood in that array."""
    arrays: list[list[bytes]] = []
    envelope = bytearray()
    kept = start = depth = 0
    for token in _TOKEN.finditer(body):
        mark = token[0]
        if depth == 0 and mark == b"[":
            envelope += body[kept : token.end()]
            arrays.append([])
            start, depth = token.end(), 1
        elif depth and mark in _OPENING:
            depth += 1
        elif depth and mark in _CLOSING:
            depth -= 1
            if depth == 0:
                arrays[-1].append(body[start : token.start()])
                envelope += str(len(arrays) - 1).encode()
                kept = token.start()
        elif depth == 1 and mark == b",":
            arrays[-1].append(body[start : token.start()])
            start = token.end()
    if depth:
        raise ValueError("cut off")
    return bytes(envelope + body[kept:]), [_without_blank(array) for array in arrays]


def _without_blank(array: list[bytes]) -> list[bytes]:
    return array if len(array) > 1 or array[0].strip() else []


def _filled(value: Any, arrays: Sequence[Sequence[bytes]]) -> Any:
    """The envelope with its arrays where their numbers stand."""
    if isinstance(value, list):
        return [_row(raw) for raw in arrays[value[0]]]
    if isinstance(value, dict):
        return {key: _filled(item, arrays) for key, item in value.items()}
    return value


def _row(raw: bytes) -> Any:
    try:
        row = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        return Unreadable(raw, f"not JSON: {error.msg}")
    problem = _problem(raw)
    return Unreadable(raw, problem) if problem else row


def _problem(raw: bytes) -> str | None:
    """What good JSON loses when it is decoded and stored; None when nothing."""
    try:
        decoded = json.loads(raw, object_pairs_hook=_unique, parse_int=_short)
        written = orjson.dumps(decoded)
    except (RecursionError, TypeError):
        return "nested too deep"
    except ValueError as error:
        return str(error)
    has_nul = b"\\u0000" in written.replace(b"\\\\", b"")
    return "a NUL in a text" if has_nul else None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice")
    return found


def _short(digits: str) -> int:
    number = int(digits)
    if not _LEAST <= number < _MOST:
        raise ValueError("an integer beyond 64 bits")
    return number


def redacted(text: str, keys: frozenset[str]) -> str:
    """The text of an unreadable row without secrets.

    There are no fields to look for secrets in. So the values of all keys with a secret's name are
    taken out, wherever they stand, and every web link.
    """
    return _LINK.sub(REMOVED, _value_of(keys).sub(rf'\1"{REMOVED}"', text) if keys else text)


def _value_of(keys: frozenset[str]) -> re.Pattern[str]:
    """Keys with what follows them: a text, a word, or an object or a list of no more than one
    below it; of any other, all that follows."""
    names = "|".join(re.escape(key) for key in sorted(keys))
    text = r'"(?:[^"\\]|\\.)*+"'
    flat = rf'[{{\[](?:{text}|[^"{{}}\[\]])*+[}}\]]'
    deep = rf'[{{\[](?:{text}|{flat}|[^"{{}}\[\]])*+[}}\]]'
    value = rf'{text}|[^\s,\[\]{{}}"]+|{deep}|[{{\[].*'
    return re.compile(rf'("(?:{names})"\s*:\s*)(?:{value})', re.DOTALL)
