"""From a provider's rows to the Arrow tables that dlt loads.

Every field lands as text. On dlt's Arrow path a column whose type changes is a load that fails
for good, and providers do change types; the models cast, and a cast that fails is a null there.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson

from pipelines.provider import REJECTED, Row, Table
from pipelines.salvage import REMOVED, Unreadable, redacted

if TYPE_CHECKING:
    import pyarrow as pa

_LINK = re.compile(r"(\bURL: )https?://\S+")

ROWS_PER_TABLE = 20_000
"""dlt loads tables of 100 rows at a sixth of the speed."""


@dataclass(frozen=True)
class Record:
    """One row, ready to load: `values` in the order of the table's columns."""

    id: str
    values: tuple[str | None, ...]
    payload: str
    row_hash: str
    fetched_at: datetime


class Lander:
    """Turns rows of one table into records. Made once per table: paths are split here."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self._plain = [(name, path) for name, path in table.fields.items() if "." not in path]
        self._nested = [
            (name, *path.split(".", 1)) for name, path in table.fields.items() if "." in path
        ]
        self._secrets = [tuple(path.split(".")) for path in table.secrets]
        self._quotes = [tuple(path.split(".")) for path in table.quotes]
        self._links = [tuple(path.split(".")) for path in table.links]
        self._order = {name: i for i, name in enumerate(table.fields)}
        self._parents = frozenset(parent for _, parent, _ in self._nested)
        self._secret_keys = frozenset(path[-1] for path in self._secrets)

    def record(self, row: Row, fetched_at: datetime) -> Record:
        """The record of one row without secrets; the row is taken apart.

        Raises:
            ValueError: the row has no id.
        """
        if row.get("id") in (None, ""):
            raise ValueError("no id")
        values: list[str | None] = [None] * len(self._order)
        for name, key in self._plain:
            values[self._order[name]] = as_text(row.pop(key, None))
        for name, parent, key in self._nested:
            block = row.get(parent)
            if isinstance(block, dict):
                values[self._order[name]] = as_text(block.pop(key, None))
        rest = {key: value for key, value in row.items() if value != {} or key not in self._parents}
        payload = orjson.dumps(rest).decode()
        identity = str(values[self._order["id"]])
        return Record(identity, tuple(values), payload, _digest([*values, payload]), fetched_at)

    def remove_secrets(self, row: Row) -> None:
        """Take out of a row what must not reach the warehouse, also where a text quotes it."""
        removed = [secret for path in self._secrets if (secret := _take_out(row, path))]
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


def _parent(row: Any, path: Sequence[str]) -> Row | None:
    """The object that holds the last key of a path; None when the row has no such place."""
    *parents, key = path
    for parent in parents:
        row = row.get(parent) if isinstance(row, dict) else None
    return row if isinstance(row, dict) and row.get(key) not in (None, "") else None


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
    return _LINK.sub(rf"\1{REMOVED}", value) if isinstance(value, str) else value


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


def _digest(values: Sequence[str | None]) -> str:
    return hashlib.blake2b(orjson.dumps(values), digest_size=12).hexdigest()


def rejected(resource: str, reason: str, row: Any) -> Row:
    """The row of `raw_<room>.rejected` that keeps a row which could not be landed, whole."""
    return _rejected(resource, reason, orjson.dumps(row).decode())


def _rejected(resource: str, reason: str, body: str) -> Row:
    return {
        "id": _digest([resource, body]),
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
            records.append(lander.record(dict(row), fetched_at))
        except ValueError as error:
            bad.append(rejected(lander.table.name, str(error), row))
    return records, bad


def arrow(table: Table, account: str, records: Mapping[str, Record]) -> Iterator[pa.Table]:
    """Arrow tables of the records, in the columns of the raw table."""
    rows = list(records.values())
    for start in range(0, len(rows), ROWS_PER_TABLE):
        yield _arrow(table, account, rows[start : start + ROWS_PER_TABLE])


def _arrow(table: Table, account: str, rows: Sequence[Record]) -> pa.Table:
    import pyarrow as pa  # only a sync needs it

    columns = dict(zip(table.columns, zip(*(row.values for row in rows), strict=True), strict=True))
    arrays = {
        "account": pa.array([account] * len(rows), pa.string()),
        **{name: pa.array(values, pa.string()) for name, values in columns.items()},
        "payload": pa.array([row.payload for row in rows], pa.string()),
        "row_hash": pa.array([row.row_hash for row in rows], pa.string()),
        "fetched_at": pa.array([row.fetched_at for row in rows], pa.timestamp("us", "UTC")),
    }
    keys = ("account", "id")
    schema = [pa.field(name, array.type, name not in keys) for name, array in arrays.items()]
    return pa.table(list(arrays.values()), schema=pa.schema(schema))


REJECTED_LANDER = Lander(REJECTED)
