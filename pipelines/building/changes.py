"""What was loaded since the last build that passed its tests, by the rows themselves.

Neither times nor load ids are trusted: a sync may load after a build what it fetched before it, and
rows come in, change and go in other ways too. Each raw row has a fingerprint, of all its columns on
DuckDB, of its version on PostgreSQL; those of the rows that were built are kept. A row whose
fingerprint is not among them is new or changed, a fingerprint without a row was erased or changed.
Two passes over a table, no sort.

    intermediate.built_rows   the fingerprints of the rows that the last passed build saw
    intermediate.touched      kind and key of all that has to be recomputed: it only grows until a
                              build passes, so one that fails or is killed is taken up by the next
    intermediate.build_state  one row once a build passed: what it was made with
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata, resources
from importlib.resources.abc import Traversable
from pathlib import Path

from pipelines.events.webhook_tables import transaction
from pipelines.provider import SHARED_TABLES, Provider
from pipelines.warehouse import Connection

TABLES = {
    "touched": "kind text, key text",
    "built_rows": "source text, id text, fingerprint bigint",
    "build_state": "version text, settings text, as_of timestamptz, passed_at timestamptz",
}
"""Tables of the intermediate schema that are kept here → their columns."""

IDS = {
    "messages": "message_id",
    "conversations": "conversation_id",
    "calls": "call_id",
    "contacts": "contact_id",
    "broadcasts": "broadcast_id",
    "broadcast_recipients": "recipient_id",
}
"""Raw table of a room → what the models call the id of its rows."""

ABOUT = {
    "conversation_states": ("conversation_id", r"[|][^|]*$"),  # <conversation>|<time>
    "message_states": ("message_id", r"[|][^|]*$"),  # <message>|<status>
    "gone": ("contact_id", r"^contacts[|]"),  # contacts|<contact>
}
"""Raw table whose ids hold another id → its kind, and what to take off."""

HOOKS = (
    ("messages", "message_id", "message_id"),
    ("messages", "wa_message_id", "message_id"),
    ("message_statuses", "message_id", "message_id"),
    ("message_statuses", "wa_message_id", "message_id"),
    ("calls", "network_call_id", "call_id"),
    ("conversations", "conversation_id", "conversation_id"),
    ("conversation_events", "conversation_id", "conversation_id"),
    ("template_events", "event_key", "template_event"),
)
"""Table of `raw_webhooks`, a column that says what its rows are about, and the kind of that."""

SOURCES = "select distinct source from intermediate.built_rows"

WIDE = ("message_id", "conversation_id", "conversation_key", "identity_key", "thread_key")
"""The kinds of keys that the largest tables are looked through by."""

UNREAD = frozenset({"rejected", "message_cursors"})
"""Raw tables that no model reads."""

BUILD_CODE = ("phones.py", "business_time.py", "building/build.py", "building/changes.py")
"""What decides the content of prepared tables, besides the models."""


@dataclass(frozen=True)
class Watched:
    """A raw table, by one of its columns.

    Attributes:
        name: stands for the table and the column in `built_rows` and `touched`.
        kind: what the models know the column's values as.
        rest: a pattern to take off them first.
    """

    table: str
    column: str
    kind: str
    rest: str = ""

    @property
    def name(self) -> str:
        return f"{self.table}.{self.column}"


@dataclass(frozen=True)
class Made:
    """What a build is made with: when it differs from the last one's, everything is rebuilt."""

    version: str
    settings: str


def version() -> str:
    """A digest of the models, seeds and engines: another one means other numbers."""
    digest = hashlib.sha256()
    for package in ("dbt-core", "duckdb", "phonenumbers", "tzdata"):
        digest.update(f"{package} {_version_of(package)}\n".encode())
    here = Path(__file__).parents[1]
    for file in (*_project_files(resources.files("models")), *(here / n for n in BUILD_CODE)):
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def is_first(connection: Connection, made: Made) -> bool:
    """Whether no build passed yet that was made alike: then everything has to be built."""
    rows = connection.execute(
        "select 1 from intermediate.build_state where version = $1 and settings = $2",
        [made.version, made.settings],
    ).fetchall()
    return not rows


def begin_anew(connection: Connection) -> None:
    """Before a full build: until one passes, nothing counts as built."""
    with transaction(connection):
        for table in ("build_state", "touched", "built_rows"):
            connection.execute(f"delete from intermediate.{table}")


def find_touched(connection: Connection, rooms: Iterable[Provider], fingerprint: str) -> None:
    """Note the rows that came, changed or went since the last build that passed.

    Args:
        fingerprint: the warehouse's SQL of a number that changes with `raw_row`.
    """
    kept = {name for (name,) in connection.execute(SOURCES).fetchall()}
    for watched in _watched(rooms):
        if watched.name in kept or _has_rows(connection, watched.table):
            connection.execute(_differing(watched, fingerprint))
    if is_touched(connection):
        _add_the_empty_key(connection)


