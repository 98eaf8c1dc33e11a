"""Kapso's two families of lists: cursors of base64 JSON, and numbered pages."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, Literal

from pipelines.providers.kapso.simulator_story import Item, Key, Shelf
from pipelines.simulation import Answer, Asked, Refused, encode, keyset, moment, stamp, take, whole

Style = Literal["messages", "platform", "proxy", "graph"]
GRAPH_NEXT = "https://graph.facebook.com/v24.0/message_templates?access_token=SECRET&after="
"""Meta's links to a next page lead to another host and hold a token: not to be followed."""

Keep = Callable[[Any], bool]
Filters = Mapping[str, Callable[[str], Keep]]
"""Query parameter → from its value, whether an item passes."""


@dataclass(frozen=True)
class Listing(Generic[Item]):
    """What one list holds at one moment.

    Attributes:
        column: the time column that Kapso writes in the list's cursors.
        style: how `paging` looks: `next` repeats the cursor on messages and is null on the other
            platform lists; the proxy gives the cursor alone; Meta's own `next` is a link.
        bounds: first position and the one past the last.
    """

    shelf: Shelf[Item]
    bounds: tuple[int, int]
    column: str
    style: Style
    row: Callable[[Item], dict[str, Any]]
    filters: Filters


def by_cursor(asked: Asked, listing: Listing[Any], *, last_cursor: bool = True) -> Answer:
    """A page, newest first. With `last_cursor` the last page too names a next one, an empty one."""
    shelf = listing.shelf
    found, more = keyset(
        shelf.keys,
        limit=whole(asked.query, "limit", default=20, most=100),
        bounds=listing.bounds,
        after=key_of(asked.query.get("after"), shelf.keys),
        before=key_of(asked.query.get("before"), shelf.keys),
        keep=_keep(asked, listing),
    )
    rows = [listing.row(shelf.items[index]) for index in found]
    first = cursor_of(shelf.keys[found[0]], listing.column) if found else None
    named = found and (more or last_cursor)
    after = cursor_of(shelf.keys[found[-1]], listing.column) if named else None
    body = {"data": rows, "paging": _paging(listing.style, before=first, after=after, more=more)}
    return Answer(encode(body), cursor=after)


def by_page(
    asked: Asked,
    listing: Listing[Any],
    *,
    most_pages: int | None = None,
    default: int = 20,
    most_rows: int = 100,
) -> Answer:
    """A numbered page with `meta`, newest first: `most_rows` cuts it shorter without a word."""
    page = whole(asked.query, "page", default=1, most=most_pages)
    per_page = whole(asked.query, "per_page", default=default, most=100)
    size = min(per_page, most_rows)
    low, high = listing.bounds
    keep = _keep(asked, listing)
    indexes: Sequence[int] = range(high - 1, low - 1, -1)
    if keep:
        indexes = take(indexes, high, keep)
    start = (page - 1) * size
    rows = [listing.row(listing.shelf.items[i]) for i in indexes[start : start + size]]
    meta = {
        "page": page,
        "per_page": per_page,
        "total_pages": -(-len(indexes) // size),
        "total_count": len(indexes),
    }
    return Answer(encode({"data": rows, "meta": meta}))


def _paging(style: Style, *, before: str | None, after: str | None, more: bool) -> dict[str, Any]:
    if style == "proxy":
        return {"cursors": {"after": after} if after else {}}
    cursors = {"before": before, "after": after}
    if style == "graph":
        return {"cursors": cursors} | ({"next": GRAPH_NEXT + str(after)} if more else {})
    return {"cursors": cursors, "next": after if style == "messages" else None, "previous": None}


def _keep(asked: Asked, listing: Listing[Any]) -> Callable[[int], bool] | None:
    tests = [make(asked.query[n]) for n, make in listing.filters.items() if asked.query.get(n)]
    if not tests:
        return None
    items = listing.shelf.items
    return lambda index: all(test(items[index]) for test in tests)


def cursor_of(key: Key, column: str) -> str:
    values = {"values": [stamp(key[0], digits=6), str(key[1])], "columns": [column, "id"]}
    return b64encode(json.dumps(values, separators=(",", ":")).encode()).decode()


def key_of(cursor: str | None, keys: Sequence[Key]) -> Any:
    """The sort key in a cursor, None without one; nonsense is refused with 400."""
    if not cursor:
        return None
    try:
        at, id_ = json.loads(b64decode(cursor.replace(" ", "+"), validate=True))["values"]
        number = bool(keys) and isinstance(keys[0][1], int)
        return datetime.fromisoformat(at).astimezone(UTC), int(id_) if number else str(id_)
    except (ValueError, KeyError, TypeError, OverflowError):
        raise Refused(400, "Invalid cursor") from None


def since_and_until(
    asked: Asked, shelf: Shelf[Any], high: int, names: tuple[str, str]
) -> tuple[int, int]:
    """Positions between two times of the query, both included."""
    low = 0
    if since := moment(asked.query, names[0]):
        low = keyed_from(shelf, since)
    if until := moment(asked.query, names[1]):
        high = min(high, shelf.until(until))
    return low, high


def keyed_from(shelf: Shelf[Any], since: datetime) -> int:
    """The first position at or after `since`."""
    low, high = 0, len(shelf.keys)
    while low < high:
        middle = (low + high) // 2
        if shelf.keys[middle][0] < since:
            low = middle + 1
        else:
            high = middle
    return low


def created(when: Callable[[Any], Any]) -> Filters:
    """The two filters on the time of creation, both bounds included."""

    def after(value: str) -> Keep:
        bound = moment({"at": value}, "at")
        return lambda item: when(item) >= bound

    def before(value: str) -> Keep:
        bound = moment({"at": value}, "at")
        return lambda item: when(item) <= bound

    return {"created_after": after, "created_before": before}
