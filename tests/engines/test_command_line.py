"""The commands on PostgreSQL, as a user meets them; the password stands in nothing printed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import pytest
from real_postgres import PASSWORD, Server

from pipelines.providers import find
from pipelines.simulation import serve
from pipelines.world import make_world

NOW = datetime(2026, 3, 20, 21, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Shop:
    """A folder, a database, and both providers."""

    folder: Path
    environment: dict[str, str]
    messages: int

    def call(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[bytes]:
        ours = ("DOBLECHECK_", "KAPSO_", "WASPY_")
        clean = {name: v for name, v in os.environ.items() if not name.startswith(ours)}
        return subprocess.run(
            [sys.executable, "-m", "pipelines.cli", *arguments],
            cwd=self.folder,
            env={**clean, **self.environment, **more},
            capture_output=True,
            check=False,
        )


@pytest.fixture(scope="module")
def shop(postgres: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    world = make_world(seed=3, ends_at=NOW, days=4, conversations_per_day=5)
    environment = {
        "DOBLECHECK_WAREHOUSE__URL": "env:SHOP_DATABASE",
        "SHOP_DATABASE": postgres.database(),
    }
    with ExitStack() as stack:
        for room in find():
            url = stack.enter_context(serve(room.simulate(world, api_key="k")))
            environment[f"{room.name.upper()}_API_KEY"] = "k"
            environment[f"{room.name.upper()}_BASE_URL"] = url
        made = Shop(tmp_path_factory.mktemp("shop"), environment, len(find()) * len(world.messages))
        before = made.call("query", "select 1")
        assert (before.returncode, before.stderr.startswith(b"error: nothing is published")) == (
            1,
            True,
        )
        ran = made.call("run", "--json")
        assert ran.returncode == 0, ran.stderr
        assert PASSWORD.encode() not in ran.stdout + ran.stderr
        yield made


@pytest.mark.parametrize("format_", ["table", "csv", "json", "parquet"])
def test_query_answers_in_every_format(shop: Shop, format_: str) -> None:
    sql = "select 1 as a, null as b, now() as c, 1.5::numeric as d, array[1] as e"
    done = shop.call("query", sql, "--format", format_)
    starts = {
        "table": b"a  b",
        "csv": b"a,b,c,d,e\n1,",
        "json": b'[{"a": 1',
        "parquet": b"PAR1",
    }
    assert done.stdout.startswith(starts[format_]), done.stderr


@pytest.mark.parametrize(
    "value", ["date 'infinity'", "array[timestamptz '-infinity']", "time '24:00'"]
)
def test_a_date_that_python_does_not_know_is_told(shop: Shop, value: str) -> None:
    done = shop.call("query", f"select {value} as a")
    assert done.returncode == 2
    assert done.stderr.startswith(b"error: a date or time is infinite")
    done = shop.call("query", f"select ({value})::text as a")
    assert b"infinity" in done.stdout or b"24:00" in done.stdout


def test_every_message_is_there_and_status_and_doctor_are_well(shop: Shop) -> None:
    counted = shop.call("query", "select count(*) as n from marts.fct_messages", "--format", "json")
    assert json.loads(counted.stdout) == [{"n": shop.messages}]
    told = json.loads(shop.call("status", "--json").stdout)
    assert {r["account"] for r in told["resources"]} == {"kapso:default", "waspy:default"}
    assert told["published_at"]
    assert "postgresql://127.0.0.1" in told["warehouse"]
    doctor = shop.call("doctor")
    assert doctor.returncode == 0, doctor.stdout


@pytest.mark.parametrize(
    "sql",
    [
        "selec 1",
        "select * from nowhere",
        "drop schema marts cascade",
        "commit; drop schema marts cascade",
        "create temporary table t (a int)",
        "copy (select 1) to program 'true'",
    ],
)
def test_sql_that_is_wrong_or_not_allowed_is_told_in_one_line(shop: Shop, sql: str) -> None:
    done = shop.call("query", sql)
    assert (done.returncode, done.stdout) == (2, b""), done.stderr
    assert [line.split(b":")[0] for line in done.stderr.splitlines()] == [b"error", b"hint"]


MISTAKES = {
    "a wrong password": (f":{quote(PASSWORD, safe='')}@", ":CANARY-wrong@", "password is refused"),
    "a wrong port": ("127.0.0.1:", "127.0.0.1:1", "does not answer"),
    "a wrong database": ("/test_", "/nowhere_", "no such database"),
    "no TLS": ("127.0.0.1:", "localhost:", ""),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_in_the_url_is_told_without_it(shop: Shop, name: str) -> None:
    old, new, told = MISTAKES[name]
    url = shop.environment["SHOP_DATABASE"].replace(old, new, 1)
    url += "?sslmode=require" if name == "no TLS" else ""
    if name == "a wrong port":
        url = url.replace(url.split(":")[3].split("/")[0], "9")
    done = shop.call("status", SHOP_DATABASE=url)
    assert done.returncode == 1, done.stdout
    assert (told or "TLS").encode() in done.stderr
    assert b"CANARY" not in done.stderr + done.stdout


def test_the_password_stands_in_no_file(shop: Shop) -> None:
    options = "?connect_timeout=9&application_name=shop&keepalives_idle=60"
    built = shop.call("build", SHOP_DATABASE=shop.environment["SHOP_DATABASE"] + options)
    assert built.returncode == 0, built.stderr
    words = (PASSWORD.encode(), quote(PASSWORD, safe="").encode())
    paths = [path for path in shop.folder.rglob("*") if path.is_file()]
    assert len(paths) > 5
    assert [path for path in paths for word in words if word in path.read_bytes()] == []


def test_two_runs_at_once_are_one_too_many(shop: Shop) -> None:
    from pipelines.warehouse.postgres import PostgresWarehouse

    with PostgresWarehouse(shop.environment["SHOP_DATABASE"], shop.folder).lock():
        done = shop.call("sync")
        assert (done.returncode, b"another run holds the warehouse" in done.stderr) == (1, True)
        assert json.loads(shop.call("status", "--json").stdout)["is_running"]