def _add_the_empty_key(connection: Connection) -> None:
    """Note the empty key, which nothing has, for the kinds that large tables are looked through by.

    DuckDB lets a scan skip what a join will not find, by a Bloom filter of the keys; but where all
    of them begin alike, as those of one room do, by the range behind that beginning: it skips
    nothing then, and five million rows are parsed for the sake of some hundred.
    """
    for kind in WIDE:
        connection.execute(f"insert into intermediate.touched (kind, key) values ('{kind}', '')")


def _differing(watched: Watched, fingerprint: str) -> str:
    """SQL that notes the rows of one table without a counterpart among those that were built, and
    the other way round: one join, one pass over each.

    A counterpart has the same id, too: where a fingerprint is of a row's place, as on PostgreSQL,
    another row may have moved there, since `vacuum full` closes the gap that a deleted one left.
    """
    return f"""
        insert into intermediate.touched (kind, key)
        with present as (
            select {watched.column} as id, {fingerprint} as fingerprint
            from {watched.table} as raw_row
            where {watched.column} is not null
        ),
        built as (
            select id, fingerprint from intermediate.built_rows where source = '{watched.name}'
        ),
        differing as (
            select distinct coalesce(present.id, built.id) as id
            from present
            full join built
                on present.fingerprint = built.fingerprint and present.id = built.id
            where present.id is null or built.id is null
        )
        select '{watched.name}', id from differing
        union all
        select '{watched.kind}', regexp_replace(id, '{watched.rest}', '') from differing
    """


def _has_rows(connection: Connection, table: str) -> bool:
    return bool(connection.execute(f"select 1 from {table} limit 1").fetchall())


def is_touched(connection: Connection) -> bool:
    """Whether there is anything to recompute but what depends on the clock."""
    sql = "select 1 from intermediate.touched where kind <> 'clock' limit 1"
    return bool(connection.execute(sql).fetchall())


def note_the_clock(connection: Connection, as_of: datetime) -> None:
    """Note when the clock goes back, before it does: tables in which only those rows are made anew
    that it still moves have others to look at then."""
    connection.execute(
        "insert into intermediate.touched (kind, key) "
        "select 'clock', 'back' from intermediate.build_settings where as_of > $1",
        [as_of],
    )


def touch_edges_of_the_clock(connection: Connection) -> None:
    """Note the threads with instants that the business clock does not reach, or did not.

    How far it reaches depends on the build's clock and on other threads, so their business time may
    change without news. Only nonsense dates are that far away.
    """
    connection.execute(
        """
        insert into intermediate.touched (kind, key)
        select distinct 'thread_key', turns.thread_key
        from intermediate.int_turns__ended as turns
        inner join (
            select policy, min(starts_at) as starts_at, max(ends_at) as ends_at
            from intermediate.business_clock
            group by policy
        ) as clock on turns.policy = clock.policy
        where
            turns.business_elapsed_seconds is null
            or turns.started_at < clock.starts_at
            or turns.started_at >= clock.ends_at
            or turns.ended_at >= clock.ends_at
        """
    )


def passed(
    connection: Connection,
    rooms: Iterable[Provider],
    fingerprint: str,
    made: Made,
    *,
    as_of: datetime,
    full: bool,
) -> None:
    """After the tests: what was touched counts as built."""
    kinds = connection.execute("select distinct kind from intermediate.touched").fetchall()
    with transaction(connection):
        for watched in _watched(rooms):
            if not full and (watched.name,) not in kinds:
                continue
            ids = f"(select key from intermediate.touched where kind = '{watched.name}')"
            if not full:
                connection.execute(
                    "delete from intermediate.built_rows "
                    f"where source = '{watched.name}' and id in {ids}"
                )
            connection.execute(
                "insert into intermediate.built_rows (source, id, fingerprint) "
                f"select '{watched.name}', {watched.column}, {fingerprint} "
                f"from {watched.table} as raw_row where {watched.column} "
                + ("is not null" if full else f"in {ids}")
            )
        connection.execute("delete from intermediate.touched")
        connection.execute("delete from intermediate.build_state")
        connection.execute(
            "insert into intermediate.build_state (version, settings, as_of, passed_at) "
            "values ($1, $2, $3, $4)",
            [made.version, made.settings, as_of, datetime.now(UTC)],
        )


def _watched(rooms: Iterable[Provider]) -> Iterator[Watched]:
    for room in rooms:
        for table in (*room.tables, *SHARED_TABLES):
            kind, rest = ABOUT.get(table.name, (IDS.get(table.name, table.name), ""))
            if table.name not in UNREAD:
                yield Watched(f"{room.schema}.{table.name}", "id", kind, rest)
    for name, column, kind in HOOKS:
        yield Watched(f"raw_webhooks.{name}", column, kind)


def _project_files(folder: Traversable) -> Iterator[Traversable]:
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            yield from _project_files(entry)
        elif entry.name.endswith((".sql", ".csv", ".yml")):
            yield entry


def _version_of(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
