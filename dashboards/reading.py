"""Runs the queries of `queries/` on the published marts, once per version of them.

A query is a file; its values are bound, never written into its text. `@name` in it stands for the
file `shared/name.sql`, which may name another, as a subquery: the rows that the filters leave.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any

import streamlit as st

from dashboards.state import Site
from pipelines.errors import DoblecheckError, NotPublished
from pipelines.warehouse.embedded import DuckDBWarehouse

SECONDS = 10.0
"""A query that takes longer is stopped."""

MEMORY = "2GB"
"""What the queries of all viewers may use together; beyond it they work on disk, or are stopped."""

Row = dict[str, Any]

log = logging.getLogger(__name__)


class QueryFailed(Exception):
    """A chart can't be drawn. `reason` is a key of the texts."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Version:
    """What is published: a name that changes with it, and when that was."""

    name: str
    published_at: datetime


@dataclass(frozen=True)
class Answer:
    """The rows of a query."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    def dicts(self) -> list[Row]:
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


class Reader:
    """Answers queries on one installation; one for all viewers, safe between threads."""

    def __init__(self, site: Site) -> None:
        self._warehouse = site.warehouse
        self._lock = threading.Lock()
        self._kept: tuple[str, ExitStack] | None = None

    def version(self) -> Version:
        """What readers see now.

        Raises:
            NotPublished: nothing.
        """
        newest = self._warehouse.newest()
        if newest is None:
            raise NotPublished("nothing is published", hint="run: doblecheck run")
        return Version(f"{newest.place} {newest.at.isoformat()}", newest.at)

    def answer(self, version: Version, name: str, values: Mapping[str, Any]) -> Answer:
        """The rows of a query on the newest version, which `version` was a moment ago.

        Raises:
            QueryFailed: it can't be answered.
        """
        sql, names = numbered(text(name))
        try:
            self._keep_open(version)
            with self._warehouse.reader() as connection:
                # What the engine itself says, before the warehouse puts it in words of its own.
                try:
                    return _asked(connection, sql, [_plain(values[key]) for key in names])
                except Exception as error:  # noqa: BLE001 - of two engines; its text may quote rows
                    raise _failed(name, error) from None
        except (DoblecheckError, OSError) as error:
            raise _failed(name, error) from None

    def _keep_open(self, version: Version) -> None:
        """Hold a snapshot open, so that the next query does not load it again.

        A server stays open by itself, and a transaction that waits there would be in its way.
        """
        if not isinstance(self._warehouse, DuckDBWarehouse):
            return
        with self._lock:
            if self._kept is not None and self._kept[0] == version.name:
                return
            stack = ExitStack()
            stack.enter_context(self._warehouse.reader(memory=MEMORY))
            if self._kept is not None:
                self._kept[1].close()
            self._kept = (version.name, stack)


def _asked(connection: Any, sql: str, values: list[Any]) -> Answer:
    stop = getattr(connection, "interrupt", None) or connection.cancel
    alarm = threading.Timer(SECONDS, stop)
    alarm.start()
    try:
        done = connection.execute(sql, values)
        columns = tuple(str(column[0]) for column in done.description)
        return Answer(columns, tuple(done.fetchall()))
    finally:
        alarm.cancel()


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


REASONS = {
    "InterruptException": "too_slow",
    "OutOfMemoryException": "too_large",
    "QueryCanceled": "too_slow",
    "CatalogException": "missing",
    "BinderException": "missing",
    "UndefinedTable": "missing",
    "UndefinedColumn": "missing",
    "InvalidSchemaName": "missing",
}


def _failed(name: str, error: Exception) -> QueryFailed:
    log.warning("query %s failed: %s", name, type(error).__name__)
    return QueryFailed(REASONS.get(type(error).__name__, "unreadable"))


@cache
def text(name: str) -> str:
    """A query as it is run."""
    sql = (files("dashboards") / "queries" / f"{name}.sql").read_text("utf-8")

    def shared(match: re.Match[str]) -> str:
        return f"(\n{text(f'shared/{match[1]}')}\n)"

    return re.sub(r"@(\w+)", shared, sql)


TYPES = {
    **dict.fromkeys(("from_day", "to_day", "pick_from", "pick_to"), "date"),
    **dict.fromkeys(("providers", "accounts", "channels", "agents", "message_ids"), "text []"),
    **dict.fromkeys(("only_first", "personal"), "boolean"),
    **dict.fromkeys(("pick_low", "pick_high"), "double precision"),
    **dict.fromkeys(("pick_weekday", "pick_hour", "limit"), "integer"),
}
"""What a name binds; text for the others. PostgreSQL does not guess the type of a null."""


@cache
def numbered(sql: str) -> tuple[str, tuple[str, ...]]:
    """A query with `$1` for its first name and so on, as both engines take it; and the names."""
    names = tuple(sorted(parameters(sql)))
    places = {n: f"cast(${i} as {TYPES.get(n, 'text')})" for i, n in enumerate(names, 1)}
    bare = re.sub(r"--[^\n]*", "", sql)
    return re.sub(r"\$([a-z_]\w*)", lambda match: places[match[1]], bare), names


@cache
def parameters(sql: str) -> frozenset[str]:
    """The names that a query binds."""
    return frozenset(re.findall(r"\$([a-z_]\w*)", re.sub(r"--[^\n]*", "", sql)))


@st.cache_resource(show_spinner=False)
def reader(_site: Site, key: str) -> Reader:
    """The reader of this installation."""
    return Reader(_site)


@st.cache_data(max_entries=2000, ttl=3600, show_spinner=False)
def cached(
    _reader: Reader,
    _version: Version,
    version_name: str,
    name: str,
    values: Sequence[tuple[str, Any]],
) -> Answer:
    """The rows of a query, asked once per published version and values."""
    return _reader.answer(_version, name, dict(values))
