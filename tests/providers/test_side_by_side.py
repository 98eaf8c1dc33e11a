"""Accounts that are read at the same time, by threads of one process."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prefect.states import Completed

from flows import steps as flow_steps
from flows.steps import Sealed, Site
from pipelines import run as steps
from pipelines.loading.sync import Report
from pipelines.providers import find
from pipelines.settings import load
from pipelines.simulation import serve
from pipelines.warehouse import Warehouse, open_warehouse
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
        with warehouse.lock(), ExitStack() as held:
            warehouse.ensure_raw_tables(find())
            held.enter_context(warehouse.side_by_side())
            threads = held.enter_context(ThreadPoolExecutor(6))
            chosen = steps.targets(settings, find())
            reports = list(threads.map(lambda target: steps.sync_one(warehouse, target), chosen))
    assert [report for report in reports if not report.is_ok] == []
    found = {}
    with warehouse.connect() as connection:
        for schema, account in expected:
            found[schema, account] = connection.execute(
                f"select count(*), count(distinct id) from {schema}.messages where account = $1",
                [account],
            ).fetchone()
    assert found == expected


def test_a_run_keeps_the_file_open_while_accounts_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # DuckDB refuses about one of 400 openings that meet the closing of the last connection. What
    # is set for the instance tells whether it is the same one, without waiting for that moment.
    (tmp_path / "doblecheck.toml").write_text(
        '[[accounts]]\nprovider = "kapso"\nname = "a"\napi_key = "key"\n'
        '[[accounts]]\nprovider = "kapso"\nname = "b"\napi_key = "key"\n'
    )
    site = Site(load(tmp_path / "doblecheck.toml", find()), seconds=60)
    found = []

    def read(warehouse: Warehouse, target: steps.Target, **what: object) -> Report:
        with warehouse.connect() as connection:
            found.append(connection.execute(LIMIT).fetchone())
            connection.execute("set memory_limit = '123MB'")
        return Report(target.room.name, target.account.name)

    monkeypatch.setattr(steps, "sync_one", read)
    monkeypatch.setattr(flow_steps, "sync_account", AtOnce())
    reports = site.read(steps.targets(site.settings, site.rooms))
    assert [report.account for report in reports] == ["a", "b"]
    assert found[0] != found[1] == ("117.3 MiB",)
    with site.warehouse.connect() as connection:
        assert connection.execute(LIMIT).fetchone() == found[0]  # a build has all its memory again


LIMIT = "select current_setting('memory_limit')"


class AtOnce:
    """A task that runs where it is submitted; one that has ended is its own future."""

    state = Completed()

    def with_options(self, **options: object) -> AtOnce:
        return self

    def submit(self, name: str, site: Site, sealed: Sealed) -> AtOnce:
        site.read_one(sealed.target, **sealed.what)
        return self

    def wait(self) -> None:
        """It has ended."""
