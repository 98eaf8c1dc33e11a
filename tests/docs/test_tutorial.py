"""The tutorial is done, command by command, in both languages, against the simulators."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from pipelines.providers import find
from pipelines.simulation import serve
from pipelines.world import make_world

DOCS = Path(__file__).parents[2] / "docs"
E2E = Path(__file__).parents[1] / "e2e"
PAGES = ("tutorial.md", "tutorial.es.md")
DOBLECHECK = str(Path(sys.executable).parent / "doblecheck")
ELSEWHERE = {"serve": "test_serve.py"}
"""Commands that are run as processes by another test."""


def commands(page: str) -> list[list[str]]:
    """What a reader types, in order."""
    blocks = re.findall(r"```console\n(.*?)```", (DOCS / page).read_text("utf-8"), re.DOTALL)
    lines = [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]
    return [shlex.split(line) for line in lines]


@pytest.fixture(scope="module")
def environment() -> Iterator[dict[str, str]]:
    """A shell in which a newcomer exported the keys, with a small shop behind them."""
    world = make_world(
        seed=5, ends_at=datetime.now(UTC).replace(microsecond=0), days=4, conversations_per_day=4
    )
    clean = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("DOBLECHECK_", "KAPSO_", "WASPY_"))
    }
    with ExitStack() as stack:
        for i, room in enumerate(find()):
            part = world.only(channels=[channel.id for channel in world.channels[i::2]])
            clean[f"{room.name.upper()}_API_KEY"] = "wspy_key"
            app = room.simulate(part, api_key="wspy_key")
            clean[f"{room.name.upper()}_BASE_URL"] = stack.enter_context(serve(app))
        yield clean


def test_both_languages_type_the_same() -> None:
    assert commands(PAGES[0]) == commands(PAGES[1])
    assert len(commands(PAGES[0])) >= 7


@pytest.mark.parametrize(
    "word", ["no account is configured", "does not accept the key", "does not answer"]
)
def test_both_pages_explain_the_same_failures(word: str) -> None:
    assert all(f"| {word} |" in (DOCS / page).read_text("utf-8") for page in PAGES)


def test_every_command_of_the_tutorial_works(environment: dict[str, str], tmp_path: Path) -> None:
    for name, *rest in commands(PAGES[0]):
        assert name == "doblecheck"
        if rest[0] in ELSEWHERE:
            assert f'"{rest[0]}"' in (E2E / ELSEWHERE[rest[0]]).read_text("utf-8")
        elif rest[0] == "dashboard":
            opens(rest, environment, tmp_path)
        else:
            done = subprocess.run(
                [DOBLECHECK, *rest],
                cwd=tmp_path,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            assert "Warning" not in done.stderr


def opens(arguments: list[str], environment: dict[str, str], folder: Path) -> None:
    """Start the dashboard as the reader does, and ask the address that it prints."""
    with subprocess.Popen(
        [DOBLECHECK, *arguments],
        cwd=folder,
        env={**environment, "DOBLECHECK_DASHBOARD__PORT": "0"},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stderr is not None
            lines = iter(process.stderr.readline, "")
            url = next(found[0] for line in lines if (found := re.search(r"http://\S+", line)))
            assert answers(f"{url}/_stcore/health")
        finally:
            process.terminate()


def answers(url: str) -> bool:
    """Whether a server that is starting answers within a minute."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            return httpx.get(url, trust_env=False).status_code == 200
        except httpx.TransportError:
            time.sleep(0.1)
    return False
