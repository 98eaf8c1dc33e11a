"""From a provider's rows to the Arrow tables that dlt loads.

Every field lands as text. On dlt's Arrow path a column whose type changes is a load that fails
for good, and providers do change types; the models cast, and a cast that fails is a null there.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from pipelines.provider import REJECTED, Row, Table
from pipelines.salvage import REMOVED, Unreadable, redacted

if TYPE_CHECKING:
    import pyarrow as pa

_LINK = re.compile(r"(\bURL: )https?://\S+")


MOST_OF_ID = 500
"""Characters of an id. PostgreSQL takes keys of 2,700 bytes: one that is longer fails its load."""


class Record(NamedTuple):
    """One row, ready to load: `values` in the order of the table's columns."""

    id: str
    values: tuple[str | None, ...]
    payload: str
    row_hash: str
    fetched_at: datetime

    @property
    def size(self) -> int:
        """Characters of what it says."""
        return len(self.payload) + sum(map(len, filter(None, self.values)))


class Lander:
    """Turns rows of one table into records. Made once per table: paths are split here.

    A row is gone through by the keys it has, which are fewer than the columns there are.
    """

    def __init__(self, table: Table) -> None:
        self.table = table
        self._places: dict[str, int] = {}
        self._blocks: dict[str, dict[str, int]] = {}
        for place, path in enumerate(table.fields.values()):
            parent, _, key = path.partition(".")
            places = self._blocks.setdefault(parent, {}) if key else self._places
            places[key or parent] = place
        self._identity = table.columns.index("id")
        self._secrets = _by_root(table.secrets)
        self._quotes = [tuple(path.split(".")) for path in table.quotes]
        self._links = [tuple(path.split(".")) for path in table.links]
        self._secret_keys = frozenset(path.split(".")[-1] for path in table.secrets)

    def record(self, row: Row, fetched_at: datetime) -> Record:
        """The record of one row without secrets.

        Raises:
            ValueError: the row has no id, or none that can be a key.
        """
        if row.get("id") in (None, ""):
            raise ValueError("no id")
        values: list[str | None] = [None] * len(self.table.fields)
        rest = _spread(row, self._places, values)
        for parent, places in self._blocks.items():
            block = rest.get(parent)
            if isinstance(block, dict):
                rest[parent] = _spread(block, places, values)
                if not rest[parent]:
                    del rest[parent]
        payload = orjson.dumps(rest).decode()
        identity = str(values[self._identity])
        if len(identity) > MOST_OF_ID:
            raise ValueError(f"an id of more than {MOST_OF_ID} characters")
        return Record(identity, tuple(values), payload, digest([*values, payload]), fetched_at)

    def remove_secrets(self, row: Row) -> None:
        """Take out of a row what must not reach the warehouse, also where a text quotes it."""
        removed = [
            secret
            for root, paths in self._secrets.items()
            if root in row
            for path in paths
            if (secret := _take_out(row, path))
        ]
        for path in self._quotes if removed else ():
            _change(row, path, lambda value: _without(value, removed))
        for path in self._links:
            _change(row, path, _without_link)

    def unreadable(self, row: Unreadable) -> Row:
        """The row of `rejected` for one that could not be decoded: its bytes, without secrets."""
        return _rejected(self.table.name, row.reason, redacted(row.text, self._secret_keys))


def as_text(value: Any) -> str | None:
    """A field as text: strings as they are, everything else as JSON."""
    if value is None or isinstance(value, str):
        return value
    return orjson.dumps(value).decode()


def _spread(row: Row, places: dict[str, int], values: list[str | None]) -> Row:
    """Put a row's fields where they belong; return what has no place."""
    rest = {}
    for key, value in row.items():
        place = places.get(key)
        if place is None:
            rest[key] = value
        elif value is not None:
            values[place] = value if type(value) is str else as_text(value)
    return rest


def _by_root(paths: Iterable[str]) -> dict[str, list[tuple[str, ...]]]:
    """Paths, split, by their first key."""
    found: dict[str, list[tuple[str, ...]]] = {}
    for path in paths:
        keys = tuple(path.split("."))
        found.setdefault(keys[0], []).append(keys)
    return found


def _parent(row: Any, path: Sequence[str]) -> Row | None:
    """The object that holds the last key of a path; None when the row has no such place."""
    for parent in path[:-1]:
        row = row.get(parent) if isinstance(row, dict) else None
    return row if isinstance(row, dict) and row.get(path[-1]) not in (None, "") else None


