"""What goes wrong in a first hour: each mistake is told in one line, with what to do."""

from __future__ import annotations

import json
import os
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from flows.serve import _run_schedule
from pipelines.commands.starter import write
from pipelines.commands.verify import verify
from pipelines.errors import ConfigError, UsageError
from pipelines.providers import find
from pipelines.settings import load
from pipelines.simulation import serve
from pipelines.warehouse.embedded import DuckDBWarehouse
from pipelines.world import make_world

ROOT = Path(__file__).parents[2]
KAPSO = next(room for room in find() if room.name == "kapso")
ACCOUNT = '[[accounts]]\nprovider = "kapso"\napi_key = "a-key"\n'


def told(folder: Path, *arguments: str, **environment: str) -> tuple[int, str, str]:
    """The exit code, what was wrong and what to do, of one command in a folder."""
    ours = ("DOBLECHECK_", "KAPSO_", "WASPY_")
    clean = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.cli", *arguments],
        cwd=folder,
        env=clean | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr
    *_, error, hint = ["", "", *done.stderr.splitlines()]
    return done.returncode, error, hint


@contextmanager
def taken() -> Iterator[str]:
    """A port that another program listens on."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield str(other.getsockname()[1])


@pytest.mark.parametrize("command", ["sync", "run", "serve"])
def test_no_key(tmp_path: Path, command: str) -> None:
    code, error, hint = told(tmp_path, command)
    assert code == 2
    assert "no account is configured" in error
    assert hint == "hint: set KAPSO_API_KEY in the environment, or write a file: doblecheck init"


def test_a_file_as_init_wrote_it(tmp_path: Path) -> None:
    assert told(tmp_path, "init")[0] == 0
    code, _, hint = told(tmp_path, "sync")
    assert code == 2
    assert f"take the # off an account in {tmp_path / 'doblecheck.toml'}" in hint


def test_init_writes_the_file_that_the_environment_names(tmp_path: Path) -> None:
    named = {"DOBLECHECK_CONFIG": "shop.toml"}
    assert told(tmp_path, "status", **named)[2] == "hint: write one: doblecheck init"
    assert told(tmp_path, "init", **named)[0] == 0
    assert told(tmp_path, "status", **named)[0] == 0
    assert not (tmp_path / "doblecheck.toml").exists()


def test_a_key_that_is_not_in_the_environment(tmp_path: Path) -> None:
    (tmp_path / "doblecheck.toml").write_text(ACCOUNT.replace("a-key", "env:SOME_KEY"))
    code, error, hint = told(tmp_path, "sync")
    assert (code, "SOME_KEY is empty" in error, "set SOME_KEY" in hint) == (2, True, True)


def test_a_wrong_key(tmp_path: Path) -> None:
    world = make_world(seed=1, ends_at=datetime(2026, 3, 2, tzinfo=UTC), days=1)
    with serve(KAPSO.simulate(world, api_key="another-key")) as url:
        found = told(tmp_path, "sync", KAPSO_API_KEY="a-wrong-key", KAPSO_BASE_URL=url)
    assert found[0] == 1
    assert "does not accept the key" in found[1]
    assert "hint: " in found[2]
    assert "a-wrong-key" not in "".join(map(str, found))


@pytest.mark.parametrize(
    ("line", "error", "hint"),
    [
        ('base_url = "https://api.kapsso.ai"', "not the provider's https", "https://api.kapso.ai"),
        ('base_url = "http://api.kapso.ai"', "not the provider's https", "https://api.kapso.ai"),
        ('base_url = "api.kapso.ai"', "base_url is not a web address", "https://api.kapso.ai"),
        ('key = "k"', "accounts.0.key: unknown setting", "doblecheck init"),
        ("concurrency = 0", "accounts.0.concurrency", "doblecheck init"),
        ('resources = ["mesages"]', "no resource 'mesages'", "messages"),
        ("concurrency = ", "is not valid TOML", "fix that line"),
        ('[[accounts]]\nprovider = "kapsso"', "unknown provider 'kapsso'", "kapso, waspy"),
        ("[dashbord]", "unknown setting 'dashbord'", "dashboard"),
    ],
)
def test_a_wrong_line_in_the_file(tmp_path: Path, line: str, error: str, hint: str) -> None:
    (tmp_path / "doblecheck.toml").write_text(f"{ACCOUNT}{line}\n")
    found = told(tmp_path, "sync")
    assert found[0] == 2
    assert error in found[1]
    assert hint in found[2]


@pytest.mark.parametrize(
    "moment", ["9999-12-31T23:59:59-05:00", "0001-01-01T00:00:00+05:00", "9999-12-31", "yesterday"]
)
def test_a_time_that_there_is_not(tmp_path: Path, moment: str) -> None:
    code, error, hint = told(tmp_path, "status", "--as-of", moment)
    assert code == 2
    assert f"--as-of '{moment}' is not an ISO time from 1970" in error
    assert hint == "hint: such as 2026-11-20T18:00:00Z"


def test_a_host_that_can_be_none(tmp_path: Path) -> None:
    keys = {"KAPSO_API_KEY": "k", "KAPSO_WEBHOOK_SECRET": "s" * 32}
    code, error, _ = told(tmp_path, "receive", "--host", ".x", **keys)
    assert (code, error) == (2, "error: no address for receiver.host '.x'")


def test_a_file_that_another_program_has_open(tmp_path: Path) -> None:
    held = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print(1, flush=True); input()"
    path = tmp_path / "data" / "warehouse.duckdb"
    path.parent.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", held, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "1\n"
        found = told(tmp_path, "build")
        other.communicate("\n")
    assert found[0] == 1
    assert "another program" in found[1] + found[2]
    assert "close it" in found[2]


def test_a_data_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file, not a folder")
    code, error, hint = told(tmp_path, "build")
    assert code == 1
    assert str(tmp_path / "data") in error
    assert "data_dir" in hint


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_no_riddle(monkeypatch, capsys) -> None:
    from pipelines import cli

    def full() -> None:
        with Path("/dev/full").open("w") as file:
            file.write("x")

    monkeypatch.setattr(cli, "app", full)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    assert capsys.readouterr().err.startswith("error: no room on the disk\nhint: make some")


def test_a_user_whom_the_system_does_not_know_has_a_home(monkeypatch) -> None:
    """A container runs as any number; Streamlit and Prefect ask where their home is."""
    from pipelines import cli

    def unknown(number: int) -> None:
        raise KeyError(number)

    homes = []
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", unknown)
    monkeypatch.setattr(cli, "app", lambda: homes.append(Path.home()))
    cli.main()
    assert homes == [Path("/")]


@pytest.mark.parametrize("command", ["simulate", "demo", "dashboard", "receive"])
def test_a_port_in_use(tmp_path: Path, command: str) -> None:
    keys = {"KAPSO_API_KEY": "k", "KAPSO_WEBHOOK_SECRET": "s" * 32}
    shop = ["--days", "1"] if command in ("simulate", "demo") else []
    with taken() as port:
        code, error, hint = told(tmp_path, command, "--port", port, *shop, **keys)
    assert code == 2
    assert port in error
    assert "taken" in error or "in use" in error
    assert "hint: " in hint


def test_a_question_before_there_is_an_answer(tmp_path: Path) -> None:
    code, error, hint = told(tmp_path, "query", "select 1")
    assert (code, "nothing is published" in error) == (1, True)
    assert hint == "hint: run: doblecheck run"


@pytest.mark.parametrize("format_", ["table", "csv", "json"])
def test_who_reads_no_further_is_told_nothing(tmp_path: Path, format_: str) -> None:
    DuckDBWarehouse(tmp_path / "data" / "warehouse.duckdb", tmp_path / "data").publish()
    sql = "select * from range(100000)"
    with subprocess.Popen(
        [sys.executable, "-m", "pipelines.cli", "query", sql, "--format", format_],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as query:
        assert query.stdout is not None
        assert query.stderr is not None
        query.stdout.read(1)
        query.stdout.close()
        assert query.stderr.read() == b""


def test_a_python_that_is_too_old(tmp_path: Path) -> None:
    for name in ("Makefile", "requirements.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    old = tmp_path / "python"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    done = subprocess.run(
        ["make", "demo", f"PYTHON={old}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert (
        "error: doblecheck needs Python 3.11 or newer\nhint: make demo PYTHON="
        in done.stderr + done.stdout
    )
    assert not (tmp_path / ".venv").exists()


def test_a_folder_that_no_demo_made_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "data" / "demo").mkdir(parents=True)
    notes = tmp_path / "data" / "demo" / "notes.txt"
    notes.write_text("mine")
    code, error, hint = told(tmp_path, "demo", "--days", "3")
    assert (code, notes.read_text()) == (2, "mine")
    assert "holds something that no demo made" in error
    assert "move it away" in hint


def test_a_home_of_nobody(tmp_path: Path) -> None:
    code, error, _ = told(tmp_path, "status", DOBLECHECK_DATA_DIR="~nobody-at-all/data")
    assert code == 2
    assert "there is no such user" in error


def test_a_process_without_streams(tmp_path: Path) -> None:
    (tmp_path / "doblecheck.toml").write_text(ACCOUNT)
    for closed in (">&-", "2>&-", "<&- >&- 2>&-"):
        command = f'"{sys.executable}" -m pipelines.cli status {closed}'
        assert subprocess.run(command, shell=True, cwd=tmp_path, check=False).returncode == 0


def test_the_first_run_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / "doblecheck.toml").write_text(ACCOUNT)
    with DuckDBWarehouse(tmp_path / "data" / "warehouse.duckdb", tmp_path / "data").lock():
        done = subprocess.run(
            [sys.executable, "-m", "pipelines.cli", "status", "--json"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["is_running"] is True


def test_a_file_that_init_replaces_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "doblecheck.toml"
    path.write_text("")
    path.chmod(0o644)
    write(path, force=True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_cron_of_the_environment_wins_over_the_file_that_init_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "doblecheck.toml", force=False)
    monkeypatch.setenv("DOBLECHECK_SCHEDULE__CRON", "*/7 * * * *")
    schedule = _run_schedule(load(path, find()))
    assert schedule.cron == "*/7 * * * *"
    monkeypatch.setenv("DOBLECHECK_SCHEDULE__EVERY", "1 hour")
    with pytest.raises(ConfigError, match="choose one"):
        load(path, find())
    monkeypatch.delenv("DOBLECHECK_SCHEDULE__EVERY")
    monkeypatch.delenv("DOBLECHECK_SCHEDULE__CRON")
    path.write_text('[schedule]\nevery = "5 minutes"\ncron = "*/5 * * * *"\n')
    with pytest.raises(ConfigError, match="choose one"):
        load(path, find())


def test_a_folder_without_cases_is_named(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UsageError, match=str(folder)):
            verify(folder)


def test_a_missing_key_is_told_with_every_place_that_was_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "doblecheck.toml"
    path.write_text('[[accounts]]\nprovider = "kapso"\n')
    with pytest.raises(ConfigError) as refused:
        _ = load(path, find()).accounts[0].key
    told = f"{refused.value} {refused.value.hint}"
    for place in ("DOBLECHECK_ACCOUNTS__0__API_KEY", "api_key under [[accounts]]", path.name):
        assert place in told
