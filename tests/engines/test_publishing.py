"""What readers of PostgreSQL see while a build is published: the old marts or the new, whole."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from pipelines.failpoint import arm
from pipelines.warehouse.postgres import PostgresWarehouse

ROWS = 2000
BOTH = """
select
    (select min(v) from marts.a), (select max(v) from marts.a), (select min(v) from marts.b),
    (select max(v) from marts.b), (select count(*) from marts.a), (select count(*) from marts.b)
"""

Build = Callable[[PostgresWarehouse, int], None]


def anew(warehouse: PostgresWarehouse, version: int) -> None:
    """Two marts of a full build, in which everything tells the version."""
    with warehouse.connect() as connection:
        for mart in ("a", "b"):
            connection.execute(f"drop table if exists marts_next.{mart}")
            connection.execute(
                f"create table marts_next.{mart} as "
                f"select 'k' || n as key, {version} as v from generate_series(1, {ROWS}) as n"
            )
        note(warehouse, "is_anew", "true")


def other_columns(warehouse: PostgresWarehouse, version: int) -> None:
    """The same of models that were edited, noted as tables are."""
    anew(warehouse, version)
    with warehouse.connect() as connection:
        for mart in ("a", "b"):
            connection.execute(f"alter table marts_next.{mart} add column extra{version} text")
        connection.execute("delete from intermediate.to_publish")
        note(warehouse, "is_anew", "false")


def whole(warehouse: PostgresWarehouse, version: int) -> None:
    """Marts that a build made as a whole; a row of each is not as it was."""
    rewrite(warehouse, version)
    note(warehouse, "is_anew", "false")


def keys(warehouse: PostgresWarehouse, version: int) -> None:
    """Marts of which a build replaced rows by their keys; one key is gone, one is new."""
    rewrite(warehouse, version)
    with warehouse.connect() as connection:
        connection.execute(f"update marts_next.a set key = 'new{version}' where key = 'k1'")
        for mart in ("a", "b"):
            connection.execute(
                "insert into intermediate.to_publish (mart, key_column, key) "
                f"select '{mart}', 'key', key from marts_next.{mart} "
                f"union all select '{mart}', 'key', key from marts.{mart}"
            )


def rewrite(warehouse: PostgresWarehouse, version: int) -> None:
    with warehouse.connect() as connection:
        for mart in ("a", "b"):
            connection.execute(f"update marts_next.{mart} set v = {version}")


def note(warehouse: PostgresWarehouse, column: str, value: str) -> None:
    with warehouse.connect() as connection:
        connection.execute(
            f"insert into intermediate.to_publish (mart, {column}) "
            f"values ('a', {value}), ('b', {value})"
        )


@pytest.fixture
def warehouse(postgres_url: str, tmp_path: Path) -> PostgresWarehouse:
    made = PostgresWarehouse(postgres_url, tmp_path)
    with made.connect() as connection:
        made.prepare_build(connection)
    anew(made, 1)
    made.publish()
    return made


@contextmanager
def readers(warehouse: PostgresWarehouse) -> Iterator[list[tuple[int, ...]]]:
    """Somebody who asks one statement at a time, and somebody who asks for two things that belong
    together. What they saw is right when they stop."""
    seen: list[tuple[int, ...]] = []
    done = threading.Event()

    def ask() -> None:
        with psycopg.connect(warehouse.url, autocommit=True) as connection:
            while not done.wait(0.005):
                seen.append(connection.execute(BOTH).fetchone() or ())

    def ask_twice() -> None:
        while not done.wait(0.01):
            with warehouse.reader() as connection:
                (a,) = connection.execute("select min(v), max(v), count(*) from marts.a").fetchall()
                (b,) = connection.execute("select min(v), max(v), count(*) from marts.b").fetchall()
            seen.append((*a[:2], *b[:2], a[2], b[2]))

    threads = [threading.Thread(target=read) for read in (ask, ask_twice)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert {row[4:] for row in seen} == {(ROWS, ROWS)}
    assert {len(set(row[:4])) for row in seen} == {1}  # never of two versions


@pytest.mark.parametrize(
    "build", [anew, other_columns, whole, keys], ids=lambda build: build.__name__
)
def test_readers_see_old_or_new_marts_and_never_a_mix(
    warehouse: PostgresWarehouse, build: Build
) -> None:
    with readers(warehouse) as seen:
        for version in range(2, 7):
            build(warehouse, version)
            warehouse.publish()
            (row,) = rows(warehouse)
            assert row[:4] == (version,) * 4
    assert len({row[0] for row in seen}) > 2


PLACES = ("checkpoint", "copy", "copied", "flushed", "end")


@pytest.mark.parametrize("build", [anew, keys], ids=lambda build: build.__name__)
def test_a_publication_that_is_killed_leaves_the_old_marts_and_the_next_shows_the_new(
    warehouse: PostgresWarehouse, build: Build
) -> None:
    with readers(warehouse):
        for version, place in enumerate(PLACES, 2):
            build(warehouse, version)
            child = os.fork()
            if child == 0:
                arm(f"publish.{place}=kill")
                warehouse.publish()
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 9
            (row,) = rows(warehouse)
            assert row[:4] == ((version if place == "end" else version - 1),) * 4
            warehouse.publish()
            (row,) = rows(warehouse)
            assert row[:4] == (version,) * 4


def test_what_was_shown_is_not_shown_again(warehouse: PostgresWarehouse) -> None:
    whole(warehouse, 2)
    warehouse.publish()
    assert written(warehouse) > ROWS
    before = written(warehouse)
    warehouse.publish()
    whole(warehouse, 2)
    warehouse.publish()
    assert written(warehouse) == before


def rows(warehouse: PostgresWarehouse) -> list[tuple[int, ...]]:
    with warehouse.reader() as connection:
        return connection.execute(BOTH).fetchall()


def written(warehouse: PostgresWarehouse) -> int:
    """Rows that were ever inserted into the marts that readers see."""
    with warehouse.connect() as connection:
        connection.execute("select pg_stat_force_next_flush()")
        connection.execute("select pg_stat_clear_snapshot()")
        (found,) = connection.execute(
            "select coalesce(sum(n_tup_ins), 0)::int from pg_stat_user_tables "
            "where schemaname = 'marts'"
        ).fetchall()
    return int(found[0])
