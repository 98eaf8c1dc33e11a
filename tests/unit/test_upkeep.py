"""What is removed when it was kept for long enough (SEC-15)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from pipelines.care.upkeep import forget_rejected
from pipelines.providers import find
from pipelines.warehouse import at

NOW = datetime(2026, 3, 20, tzinfo=UTC)


def test_rejected_rows_go_after_their_days_and_not_before(tmp_path: Path) -> None:
    warehouse = at(tmp_path / "warehouse.duckdb", tmp_path)
    warehouse.ensure_raw_tables(find())
    with warehouse.connect() as connection:
        for days in (29, 31):
            then = NOW - timedelta(days=days)
            row = "insert into raw_waspy.rejected (account, id, fetched_at) values ('a', $1, $2)"
            connection.execute(row, [str(days), then])
            connection.execute(
                "insert into raw_webhooks.rejected (delivery_id, provider, account, received_at) "
                "values ($1, 'waspy', 'a', $2)",
                [days, then],
            )
    forget_rejected(warehouse, find(), days=30, now=NOW)
    with warehouse.connect() as connection:
        assert connection.execute("select id from raw_waspy.rejected").fetchall() == [("29",)]
        left = connection.execute("select delivery_id from raw_webhooks.rejected").fetchall()
        assert left == [(29,)]
