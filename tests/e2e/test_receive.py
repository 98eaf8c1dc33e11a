"""`doblecheck receive` as people run it: its own process, settings from the environment."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from receiver_bench import SECRET, signed

CLI = [sys.executable, "-m", "pipelines.cli"]


def environment(**given: str) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("DOBLECHECK_", "KAPSO_", "WASPY_"))
    }
    return kept | {"KAPSO_API_KEY": "CANARY-key", "DOBLECHECK_RECEIVER__METRICS_PORT": "0"} | given


def run(folder: Path, *arguments: str, **given: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*CLI, *arguments],
        cwd=folder,
        env=environment(**given),
        capture_output=True,
        text=True,
        check=False,
    )


@contextmanager
def receiving(folder: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    process = subprocess.Popen(
        [*CLI, "receive", "--port", "0"],
        cwd=folder,
        env=environment(KAPSO_WEBHOOK_SECRET=SECRET.decode()),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr
    try:
        line = process.stderr.readline()
        assert line.startswith("receiving on http://127.0.0.1:"), line
        yield line.split()[2].removesuffix("/webhooks/…"), process
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def test_it_receives_ends_when_asked_and_status_tells_what_waits(tmp_path: Path) -> None:
    body = b'{"CANARY":"+5491155550000"}'
    with receiving(tmp_path) as (url, process):
        headers = signed(body) | {"X-Idempotency-Key": "CANARY-k"}
        for _ in range(2):
            request = Request(f"{url}/webhooks/kapso/default?token=CANARY", body, headers)
            with urlopen(request) as answer:
                assert answer.status == 200
        with urlopen(f"{url}/healthz") as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert process.stderr
        said = process.stderr.read()
    assert said == "stopped: 1 accepted, 1 duplicates\n"
    told = run(tmp_path, "status", "--json")
    assert told.returncode == 0, told.stderr
    log = json.loads(told.stdout)["log"]
    assert (log["deliveries"], log["not_ingested"]) == (1, 1)
    assert log["age_seconds"] >= 0
    assert "1 received, 1 not ingested, the oldest for" in run(tmp_path, "status").stdout
    assert "CANARY" not in told.stdout + said


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "no account has a webhook secret"),
        ({"KAPSO_WEBHOOK_SECRET": "CANARY-short"}, "shorter than 16"),
        (
            {
                "KAPSO_WEBHOOK_SECRET": "CANARY-long-enough",
                "DOBLECHECK_RECEIVER__LOG": "mysql://CANARY@host/log",
            },
            "receiver.log",
        ),
    ],
    ids=["no secret", "a short one", "an unknown log"],
)
def test_it_does_not_start_with_settings_that_cannot_be_meant(
    tmp_path: Path, given: dict[str, str], told: str
) -> None:
    done = run(tmp_path, "receive", **given)
    assert done.returncode == 2
    assert told in done.stderr
    assert "hint: " in done.stderr
    assert "CANARY" not in done.stderr
    assert not (tmp_path / "data").exists()
