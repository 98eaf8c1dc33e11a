"""The command line as a user meets it: a process, real HTTP, exit codes, stdout and stderr."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from channel import channel
from starlette.applications import Starlette
from waiting import wait_until

from pipelines.providers import find
from pipelines.receiver.log import Arrival
from pipelines.receiver.sqlite_log import SqliteLog
from pipelines.simulation import serve
from pipelines.warehouse import at
from pipelines.world import World, make_world

KEY = "CANARY-4711-key"
READY_QUERY = Path(__file__).parents[2] / "docs" / "queries" / "who_waits_now.sql"
ENDS_AT = datetime(2026, 3, 20, 21, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


PLAIN = ("-m", "pipelines.cli")


def doblecheck(
    folder: Path, *arguments: str, by: tuple[str, str] = PLAIN, **environment: str
) -> Result:
    """Run the command in a folder, with nothing of ours in the environment but what is given."""
    ours = ("DOBLECHECK_", "KAPSO_", "WASPY_")
    clean = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    done = subprocess.run(
        [sys.executable, *by, *arguments],
        cwd=folder,
        env={**clean, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return Result(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(seed=3, ends_at=ENDS_AT, days=6, conversations_per_day=5)


@dataclass(frozen=True)
class Stage:
    """Both providers' simulators, and the environment that points doblecheck at them."""

    environment: dict[str, str]
    apps: dict[str, Starlette]
    worlds: dict[str, World]

    @property
    def requests(self) -> int:
        return sum(len(app.state.requests) for app in self.apps.values())


@pytest.fixture(scope="module")
def stage(world: World) -> Iterator[Stage]:
    worlds, apps, environment = {}, {}, {}
    with ExitStack() as stack:
        for i, room in enumerate(find()):
            worlds[room.name] = world.only(channels=[c.id for c in world.channels[i::2]])
            apps[room.name] = room.simulate(worlds[room.name], api_key=KEY)
            environment[f"{room.name.upper()}_API_KEY"] = KEY
            url = stack.enter_context(serve(apps[room.name]))
            environment[f"{room.name.upper()}_BASE_URL"] = url
        yield Stage(environment, apps, worlds)


WATCHED = """
import sys
def watch(event, values):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname"):
        address = values[1] if event == "socket.connect" else values
        if isinstance(address, tuple) and str(address[0]) not in ("127.0.0.1", "localhost", "::1"):
            sys.stderr.write(f"outside: {event} {address[0]}\\n")
sys.addaudithook(watch)
if sys.argv[1:] == ["outside"]:
    import socket
    socket.socket(type=socket.SOCK_DGRAM).connect(("192.0.2.1", 9))
else:
    from pipelines.cli import main
    main()
"""
"""Says on stderr whom the command talks to but this machine."""


