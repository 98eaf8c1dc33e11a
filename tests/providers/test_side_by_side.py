"""Accounts that are read at the same time, by threads of one process."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from pipelines import run as steps
from pipelines.providers import find
from pipelines.settings import load
from pipelines.simulation import serve
from pipelines.warehouse import open_warehouse
from pipelines.world import make_world

ENDS_AT = datetime(2026, 3, 20, 21, tzinfo=UTC)


def test_accounts_side_by_side_lose_and_double_no_row(tmp_path: Path) -> None:
    accounts, expected = [], {}
    with ExitStack() as stack:
        for room in find():
            for number in range(3):
                world = make_world(seed=number, ends_at=ENDS_AT, days=4, conversations_per_day=6)
                url = stack.enter_context(serve(room.simulate(world, api_key="key")))
                accounts.append(
                    f'[[accounts]]\nprovider = "{room.name}"\nname = "a{number}"\n'
                    f'api_key = "key"\nbase_url = "{url}"\nrequests_per_minute = 10000\n'
                )
                expected[room.schema, f"a{number}"] = (len(world.messages),) * 2
        (tmp_path / "doblecheck.toml").write_text("\n".join(accounts))
        settings = load(tmp_path / "doblecheck.toml", find())
        warehouse = open_warehouse(settings)
        with warehouse.lock(), ThreadPoolExecutor(6) as threads:
            warehouse.ensure_raw_tables(find())
            chosen = steps.targets(settings, find())
            reports = list(threads.map(lambda target: steps.sync_one(warehouse, target), chosen))
    assert [report.error or report.problems for report in reports] == [[]] * 6
    found = {}
    with warehouse.connect() as connection:
        for schema, account in expected:
            found[schema, account] = connection.execute(
                f"select count(*), count(distinct id) from {schema}.messages where account = $1",
                [account],
            ).fetchone()
    assert found == expected
