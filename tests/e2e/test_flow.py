"""The Prefect flow, run for real in a process of its own, without a server."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from pipelines.providers import find
from pipelines.simulation import serve
from pipelines.world import make_world


def test_a_flow_run_syncs_builds_and_publishes_and_shows_no_key(tmp_path: Path) -> None:
    world = make_world(
        seed=5, ends_at=datetime(2026, 3, 20, 21, tzinfo=UTC), days=3, conversations_per_day=4
    )
    room = find()[0]
    with serve(room.simulate(world, api_key="CANARY-key")) as url:
        (tmp_path / "doblecheck.toml").write_text(
            f'[[accounts]]\nprovider = "{room.name}"\napi_key = "CANARY-key"\nbase_url = "{url}"\n'
        )
        environment = {
            **os.environ,
            "PREFECT_HOME": str(tmp_path / "prefect"),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
        }
        done = subprocess.run(
            [sys.executable, "-m", "flows.sync"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "CANARY" not in done.stdout + done.stderr
    with duckdb.connect(tmp_path / "data" / "analytics.duckdb", read_only=True) as connection:
        counted = connection.execute("select count(*) from marts.fct_messages").fetchone()
    assert counted == (len(world.messages),)