@pytest.fixture(scope="module")
def ran(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """A folder in which `doblecheck run` was run once, with nothing but the environment; it was
    watched, and told all that it can tell."""
    folder = tmp_path_factory.mktemp("shop")
    command = ("--verbose", "run", "--json")
    return folder, doblecheck(folder, *command, by=("-c", WATCHED), **stage.environment)


def counted(folder: Path, sql: str) -> int:
    (row,) = doblecheck(folder, "query", sql, "--format", "json").json
    return int(next(iter(row.values())))


def test_a_run_loads_every_message_once_and_builds_the_marts(
    ran: tuple[Path, Result], stage: Stage
) -> None:
    folder, result = ran
    assert (result.code, result.json["ok"]) == (0, True), result.err
    for name, part in stage.worlds.items():
        sql = f"select count(*), count(distinct id) from raw_{name}.messages"
        (row,) = doblecheck(folder, "query", sql, "--format", "json").json
        assert set(row.values()) == {len(part.messages)}
    everything = sum(len(part.messages) for part in stage.worlds.values())
    assert counted(folder, "select count(*) from marts.fct_messages") == everything
    assert counted(folder, "select count(*) from marts.fct_turns where scope = 'any'") > 0


def test_a_second_run_asks_little_and_changes_no_row(
    ran: tuple[Path, Result], stage: Stage
) -> None:
    folder, _ = ran
    as_of = "2026-03-21T00:00:00Z"
    assert doblecheck(folder, "build", "--as-of", as_of).code == 0
    before = contents(folder)
    requests = stage.requests
    result = doblecheck(folder, "run", "--json", "--as-of", as_of, **stage.environment)
    assert result.code == 0
    assert stage.requests - requests <= 20
    assert all(
        resource["changed"] == 0
        for account in result.json["accounts"]
        for resource in account["resources"].values()
    )
    assert contents(folder) == before


def test_a_run_whose_build_fails_tells_what_was_read(
    ran: tuple[Path, Result], stage: Stage
) -> None:
    folder, _ = ran
    full = {"DOBLECHECK_FAILPOINT": "publish.copy=enospc", **stage.environment}
    result = doblecheck(folder, "run", "--json", **full)
    assert result.code == 1
    assert (result.json["ok"], result.json["build"]) == (False, None)
    assert len(result.json["accounts"]) == len(stage.worlds)
    assert "make room on the disk" in result.err
    told = doblecheck(folder, "run", **full)
    assert all(name in told.out for name in stage.worlds)


def contents(folder: Path) -> dict[str, Any]:
    """Every row of raw tables and marts, but for when the sync state was last touched."""
    sql = (
        "select table_schema, table_name from information_schema.tables "
        "where (table_schema like 'raw_%' or table_schema = 'marts') "
        "and table_schema not like '%staging' and not starts_with(table_name, '_dlt') "
        "and table_name not in ('sync_state', 'mart_sync_health', 'dim_accounts')"
    )
    with at(folder / "data" / "warehouse.duckdb", folder / "data").reader() as connection:
        tables = connection.execute(sql).fetchall()
        assert len(tables) > 15
        return {
            f"{schema}.{name}": connection.execute(
                f'select * from {schema}."{name}" order by all'
            ).fetchall()
            for schema, name in tables
        }


def test_a_run_talks_to_the_providers_and_to_nobody_else(
    ran: tuple[Path, Result], tmp_path: Path
) -> None:
    _, result = ran
    assert "outside" not in result.err
    told = doblecheck(tmp_path, "outside", by=("-c", WATCHED)).err
    assert "outside: socket.connect 192.0.2.1" in told


def test_status_tells_rows_and_freshness(ran: tuple[Path, Result]) -> None:
    folder, _ = ran
    found = doblecheck(folder, "status", "--json").json
    assert {r["account"] for r in found["resources"]} == {"kapso:default", "waspy:default"}
    assert all(r["is_complete"] and r["last_error"] is None for r in found["resources"])
    assert all(r["age_seconds"] >= 0 for r in found["resources"])
    table = doblecheck(folder, "status").out
    assert "messages" in table


@pytest.mark.parametrize("format_", ["table", "csv", "json", "parquet"])
def test_query_answers_in_every_format(ran: tuple[Path, Result], format_: str) -> None:
    folder, _ = ran
    command = [sys.executable, "-m", "pipelines.cli", "query", "select 1 as a, null as b"]
    done = subprocess.run(
        [*command, "--format", format_], cwd=folder, capture_output=True, check=True
    )
    starts = {
        "table": b"a",
        "csv": b"a,b\n1,",
        "json": b'[{"a": 1',
        "parquet": b"PAR1",
    }
    assert done.stdout.startswith(starts[format_])


def test_sql_that_begins_with_a_comment_is_no_option(ran: tuple[Path, Result]) -> None:
    folder, _ = ran
    ready = READY_QUERY.read_text("utf-8")
    assert ready.startswith("-- ")
    result = doblecheck(folder, "query", ready, "--format", "csv")
    assert (result.code, bool(result.out)) == (0, True)
    result = doblecheck(folder, "query", "--a word\nselect 1 as a", "--format=csv")
    assert result.out == "a\n1\n"
    assert doblecheck(folder, "query", "--frmat", "select 1").code == 2


@pytest.mark.parametrize(
    "sql",
    ["selec 1", "select * from nowhere", "drop schema marts cascade", "copy (select 1) to 'x.csv'"],
)
def test_sql_that_is_wrong_or_not_allowed_is_told_in_one_line(
    ran: tuple[Path, Result], sql: str
) -> None:
    folder, _ = ran
    result = doblecheck(folder, "query", sql)
    assert (result.code, result.out) == (2, "")
    assert [line.split(":")[0] for line in result.err.splitlines()] == ["error", "hint"]
    assert not (folder / "x.csv").exists()


def test_doctor_finds_nothing_wrong_and_then_a_refused_key(
    ran: tuple[Path, Result], stage: Stage
) -> None:
    folder, _ = ran
    assert doblecheck(folder, "doctor", **stage.environment).code == 0
    result = doblecheck(folder, "doctor", **{**stage.environment, "WASPY_API_KEY": "old"})
    assert result.code == 1
    assert re.search(r"FAIL  key of waspy:default\n +Waspy does not accept the key", result.out)


def test_doctor_asks_the_programs_that_serve_about_their_settings(
    ran: tuple[Path, Result], stage: Stage, tmp_path: Path
) -> None:
    folder, _ = ran
    good = {"DOBLECHECK_SCHEDULE__CRON": "*/5 * * * *", "DOBLECHECK_DASHBOARD__PORT": "8600"}
    home = {"HOME": str(tmp_path), "DOBLECHECK_DATA_DIR": str(tmp_path / "new" / "data")}
    result = doblecheck(folder, "doctor", **stage.environment, **good, **home)
    assert (result.code, "Warning" in result.err) == (0, False)
    shutil.rmtree(tmp_path / "new")
    assert not [*tmp_path.iterdir()]  # a look makes nothing in anybody's home
    bad = {"DOBLECHECK_SCHEDULE__CRON": "at noon", "DOBLECHECK_DASHBOARD__HOST": "0.0.0.0"}
    result = doblecheck(folder, "doctor", **stage.environment, **bad)
    assert result.code == 1
    assert re.search(r"FAIL  schedule\n +'at noon' is no cron", result.out)
    assert re.search(r"FAIL  dashboard\n +dashboard.host '0.0.0.0' is not loopback", result.out)
    bad = {
        f"DOBLECHECK_DASHBOARD__{name}": "x"
        for name in ("OIDC_METADATA_URL", "OIDC_CLIENT_ID", "OIDC_REDIRECT_URL", "COOKIE_SECRET")
    }
    bad |= {"DOBLECHECK_DASHBOARD__AUTH": "oidc", "DOBLECHECK_DASHBOARD__VIEWERS": '["*"]'}
    bad |= {"DOBLECHECK_DASHBOARD__OIDC_CLIENT_SECRET": "env:NOWHERE"}
    result = doblecheck(folder, "doctor", **stage.environment, **bad)
    assert "no oidc_client_secret of the dashboard: the environment variable NOWHERE" in result.out
    assert "oidc_client_secret under [dashboard]" in result.out


def test_one_refused_key_does_not_stop_the_other_account(stage: Stage, tmp_path: Path) -> None:
    result = doblecheck(tmp_path, "sync", "--json", **{**stage.environment, "KAPSO_API_KEY": "old"})
    assert result.code == 1
    assert [(a["provider"], a["ok"]) for a in result.json["accounts"]] == [
        ("kapso", False),
        ("waspy", True),
    ]
    assert "hint: " in result.err


def test_a_run_by_cron_alerts_when_something_begins_or_ends_to_be_wrong(
    stage: Stage, tmp_path: Path
) -> None:
    with channel() as (url, taken):
        there = {**stage.environment, "DOBLECHECK_ALERTS__URL": url}
        for key in ("old", "old", KEY):
            doblecheck(tmp_path, "run", **{**there, "KAPSO_API_KEY": key})
    began, ended = (message["text"] for message in taken)
    assert "kapso:default was not read whole: Kapso does not accept the key" in began
    assert "over: kapso:default was not read whole" in ended


def changed(account: Any, resource: str) -> int:
    return int(account["resources"][resource]["changed"])


COUNTED = """
select (select count(*) from marts.fct_messages) as messages,
    (select count(*) from marts.fct_turns) as turns,
    (select sum(rows) from marts.mart_sync_health
        where resource in ('conversations', 'messages', 'contacts')) as rows
"""


def test_a_backup_as_the_page_has_it_brings_everything_back(stage: Stage, tmp_path: Path) -> None:
    data, copies = tmp_path / "data", tmp_path / "copies"
    assert doblecheck(tmp_path, "run", **stage.environment).code == 0
    counted = doblecheck(tmp_path, "query", COUNTED).out
    log = SqliteLog(data / "deliveries.db")
    log.append([Arrival("kapso", "default", datetime.now(UTC), {}, b'{"type": "unheard of"}')])
    log.close()
    page = (Path(__file__).parents[2] / "docs" / "deploy.md").read_text()
    commands = page.split("\n## Backups\n")[1].split("```")[1].removeprefix("sh\n")
    assert "/var/lib/doblecheck" in commands
    copies.mkdir()
    there = commands.replace("/var/lib/doblecheck", str(data)).replace("/backup", str(copies))
    subprocess.run(["sh", "-euc", there], check=True)
    data.rename(tmp_path / "lost")
    copies.rename(data)
    again = doblecheck(tmp_path, "run", "--json", **stage.environment)
    assert again.code == 0
    assert [changed(account, "messages") for account in again.json["accounts"]] == [0, 0]
    assert again.json["webhooks"]["read"] == 1
    assert doblecheck(tmp_path, "query", COUNTED).out == counted


def test_a_run_that_was_killed_is_alerted_by_the_next_one(stage: Stage, tmp_path: Path) -> None:
    with channel() as (url, taken):
        there = {**stage.environment, "DOBLECHECK_ALERTS__URL": url}
        for _ in range(2):
            killed = doblecheck(tmp_path, "run", **there, DOBLECHECK_FAILPOINT="sync.begin=kill")
            assert killed.code == -9
        assert doblecheck(tmp_path, "run", **there).code == 0
    began, over = (message["text"] for message in taken)
    assert "⚠ a run was killed" in began
    assert "✓ over: a run was killed" in over


def test_a_warehouse_that_cannot_be_reached_or_opened_is_alerted(
    stage: Stage, tmp_path: Path
) -> None:
    away = "postgresql://127.0.0.1:9/nobody"
    with channel() as (url, taken):
        there = {**stage.environment, "DOBLECHECK_ALERTS__URL": url}
        assert doblecheck(tmp_path, "run", **there, DOBLECHECK_WAREHOUSE__URL=away).code == 1
        (tmp_path / "data" / "warehouse.duckdb").write_bytes(b"no warehouse")
        assert doblecheck(tmp_path, "run", **there).code == 1
        (tmp_path / "data" / "warehouse.duckdb").unlink()
        assert doblecheck(tmp_path, "run", **there).code == 0
        status = doblecheck(tmp_path, "status", "--json", **there)
    texts = [message["text"] for message in taken]
    assert len(texts) == 2
    assert "⚠ a run failed: " in texts[0]
    assert "✓ over: a run failed: " in texts[1]
    assert [run["outcome"] for run in status.json["runs"]] == ["ok", "failed", "failed"]


def test_the_key_and_the_customers_stand_in_no_output(
    ran: tuple[Path, Result], stage: Stage, world: World
) -> None:
    folder, result = ran
    again = doblecheck(folder, "--verbose", "sync", "--full", **stage.environment)
    assert "rows new or changed" in result.err
    told = result.out + result.err + again.out + again.err
    assert KEY not in told
    for contact in world.contacts:
        assert not contact.phone or contact.phone.lstrip("+") not in told
        assert not contact.name or contact.name not in told


def test_files_are_for_their_owner_only(ran: tuple[Path, Result]) -> None:
    folder, _ = ran
    paths = [path for path in (folder / "data").rglob("*") if not path.is_symlink()]
    assert paths
    assert [str(p) for p in paths if stat.S_IMODE(p.stat().st_mode) & 0o077] == []


WRONG: dict[str, tuple[list[str], dict[str, str], int, str]] = {
    "no account": (["sync"], {}, 2, "no account is configured"),
    "unknown account": (["sync", "nobody"], {"KAPSO_API_KEY": "k"}, 2, "nobody"),
    "unknown resource": (["sync", "--resource", "cats"], {"KAPSO_API_KEY": "k"}, 2, "cats"),
    "bad toml": (["--config", "bad.toml", "run"], {}, 2, "not valid TOML"),
    "no file": (["--config", "none.toml", "run"], {}, 2, "none.toml"),
    "bad time": (["build", "--as-of", "soon"], {}, 2, "soon"),
    "unpublished": (["query", "select 1"], {}, 1, "nothing is published"),
    "postgres": (["build"], {"DOBLECHECK_WAREHOUSE__URL": "mysql://x/y"}, 2, "mysql"),
    "wrong host": (["sync"], {"KAPSO_API_KEY": "k", "KAPSO_BASE_URL": "http://a.b"}, 2, "base_url"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_is_told_in_one_line_with_a_hint(tmp_path: Path, name: str) -> None:
    arguments, environment, code, told = WRONG[name]
    (tmp_path / "bad.toml").write_text("x = [")
    result = doblecheck(tmp_path, *arguments, **environment)
    assert (result.code, result.out) == (code, "")
    error, hint = result.err.splitlines()
    assert error.startswith("error: ")
    assert told in error
    assert hint.startswith("hint: ")
    assert not (tmp_path / "data" / "warehouse.duckdb").exists()


def test_a_mistake_is_told_as_json_to_who_asked_for_it(tmp_path: Path) -> None:
    result = doblecheck(tmp_path, "sync", "nobody", "--json", KAPSO_API_KEY="k")
    assert result.code == 2
    assert "nobody" in result.json["error"]
    assert result.json["hint"] in result.err
    assert result.json["ok"] is False


def test_a_query_ends_at_ctrl_c(ran: tuple[Path, Result]) -> None:
    folder, _ = ran
    endless = "select count(*) from range(1000000000000) as r (i) where i % 7 = 3"
    command = [sys.executable, "-m", "pipelines.cli", "query", endless]
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE) as process:
        try:
            busy = Path(f"/proc/{process.pid}/stat")  # its 14th field: ticks of work
            wait_until(lambda: int(busy.read_text().rpartition(")")[2].split()[11]) > 100)
            process.send_signal(signal.SIGINT)
            assert process.wait(5) == -signal.SIGINT
            assert process.stderr is not None
            assert b"Traceback" not in process.stderr.read()
        finally:
            process.kill()


def test_a_terminal_of_another_time_gets_what_it_can_show(ran: tuple[Path, Result]) -> None:
    folder, _ = ran
    old = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}
    result = doblecheck(folder, "status", **old)
    assert result.code == 0
    assert "waspy:default" in result.out


def test_a_host_that_nobody_answers_on_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "doblecheck.toml").write_text(
        '[[accounts]]\nprovider = "kapso"\napi_key = "k"\nbase_url = "http://127.0.0.1:9"\n'
        "retry_seconds = 0.01\n"
    )
    result = doblecheck(tmp_path, "sync", "--json")
    assert result.code == 1
    assert result.err.count("does not answer") == 1
    assert result.json["accounts"][0]["error"]


