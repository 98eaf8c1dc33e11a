"""A shop's life as its commands: it begins with DuckDB, moves to PostgreSQL, and erases a customer
on both; no byte of three canaries is left in any file (SEC-14)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from engines.erase_stage import NAME, TEXT, contents, webhook, with_a_canary
from real_postgres import Server

from pipelines.providers import find
from pipelines.receiver.log import Arrival
from pipelines.receiver.sqlite_log import SqliteLog
from pipelines.simulation import Clock, serve
from pipelines.world import make_world

NOW = datetime(2026, 3, 20, 21, 0, tzinfo=UTC)
Run = Callable[..., Any]


def command(folder: Path, environment: dict[str, str]) -> Run:
    """Calls doblecheck in a folder; gives what it printed as JSON."""

    def run(*arguments: str, **more: str) -> Any:
        done = subprocess.run(
            [sys.executable, "-m", "pipelines.cli", *arguments],
            cwd=folder,
            env={**os.environ, **environment, **more},
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def found(canaries: tuple[str, ...], folder: Path) -> set[str]:
    """The canaries that stand in a file of a folder."""
    texts = (text for path in folder.rglob("*") if path.is_file() for text in contents(path))
    return {canary for text in texts for canary in canaries if canary.encode() in text}


@pytest.mark.matrix
def test_a_shop_begins_moves_and_erases(
    postgres: Server, tmp_path: Path, clean_environment: pytest.MonkeyPatch
) -> None:
    url = postgres.database()
    name = url.rsplit("/", 1)[1]
    ((oid,),) = postgres.run(f"select oid from pg_database where datname = '{name}'")
    database = postgres.folder / "data" / "base" / str(oid)
    world, phone, _ = with_a_canary(
        make_world(seed=23, ends_at=NOW, days=5, conversations_per_day=6)
    )
    canaries = (phone, NAME, TEXT)
    moved = {"DOBLECHECK_WAREHOUSE__URL": "env:SHOP_DATABASE"}
    environment = {"SHOP_DATABASE": url}
    count = "select count(*) as n from marts.fct_messages"
    with ExitStack() as stack:
        for room in find():
            simulated = room.simulate(world, api_key="k", clock=Clock(now=NOW))
            environment[f"{room.name.upper()}_BASE_URL"] = stack.enter_context(serve(simulated))
            environment[f"{room.name.upper()}_API_KEY"] = "k"
        run = command(tmp_path, environment)

        assert run("run", "--json")["ok"]
        before = run("query", count, "--format", "json")
        run("copy", "--to", "env:SHOP_DATABASE", "--json")
        again = run("run", "--json", **moved)
        assert {
            resource["changed"]
            for account in again["accounts"]
            for resource in account["resources"].values()
        } == {0}
        assert run("query", count, "--format", "json", **moved) == before
        postgres.run("checkpoint")
        assert found(canaries, tmp_path / "data") == found(canaries, database) == {*canaries}

        for where in ({}, moved):
            assert run("erase", "--phone", f"+{phone}", "--json", **where)["rows"] > 5
            assert run("query", count, "--format", "json", **where) == before
        postgres.run("checkpoint")
        assert found(canaries, tmp_path / "data") == found(canaries, database) == set()
        assert run("sync", "--full", "--json", **moved)["ok"]
        postgres.run("checkpoint")
        assert found(canaries, tmp_path / "data") == found(canaries, database) == set()


def test_who_was_synced_a_moment_ago_is_found_and_erased(
    tmp_path: Path, clean_environment: pytest.MonkeyPatch
) -> None:
    """What belongs to a person is known from the marts: they are built before anybody is erased,
    of all that was received until then."""
    room = find()[0]
    world, phone, _ = with_a_canary(
        make_world(seed=23, ends_at=NOW, days=2, conversations_per_day=3)
    )
    with serve(room.simulate(world, api_key="k", clock=Clock(now=NOW))) as url:
        name = room.name.upper()
        run = command(tmp_path, {f"{name}_BASE_URL": url, f"{name}_API_KEY": "k"})
        run("sync", "--json")
    with closing(SqliteLog(tmp_path / "data" / "deliveries.db")) as log:
        body = json.dumps(webhook(phone, TEXT, 1)).encode()
        log.append([Arrival(room.name, "default", NOW, {}, body)])
    with duckdb.connect(tmp_path / "data" / "warehouse.duckdb") as connection:
        ids = f"select id from {room.schema}.contacts where wa_id = $1"
        ((contact,),) = connection.execute(ids, [phone]).fetchall()
    assert run("erase", "--contact", contact, "--json")["rows"] > 3
    with duckdb.connect(tmp_path / "data" / "warehouse.duckdb") as connection:
        stored = "select count(*) from raw_webhooks.deliveries"
        assert connection.execute(stored).fetchall() == [(1,)]
    assert found((phone, NAME, TEXT), tmp_path / "data") == set()
