"""The schedules as a team meets them: processes that are started, killed, and taken over."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pytest
import yaml

from pipelines.journal import Entry, Journal
from pipelines.providers import find
from pipelines.simulation import Clock, serve
from pipelines.world import World, make_world

ROOT = Path(__file__).parents[2]
KEY = "CANARY-4711-key"
DOWN = "http://127.0.0.1:9"
ENDS_AT = datetime(2026, 3, 20, 21, tzinfo=UTC)
PATIENCE = 240.0
"""Not a measure: two cores may have a lot to do."""


def until(what: Callable[[], Any], *, process: subprocess.Popen[bytes] | None = None) -> Any:
    """What comes back, as soon as it is something."""
    ends_at = time.monotonic() + PATIENCE
    while time.monotonic() < ends_at:
        if found := what():
            return found
        assert process is None or process.poll() is None, "the process ended"
        time.sleep(0.1)
    raise AssertionError("it never came")


@dataclass
class Place:
    """A folder with a configuration, and what runs in it."""

    folder: Path
    worlds: dict[str, World]
    clock: Clock
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(
        self, name: str, *command: str, folder: Path | None = None, **environment: str
    ) -> subprocess.Popen[bytes]:
        """Start a command of this environment's Python; what it says goes to `<name>.log`."""
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=folder or self.folder,
                env={**clean_environment(), **environment},
                stdout=log,
                stderr=log,
            )
        self.processes.append(process)
        return process

    def serve(self, name: str) -> subprocess.Popen[bytes]:
        return self.start(name, "pipelines.cli", "serve")

    def said(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def api(self, name: str) -> httpx.Client:
        """Prefect's API of the process that serves."""
        found = until(lambda: re.search(r"Prefect is at (\S+)", self.said(name)))
        return httpx.Client(base_url=f"{found[1]}/api", timeout=PATIENCE)

    def runs(self, kind: str = "run") -> list[Entry]:
        """What the log of runs tells, the oldest first."""
        return [e for e in reversed(Journal(self.folder / "data").last(100)) if e.kind == kind]

    def ended(self, outcome: str = "ok") -> list[Entry]:
        return [entry for entry in self.runs() if entry.outcome == outcome]

    def messages(self) -> int:
        with duckdb.connect(self.folder / "data" / "analytics.duckdb", read_only=True) as snapshot:
            row = snapshot.execute("select count(*) from marts.fct_messages").fetchone()
        assert row is not None
        return int(row[0])


def clean_environment() -> dict[str, str]:
    ours = ("DOBLECHECK_", "KAPSO_", "WASPY_", "PREFECT_")
    return {key: value for key, value in os.environ.items() if not key.startswith(ours)}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("served")
    world = make_world(seed=5, ends_at=ENDS_AT, days=3, conversations_per_day=3)
    clock = Clock(now=ENDS_AT - timedelta(days=1))
    worlds, accounts = {}, []
    with ExitStack() as stack:
        for i, room in enumerate(find()):
            part = world.only(channels=[channel.id for channel in world.channels[i::2]])
            url = stack.enter_context(serve(room.simulate(part, api_key=KEY, clock=clock)))
            worlds[room.name] = part
            accounts.append(
                f'[[accounts]]\nprovider = "{room.name}"\napi_key = "{KEY}"\nbase_url = "{url}"\n'
            )
        schedule = '[schedule]\nevery = "2 s"\ningest_every = "1 hour"\nport = 0\n'
        (folder / "doblecheck.toml").write_text("".join(accounts) + schedule)
        found = Place(folder, worlds, clock)
        try:
            yield found
        finally:
            for process in found.processes:
                if process.poll() is None:
                    process.send_signal(signal.SIGTERM)
            for process in found.processes:
                process.wait(60)


@pytest.fixture(scope="module")
def taken_over(place: Place) -> str:
    """Two processes serve, and the first is killed in the middle of a run: the second's name."""
    first = place.serve("first")
    until(lambda: len(place.ended()) >= 2, process=first)
    place.serve("second")
    until(lambda: "waiting to take over" in place.said("second"))
    done = len(place.ended())
    place.clock.now = ENDS_AT
    until(lambda: place.ended("running"), process=first)
    first.kill()
    first.wait()
    assert "killed" in [entry.outcome for entry in place.runs()]
    until(lambda: len(place.ended()) > done)
    with place.api("second") as api:  # what follows looks at what has happened
        deployment = api.get("/deployments/name/sync/doblecheck").json()["id"]
        assert api.post(f"/deployments/{deployment}/pause_deployment").is_success
        until(lambda: not runs(api, "RUNNING", "PENDING") and not place.ended("running"))
    return "second"


def test_who_takes_over_completes_what_a_killed_one_left(place: Place, taken_over: str) -> None:
    assert place.messages() == sum(len(world.messages) for world in place.worlds.values())
    assert "Prefect is at" in place.said(taken_over)


def test_no_run_of_the_killed_process_stays_open(place: Place, taken_over: str) -> None:
    with place.api(taken_over) as api:
        crashed = runs(api, "CRASHED")
        assert len(crashed) == 1
        assert "is gone" in crashed[0]["state"]["message"]
        tasks = api.post(
            "/task_runs/filter",
            json={"flow_runs": {"id": {"any_": [crashed[0]["id"]]}}},
        ).json()
        assert {task["state_type"] for task in tasks} <= {"COMPLETED", "CRASHED"}
        assert runs(api, "RUNNING", "PENDING", "CANCELLING") == []


def test_one_run_at_a_time_and_missed_ones_collapse(place: Place, taken_over: str) -> None:
    both = list(itertools.pairwise(place.runs()))
    assert len(both) >= 3
    for entry, following in both:
        assert entry.ended_at is None or following.started_at >= entry.ended_at
    with place.api(taken_over) as api:
        skipped = [run for run in runs(api, "CANCELLED") if run["state"]["name"] == "Skipped"]
    assert skipped
    assert {run["state"]["message"] for run in skipped} <= {
        "missed; one run stands for all that were",
        "the run before it was still going on",
    }


def test_a_run_leaves_tables_to_look_at(place: Place, taken_over: str) -> None:
    with place.api(taken_over) as api:
        found = api.post("/artifacts/latest/filter", json={}).json()
    tables = {a["key"]: json.loads(a["data"]) for a in found if a["type"] == "table"}
    assert {"accounts", "freshness", "budget", "slowest-models"} <= tables.keys()
    assert {row["account"] for row in tables["accounts"]} == {
        f"{name}:default" for name in place.worlds
    }
    assert all(row["quarantined"] == 0 for row in tables["freshness"])


def test_between_runs_nobody_holds_the_warehouse(place: Place, taken_over: str) -> None:
    with duckdb.connect(place.folder / "data" / "warehouse.duckdb") as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def test_status_tells_the_last_runs_without_asking_prefect(place: Place, taken_over: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.cli", "status", "--json"],
        cwd=place.folder,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    outcomes = [run["outcome"] for run in json.loads(done.stdout)["runs"]]
    assert "killed" in outcomes
    assert "ok" in outcomes


def test_a_run_that_a_person_asks_for_is_never_skipped(place: Place, taken_over: str) -> None:
    with place.api(taken_over) as api:
        deployment = api.get("/deployments/name/ingest/doblecheck").json()["id"]
        asked = ask_for_run(api, deployment)

        def state() -> dict[str, Any]:
            return dict(api.get(f"/flow_runs/{asked}").json()["state"])

        until(lambda: state()["type"] not in ("SCHEDULED", "PENDING", "RUNNING"))
        assert state()["type"] == "COMPLETED"


@pytest.mark.matrix
def test_the_weekly_upkeep_reads_everything_again_and_removes_what_is_old(
    place: Place, taken_over: str
) -> None:
    old = place.folder / "data" / "dlt" / "set_aside" / "1700000000.0"
    old.parent.mkdir(mode=0o700, exist_ok=True)
    old.mkdir(mode=0o700)
    os.utime(old, (1_700_000_000, 1_700_000_000))
    with place.api(taken_over) as api:
        deployment = api.get("/deployments/name/maintain/doblecheck").json()["id"]
        asked = ask_for_run(api, deployment)

        def state() -> dict[str, Any]:
            return dict(api.get(f"/flow_runs/{asked}").json()["state"])

        until(lambda: state()["type"] not in ("SCHEDULED", "PENDING", "RUNNING"))
        assert state()["type"] == "COMPLETED", state()
    (told,) = place.runs("maintain")
    assert told.outcome == "ok"
    assert told.requests > 0
    assert not old.exists()
    assert place.messages() == sum(len(world.messages) for world in place.worlds.values())


def test_prefect_takes_the_automation_that_is_handed_out(place: Place, taken_over: str) -> None:
    automation = yaml.safe_load((ROOT / "docs" / "examples" / "automation.yaml").read_text())
    with place.api(taken_over) as api:
        made = api.post("/automations/", json=automation)
    assert made.status_code == 201, made.text


def prefect(place: Place, name: str) -> dict[str, str]:
    """The environment of a process that uses the server of the one that serves."""
    with place.api(name) as api:
        url = str(api.base_url).rstrip("/")
    return {
        "PREFECT_API_URL": url,
        "PREFECT_HOME": str(place.folder / "data" / "prefect" / "elsewhere"),
        "DOBLECHECK_CONFIG": str(place.folder / "doblecheck.toml"),
        "TMPDIR": str(place.folder),  # a worker puts things in a folder that another user may own
        "DO_NOT_TRACK": "1",
    }


def test_a_worker_elsewhere_runs_a_backfill(place: Place, taken_over: str) -> None:
    environment = prefect(place, taken_over)
    pool = "doblecheck-process"
    for name, command in {
        "pool": ("work-pool", "create", pool, "--type", "process"),
        "deploy": ("--no-prompt", "deploy", "--name", "*/process"),
    }.items():
        done = place.start(name, "prefect", *command, folder=ROOT, **environment)
        assert done.wait(PATIENCE) == 0, place.said(name)
    span = {"start": "2026-03-18", "end": "2026-03-21", "days_per_slice": 2}
    with place.api(taken_over) as api:
        for flow in ("sync", "ingest", "maintain"):  # these would come due, and do as on schedule
            deployment = api.get(f"/deployments/name/{flow}/process").json()["id"]
            assert api.post(f"/deployments/{deployment}/pause_deployment").is_success
        deployment = api.get("/deployments/name/backfill/process").json()["id"]
        asked = ask_for_run(api, deployment, parameters=span)
        worker = place.start(
            "worker", "prefect", "worker", "start", "--pool", pool, "--run-once", **environment
        )
        assert worker.wait(PATIENCE) == 0, place.said("worker")
        run = api.get(f"/flow_runs/{asked}").json()
        progress = api.post("/artifacts/latest/filter", json={}).json()
    assert run["state"]["type"] == "COMPLETED", run["state"]
    assert run["name"] == "backfill 2026-03-18 to 2026-03-21"
    assert [float(a["data"]) for a in progress if a["key"] == "backfill"] == [100.0]
    (told,) = place.runs("backfill")
    assert told.outcome == "ok"
    assert told.requests > 0
    assert place.messages() == sum(len(world.messages) for world in place.worlds.values())


def test_one_account_fails_alone_and_the_run_says_so(
    place: Place, taken_over: str, tmp_path: Path
) -> None:
    room = find()[0]
    app = room.simulate(place.worlds[room.name], api_key=KEY)
    with serve(app) as url:
        accounts = [("good", KEY, url), ("refused", "another-key", url), ("down", KEY, DOWN)]
        (tmp_path / "doblecheck.toml").write_text(
            "".join(
                f'[[accounts]]\nprovider = "{room.name}"\nname = "{name}"\napi_key = "{key}"\n'
                f'base_url = "{at}"\nretry_seconds = 0.01\n'
                for name, key, at in accounts
            )
        )
        environment = prefect(place, taken_over)
        environment["DOBLECHECK_CONFIG"] = str(tmp_path / "doblecheck.toml")
        done = place.start("sync", "flows.sync", folder=tmp_path, **environment)
        assert done.wait(PATIENCE) == 1, place.said("sync")
    with place.api(taken_over) as api:
        (run,) = [run for run in runs(api, "FAILED") if run["deployment_id"] is None]
        tasks = api.post(
            "/task_runs/filter", json={"flow_runs": {"id": {"any_": [run["id"]]}}}
        ).json()
        events = until(lambda: failures(api))
    assert sorted(event["resource"]["prefect.resource.id"] for event in events) == [
        f"doblecheck.{room.name}:down",
        f"doblecheck.{room.name}:refused",
    ]
    assert "refused" in run["state"]["message"]
    assert "down" in run["state"]["message"]
    assert "good" not in run["state"]["message"]
    ends = {task["name"]: task["state_type"] for task in tasks}
    assert ends[f"sync {room.name}:good"] == "COMPLETED"
    assert ends[f"sync {room.name}:refused"] == ends[f"sync {room.name}:down"] == "FAILED"
    again = [line for line in place.said("sync").splitlines() if "Retry 1/1 will start" in line]
    assert len(again) == 1  # who does not answer is asked again, who refuses the key is not
    assert "does not answer" in again[0]
    with duckdb.connect(tmp_path / "data" / "analytics.duckdb", read_only=True) as snapshot:
        row = snapshot.execute("select count(*) from marts.fct_messages").fetchone()
    assert row == (len(place.worlds[room.name].messages),)


def test_prefect_holds_nothing_of_a_customer_and_no_key(place: Place, taken_over: str) -> None:
    phones = {
        contact.phone.encode()
        for world in place.worlds.values()
        for contact in world.contacts
        if contact.phone
    }
    secrets = {KEY.encode(), *phones}
    files = [path for path in (place.folder / "data" / "prefect").rglob("*") if path.is_file()]
    looked = [path for path in [*files, *place.folder.glob("*.log")] if "ui" not in path.parts]
    assert any(path.name == "prefect.db" for path in looked)
    for path in looked:
        content = path.read_bytes()
        assert [secret for secret in secrets if secret in content] == [], path.name


def test_files_of_prefect_are_for_their_owner_only(place: Place, taken_over: str) -> None:
    modes = {
        stat.S_IMODE(path.stat().st_mode) & 0o077
        for path in (place.folder / "data").rglob("*")
        if not path.is_symlink()
        and path.exists()
        and "ui" not in path.parts  # copies of files that anybody can download
    }
    assert modes == {0}


def ask_for_run(api: httpx.Client, deployment: str, **wanted: Any) -> str:
    """Ask for a run, and again while Prefect answers 503, its word for a locked database: its own
    client does the same."""

    def asked() -> httpx.Response | None:
        answer = api.post(f"/deployments/{deployment}/create_flow_run", json=wanted)
        return None if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE else answer

    answer = until(asked)
    assert answer.status_code == httpx.codes.CREATED, answer.text
    return str(answer.json()["id"])


def failures(api: httpx.Client) -> list[dict[str, Any]]:
    """The events of accounts that failed, once there are two. That runs were killed is told too."""
    asked = {"filter": {"event": {"name": ["doblecheck.account.failed"]}}}
    events = api.post("/events/filter", json=asked).json()["events"]
    installation = "doblecheck.installation"
    found = [e for e in events if e["resource"]["prefect.resource.id"] != installation]
    return found if len(found) >= 2 else []


def runs(api: httpx.Client, *states: str) -> list[dict[str, Any]]:
    """The flow runs in one of these states."""
    found = api.post(
        "/flow_runs/filter", json={"flow_runs": {"state": {"type": {"any_": list(states)}}}}
    )
    return list(found.json())