def test_a_run_that_finds_another_one_says_so(ran: tuple[Path, Result], stage: Stage) -> None:
    import fcntl

    folder, _ = ran
    with (folder / "data" / "warehouse.duckdb.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = doblecheck(folder, "run", **stage.environment)
        assert (result.code, result.out) == (1, "")
        assert "another run holds the warehouse" in result.err
        assert doblecheck(folder, "status", "--json").json["is_running"]


def test_the_file_that_init_writes_is_valid_private_and_not_overwritten(tmp_path: Path) -> None:
    assert doblecheck(tmp_path, "init").code == 0
    path = tmp_path / "doblecheck.toml"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    text = path.read_text()
    assert doblecheck(tmp_path, "init").code == 2
    assert path.read_text() == text
    assert doblecheck(tmp_path, "status").code == 0
    # Its examples are valid too: settings are commented with "# ", words are not settings.
    example = re.compile(r"^# (?=\[|[a-z_]+ = )")
    path.write_text("\n".join(example.sub("", line) for line in text.splitlines()))
    assert doblecheck(tmp_path, "status").code == 0, path.read_text()


def test_help_comes_at_once() -> None:
    code = (
        "import sys; import pipelines.cli; "
        "heavy = {'dlt', 'dbt', 'duckdb', 'httpx', 'prefect', 'polars', 'pydantic', 'pyarrow'}; "
        "sys.exit(str(sorted(heavy & sys.modules.keys())) if heavy & sys.modules.keys() else 0)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
