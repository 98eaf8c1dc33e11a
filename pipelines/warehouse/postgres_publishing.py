"""How readers on PostgreSQL get to see a build: all of it, in one step.

A build makes the marts in `marts_next` and leaves them there, for the next one to change only what
is new. Its models note what they made (`models/macros/publishing.sql`); a publication does the same
to `marts`, where readers look, in one transaction:

    nothing                       the mart was not touched
    a key, and of which column    the rows with that key are replaced by those of `marts_next`
    no key                        the mart was made as a whole: rows that differ are replaced
    no key, and anew              everything was built: a copy takes the place of the old mart

Rows that are replaced make nobody wait: a statement sees those of before or those of after. Only a
mart that is made anew, or whose columns are others, is locked for the moment in which it goes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg

from pipelines.failpoint import failpoint
from pipelines.warehouse.postgres_roles import HAND_OVER, secure

PUBLISHING = 0x646F626C65 + 1
"""The number of an advisory lock that readers share while they read."""

NEXT = "marts_next"
"""Where a build makes the marts."""

NOTES = """
create unlogged table if not exists intermediate.to_publish (
    mart text not null, is_anew boolean not null default false, key_column text, key text
)
"""

SECONDS, PAUSE = 60.0, 0.2
"""How long a publication tries to come between readers, and waits before it tries again."""

COLUMNS = """
(
    select string_agg(attname || ' ' || format_type(atttypid, atttypmod), ',' order by attnum)
    from pg_attribute
    where attrelid = {} and attnum > 0 and not attisdropped
)
"""

NOTED = f"""
select
    made.relname,
    bool_or(notes.is_anew)
    or {COLUMNS.format("made.oid")} is distinct from {COLUMNS.format("old.oid")} as is_anew,
    bool_or(notes.key_column is null) or count(distinct notes.key_column) > 1 as is_whole,
    max(notes.key_column) as key_column
from intermediate.to_publish as notes
inner join pg_class as made
    on notes.mart = made.relname and made.relnamespace = to_regnamespace('{NEXT}')
left join pg_class as old
    on made.relname = old.relname and old.relnamespace = to_regnamespace('marts')
group by made.oid, made.relname, old.oid
order by made.relname
"""

AND_THOSE_NEVER_SHOWN = f"""
insert into intermediate.to_publish (mart, is_anew)
select tablename, true from pg_tables
where
    schemaname = '{NEXT}'
    and tablename not in (select tablename from pg_tables where schemaname = 'marts')
"""

REPLACE_DIFFERING = (
    """
    delete from marts."{0}" as old
    where not exists (select from marts_next."{0}" as made where made::text = old::text)
    """,
    """
    insert into marts."{0}"
    select * from marts_next."{0}" as made
    where not exists (select from marts."{0}" as old where old::text = made::text)
    """,
)

OF_KEYS = """
"{1}" in (select key from intermediate.to_publish where mart = '{0}' and key_column = '{1}')
"""
REPLACE_KEYS = (
    f'delete from marts."{{0}}" where {OF_KEYS}',
    f'insert into marts."{{0}}" select * from marts_next."{{0}}" where {OF_KEYS}',
)

COPY = (
    'create table marts."{0} anew" (like marts_next."{0}" including all excluding indexes)',
    'insert into marts."{0} anew" select * from marts_next."{0}"',
    # After the rows: an index that grows with them takes three times as long.
    """
    do $$ declare t record; begin
        for t in
            select substring(pg_get_indexdef(indexrelid) from ' USING .*') as how
            from pg_index where indrelid = 'marts_next."{0}"'::regclass
        loop
            execute 'create index on marts."{0} anew"' || t.how;
        end loop;
    end $$
    """,
    'analyze marts."{0} anew"',
)
TAKE_ITS_PLACE = (
    'drop table if exists marts."{0}" cascade',
    'alter table marts."{0} anew" rename to "{0}"',
)


class Waited(Exception):
    """Somebody held a mart for too long."""


@dataclass(frozen=True)
class Noted:
    """What the builds that were not published yet did to a mart."""

    mart: str
    is_anew: bool
    is_whole: bool
    key_column: str | None


def publish(connection: psycopg.Connection[Any]) -> None:
    """Bring `marts` up to what `marts_next` holds.

    Raises:
        Waited: a reader does not come to an end; nothing was changed.
    """
    with connection.transaction():
        # Shorter than the second after which PostgreSQL looks for deadlocks: a reader that waits
        # for us while we wait for it goes on, and we try again.
        connection.execute("set local lock_timeout = '500ms'")
        connection.execute(AND_THOSE_NEVER_SHOWN)
        noted = [Noted(*row) for row in connection.execute(NOTED).fetchall()]
        failpoint("publish.copy")
        for mart in noted:
            for sql in _statements(mart):
                connection.execute(sql)
        failpoint("publish.copied")
        connection.execute("delete from intermediate.to_publish")
        _show(connection, [mart.mart for mart in noted if mart.is_anew])
        failpoint("publish.flushed")


def _statements(noted: Noted) -> Iterator[str]:
    """What makes a mart, or the copy that will take its place, hold what was built."""
    if noted.is_anew:
        yield from (sql.format(noted.mart) for sql in COPY)
    elif noted.is_whole:
        yield from (sql.format(noted.mart) for sql in REPLACE_DIFFERING)
    else:
        yield from (sql.format(noted.mart, noted.key_column) for sql in REPLACE_KEYS)


def _show(connection: psycopg.Connection[Any], made_anew: list[str]) -> None:
    """Wait until nobody reads, a little at a time since others wait behind us; then put the copies
    in their places. What follows is the commit."""
    end = time.monotonic() + SECONDS
    while True:
        try:
            with connection.transaction():
                connection.execute("select pg_advisory_xact_lock($1)", [PUBLISHING])
                for mart in made_anew:
                    for sql in TAKE_ITS_PLACE:
                        connection.execute(sql.format(mart))
                connection.execute(
                    "do $$ begin execute format("
                    "'comment on schema marts is %L', 'published by doblecheck at ' || now()"
                    "); end $$"
                )
                connection.execute(secure(()))
                connection.execute(HAND_OVER)  # the owner's build is the builder's
        except psycopg.errors.LockNotAvailable:
            if time.monotonic() > end:
                raise Waited from None
            time.sleep(PAUSE)
        else:
            return
