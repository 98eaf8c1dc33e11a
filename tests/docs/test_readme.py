"""The README is run: its demo, its queries, its commands and settings."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from pipelines.cli import app
from pipelines.settings import Account, Policy, Receiver, Settings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")


PROGRAM = Path(sys.executable).parent / "doblecheck"


def run(
    folder: Path, *arguments: str, program: Path = PROGRAM, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program, *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder in which the demo ran, and what it printed."""
    folder = tmp_path_factory.mktemp("demo")
    program = folder / "our programs" / "doblecheck"
    program.parent.mkdir()
    program.symlink_to(PROGRAM)
    done = run(folder, "demo", program=program)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def table(text: str) -> list[str]:
    """The first table of a text: its lines up to an empty one."""
    return text.strip().split("\n\n")[0].splitlines()


def test_the_demo_prints_the_table_that_the_readme_shows(shown: tuple[Path, str]) -> None:
    block = re.search(r"<!-- demo -->\n```text\n(.*?)```", README, re.DOTALL)
    assert block is not None
    assert table(block[1]) == table(shown[1])


def queries() -> list[str]:
    found = re.findall(r"```sql\n(.*?)```", README, re.DOTALL)
    assert len(found) >= 3
    return found


@pytest.mark.parametrize("sql", queries(), ids=lambda sql: sql.split("\n")[0][:40])
def test_every_query_answers_with_rows(shown: tuple[Path, str], sql: str) -> None:
    folder, _ = shown
    done = run(folder, "query", sql, "--format", "csv", DOBLECHECK_DATA_DIR="data/demo")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) > 2


def test_what_the_demo_says_to_try_next_works(shown: tuple[Path, str]) -> None:
    folder, out = shown
    commands = [line.strip() for line in out.split("next:\n")[1].splitlines() if line.strip()]
    assert len(commands) == 3
    for command in commands:
        done = subprocess.run(
            command,
            shell=True,
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


def test_the_table_of_commands_is_the_list_of_commands() -> None:
    told = set(re.findall(r"^\| `doblecheck ([a-z-]+)", README, re.MULTILINE))
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    assert told == set(group.commands)


def test_every_setting_of_the_table_is_one_and_every_setting_of_a_sync_is_in_it() -> None:
    told = set(re.findall(r"`([a-z_.\[\]]+)`", README.split("## Settings")[1].split("## Map")[0]))
    accounts = {f"accounts[].{name}" for name in Account.model_fields}
    policies = {f"sla.{name}" for name in Policy.model_fields}
    receiver = {f"receiver.{name}" for name in Receiver.model_fields}
    known = {
        *accounts,
        *policies,
        *Settings.model_fields,
        *receiver,
        "warehouse.url",
        "business_hours.default",
    }
    assert {name for name in told if "." in name and not name.endswith(".toml")} <= known
    quiet = {"legacy_base_url", "allow_base_url", "graph_version"}
    expected = (
        {f"accounts[].{n}" for n in Account.model_fields.keys() - quiet} | policies | receiver
    )
    assert expected <= told
