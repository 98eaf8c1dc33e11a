"""The same query text gives the same rows on DuckDB and on a real PostgreSQL."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from dashboard_stage import draw, installation
from test_filters import QUERIES, values

from dashboards import state
from dashboards.reading import Answer, QueryFailed, Reader
from pipelines.warehouse import at
from pipelines.warehouse.postgres import PostgresWarehouse

TYPES = {
    "VARCHAR": "text",
    "DOUBLE": "double precision",
    "BIGINT": "bigint",
    "INTEGER": "integer",
    "BOOLEAN": "boolean",
    "DATE": "date",
    "TIMESTAMP WITH TIME ZONE": "timestamptz",
}
VIEWS: dict[str, dict[str, Any]] = {
    "default": {},
    "people in opening hours": {"scope": "human", "clock": "business", "only_first": True},
    "one provider by week": {"providers": ["waspy"], "grain": "week", "personal": True},
    "picked": {
        "pick_from": date(2026, 11, 2),
        "pick_to": date(2026, 11, 6),
        "pick_low": 60,
        "pick_high": 900,
        "pick_weekday": 3,
        "pick_hour": 11,
        "window_state": "expired",
    },
}


@pytest.fixture(scope="module")
def on_postgres(shop: Path, postgres: Any) -> state.Site:
    """The shop's marts in PostgreSQL, published."""
    url = postgres.database()
    with (
        at(shop / "warehouse.duckdb", shop).reader() as source,
        psycopg.connect(url, autocommit=True) as target,
    ):
        target.execute("create schema marts")
        target.execute(
            "comment on schema marts is 'published by doblecheck at 2026-11-20T21:00:00+00:00'"
        )
        tables = source.execute(
            "select table_name from information_schema.tables where table_schema = 'marts'"
        ).fetchall()
        for (name,) in tables:
            _copy(source, target, name)
    place = installation(shop)
    return state.Site(
        warehouse=PostgresWarehouse(url, shop),
        dashboard=place.dashboard,
        data_path=place.data_path,
        timezone=place.timezone,
        pepper=place.pepper,
    )


def _copy(source: Any, target: Any, name: str) -> None:
    columns = source.execute(
        "select column_name, data_type from duckdb_columns() "
        "where schema_name = 'marts' and table_name = $1 order by column_index",
        [name],
    ).fetchall()
    made = ", ".join(f'"{column}" {TYPES[kind]}' for column, kind in columns)
    target.execute(f"create table marts.{name} ({made})")
    with target.cursor().copy(f"copy marts.{name} from stdin") as copy:
        for row in source.execute(f"select * from marts.{name}").fetchall():
            copy.write_row(row)


def plain(answer: Answer) -> list[tuple[Any, ...]]:
    return [tuple(map(_plain, row)) for row in answer.rows]


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal | int | float) and not isinstance(value, bool):
        return float(value)
    # A server answers in its own zone: the same instant.
    return value.astimezone(UTC) if isinstance(value, datetime) and value.tzinfo else value


def is_same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-6)
    return bool(one == other)


@pytest.mark.parametrize("view", VIEWS)
def test_every_query_answers_alike(view: str, shop: Path, on_postgres: state.Site) -> None:
    embedded, server = Reader(installation(shop)), Reader(on_postgres)
    versions = embedded.version(), server.version()
    compared = 0
    for name in QUERIES:
        if name == "thread_texts":
            continue  # not from marts: the reader's role has no right to it there
        given = values(**VIEWS[view])
        one = plain(embedded.answer(versions[0], name, given))
        other = plain(server.answer(versions[1], name, given))
        # Ties of text are in the order of each database's language: compare as sets of rows.
        rows = [sorted(rows, key=repr) for rows in (one, other)]
        assert len(one) == len(other), name
        for left, right in zip(*rows, strict=True):
            assert all(map(is_same, left, right)), (name, left, right)
        compared += len(one)
    assert compared > 300


def test_pages_are_drawn_from_postgres(shop: Path, on_postgres: state.Site) -> None:
    for page in ("now", "response", "team", "health"):
        one, other = draw(installation(shop), page), draw(on_postgres, page)
        assert {k: v for k, v in one.tiles.items() if k != "published"} == {
            k: v for k, v in other.tiles.items() if k != "published"
        }


def test_texts_that_the_role_may_not_read_are_told(on_postgres: state.Site) -> None:
    reader = Reader(on_postgres)
    with pytest.raises(QueryFailed) as failed:
        reader.answer(reader.version(), "thread_texts", values())
    assert failed.value.__suppress_context__