def _take_out(row: Row, path: Sequence[str]) -> str | None:
    """Replace the value at a path by `REMOVED`; return it when it was a text."""
    holder = _parent(row, path)
    if holder is None:
        return None
    secret, holder[path[-1]] = holder[path[-1]], REMOVED
    return secret if isinstance(secret, str) else None


def _change(row: Row, path: Sequence[str], change: Callable[[Any], Any]) -> None:
    holder = _parent(row, path)
    if holder is not None:
        holder[path[-1]] = change(holder[path[-1]])


def _without_link(value: Any) -> Any:
    if not isinstance(value, str) or "URL: http" not in value:
        return value
    return _LINK.sub(rf"\1{REMOVED}", value)


def _without(value: Any, secrets: Sequence[str]) -> Any:
    """A value, whatever its shape, with every quoted secret replaced."""
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, REMOVED)
        return value
    if isinstance(value, dict):
        return {key: _without(item, secrets) for key, item in value.items()}
    return [_without(item, secrets) for item in value] if isinstance(value, list) else value


def scrub(
    body: Any, *, secrets: frozenset[str], media: frozenset[str], links: frozenset[str]
) -> Any:
    """A webhook's body without secrets, whatever its form; it is changed in place.

    Args:
        secrets: keys whose values are removed wherever they stand.
        media: keys of objects whose `url` and `link` are removed.
        links: keys of texts in which links written as `URL: …` are removed.
    """
    removed: list[str] = []
    _scrub(body, secrets, media, links, removed)
    return _without(body, removed) if removed else body


def _scrub(
    value: Any,
    secrets: frozenset[str],
    media: frozenset[str],
    links: frozenset[str],
    removed: list[str],
) -> None:
    if isinstance(value, list):
        for item in value:
            _scrub(item, secrets, media, links, removed)
    if not isinstance(value, dict):
        return
    for key, item in value.items():
        paths = [(key, name) for name in ("url", "link")] if key in media else []
        paths += [(key,)] if key in secrets else []  # type: ignore[list-item]
        removed += [found for path in paths if (found := _take_text(value, path))]
        if key in links:
            value[key] = _without_link(item)
        _scrub(value[key], secrets, media, links, removed)


def _take_text(row: Row, path: Sequence[str]) -> str | None:
    """As `_take_out`, but an object stays, to be looked through."""
    holder = _parent(row, path)
    return None if holder is None or isinstance(holder[path[-1]], dict) else _take_out(row, path)


def digest(values: Sequence[str | None]) -> str:
    return hashlib.blake2b(orjson.dumps(values), digest_size=12).hexdigest()


def rejected(resource: str, reason: str, row: Any) -> Row:
    """The row of `raw_<room>.rejected` that keeps a row which could not be landed, whole."""
    return _rejected(resource, reason, orjson.dumps(row).decode())


def _rejected(resource: str, reason: str, body: str) -> Row:
    return {
        "id": digest([resource, body]),
        "@resource": resource,
        "@reason": reason,
        "@body": body,
    }


def land(
    lander: Lander, rows: Iterable[Any], fetched_at: datetime
) -> tuple[list[Record], list[Row]]:
    """The records of a page, and the rows of `rejected` for what could not be landed."""
    records: list[Record] = []
    bad: list[Row] = []
    for row in rows:
        if isinstance(row, Unreadable):
            bad.append(lander.unreadable(row))
            continue
        if not isinstance(row, dict):
            bad.append(rejected(lander.table.name, "not an object", row))
            continue
        lander.remove_secrets(row)
        try:
            records.append(lander.record(row, fetched_at))
        except ValueError as error:
            bad.append(rejected(lander.table.name, str(error), row))
    return records, bad


def arrow(table: Table, account: str, records: Sequence[Record]) -> pa.Table:
    """An Arrow table of the records, in the columns of the raw table."""
    import pyarrow as pa  # only a sync needs it

    columns = zip(*(record.values for record in records), strict=True)
    arrays = {
        "account": pa.array([account] * len(records), pa.string()),
        **{
            name: pa.array(values, pa.string())
            for name, values in zip(table.columns, columns, strict=True)
        },
        "payload": pa.array([record.payload for record in records], pa.string()),
        "row_hash": pa.array([record.row_hash for record in records], pa.string()),
        "fetched_at": pa.array(
            [record.fetched_at for record in records], pa.timestamp("us", "UTC")
        ),
    }
    keys = ("account", "id")
    schema = [pa.field(name, array.type, name not in keys) for name, array in arrays.items()]
    return pa.table(list(arrays.values()), schema=pa.schema(schema))


REJECTED_LANDER = Lander(REJECTED)
