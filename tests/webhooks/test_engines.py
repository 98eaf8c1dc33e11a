"""Ingest into PostgreSQL gives what ingest into DuckDB gives."""

from datetime import datetime
from hashlib import sha256

import pytest
from hook_bench import NUMBER, T0, Bench, arrival, message, meta

from pipelines.events import FOREIGN, webhook_tables
from pipelines.providers import find
from pipelines.warehouse.postgres import PostgresWarehouse
from pipelines.webhooks.ingest import ingest

LONG = "".join(sha256(bytes([i])).hexdigest() for i in range(100))  # no page of an index holds it
ARRIVALS = [
    *(arrival(message(f"wamid.{i}", i), x_webhook_event="other") for i in range(30)),
    arrival(b"broken \x00 \xff"),
    arrival({"type": "x", "batch": True, "data": [message("wamid.1", 1), "?"]}),
    arrival(meta("messages", messages=[{"id": "m", "type": "text", "from": "1"}])),
    arrival(message("foreign", 1), account="other"),
    arrival(message(f"wamid.{LONG}", 1)),
    arrival({"type": "x", "batch": True, "data": [message("wamid.2", 2), message(LONG, 3)]}),
]


def contents(warehouse):
    with warehouse.connect() as connection:
        return {
            table: sorted(
                str([v.timestamp() if isinstance(v, datetime) else v for v in row])
                for row in connection.execute(
                    f"select {', '.join(columns)} from {webhook_tables.SCHEMA}.{table}"
                ).fetchall()
            )
            for table in webhook_tables.COLUMNS
            if (columns := [n for n in webhook_tables.COLUMNS[table] if n != "_dlt_load_id"])
        }


@pytest.mark.both_engines
def test_both_engines_hold_the_same(tmp_path, postgres_url):
    bench = Bench(tmp_path)
    bench.receive(*ARRIVALS)
    database = PostgresWarehouse(postgres_url, tmp_path)
    number = (
        "insert into raw_kapso.phone_numbers (account, id, phone_number_id) values ($1, $2, $3)"
    )
    for warehouse in (bench.warehouse, database):
        for chunk in (7, 1000):  # the second finds nothing new
            with warehouse.lock():
                ingest(warehouse, find(), bench.log, now=T0, chunk=chunk)
    assert contents(database) == contents(bench.warehouse)
    for warehouse in (bench.warehouse, database):
        with warehouse.connect() as connection:
            connection.execute(number, ["other", "1", "1"])
            connection.execute(number, ["default", "1", NUMBER])
        ingest(warehouse, find(), bench.log, now=T0)
    assert contents(database) == contents(bench.warehouse)
    with database.connect() as connection:
        sql = f"select reason from {webhook_tables.SCHEMA}.rejected where account = 'other'"
        assert connection.execute(sql).fetchall() == [(FOREIGN,)]
