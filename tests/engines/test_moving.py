"""A DuckDB warehouse moved to PostgreSQL: every row, and the next sync asks for nothing twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipelines.care import moving
from pipelines.errors import UsageError
from pipelines.events import webhook_tables
from pipelines.loading.sync import Order, sync_account
from pipelines.providers import find
from pipelines.settings import Account
from pipelines.simulation import Clock, serve
from pipelines.warehouse import Warehouse
from pipelines.warehouse.embedded import DuckDBWarehouse
from pipelines.warehouse.postgres import PostgresWarehouse
from pipelines.world import make_world

NOW = datetime(2026, 3, 20, 21, 0, tzinfo=UTC)


@pytest.fixture
def urls() -> Iterator[dict[str, str]]:
    world = make_world(seed=5, ends_at=NOW, days=4, conversations_per_day=6)
    with ExitStack() as stack:
        yield {
            room.name: stack.enter_context(
                serve(room.simulate(world, api_key="k", clock=Clock(now=NOW)))
            )
            for room in find()
        }


def sync(warehouse: Warehouse, urls: dict[str, str]) -> dict[str, tuple[int, int]]:
    """Room → requests, and rows new or changed."""
    found = {}
    warehouse.ensure_raw_tables(find())
    for room in find():
        settings: dict[str, Any] = {
            "provider": room.name,
            "name": "shop",
            "api_key": "k",
            **dict.fromkeys(room.base_urls, urls[room.name]),
            "requests_per_minute": 1_000_000,
        }
        order = Order(resources=frozenset(room.resources), now=NOW)
        report = sync_account(warehouse, room, Account.model_validate(settings), order)
        assert report.is_ok, (report.error, report.problems)
        found[room.name] = (report.requests, report.changed)
    return found


def test_everything_goes_over_and_the_next_sync_goes_on(
    urls: dict[str, str], tmp_path: Path, postgres_url: str
) -> None:
    source = DuckDBWarehouse(tmp_path / "warehouse.duckdb", tmp_path)
    target = PostgresWarehouse(postgres_url, tmp_path)
    sync(source, urls)
    odd = "a\0b, \"quoted\"\nand 'more' \\. \\N"
    with source.connect() as connection:
        connection.execute(
            "insert into raw_kapso.contacts (account, id, display_name, username) "
            "values ('odd', 'x', $1, '')",
            [odd],
        )
        webhook_tables.save_position(connection, "log", 42, NOW)
    again = sync(source, urls)
    moved = moving.move(source, target, find())
    assert sum(each.rows for each in moved if each.table.endswith(".messages")) > 100
    assert {each.table for each in moved} > {"raw_kapso.sync_state", "raw_waspy.message_cursors"}
    with target.connect() as connection:
        row = connection.execute(
            "select display_name, username, payload from raw_kapso.contacts where account = 'odd'"
        ).fetchone()
        assert row == (odd.replace("\0", "\N{REPLACEMENT CHARACTER}"), "", None)
        assert webhook_tables.read_position(connection, "log") == 42
    assert sync(target, urls) == again
    assert {changed for _, changed in again.values()} == {0}
    with pytest.raises(UsageError, match="has rows"):
        moving.move(source, target, find())
    assert not (tmp_path / "copy.csv").exists()
