"""A run that cannot begin: skipped while another one works, told when the warehouse is away."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows import report
from flows.steps import Site
from flows.turn import in_turn
from pipelines.journal import Entry
from pipelines.providers import find
from pipelines.settings import load


def site(folder: Path, url: str = "") -> Site:
    (folder / "doblecheck.toml").write_text(f'[warehouse]\nurl = "{url}"\n' if url else "")
    return Site(load(folder / "doblecheck.toml", find()), seconds=60)


def never() -> Entry:
    raise AssertionError("it has no warehouse")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Entry]:
    entries: list[Entry] = []
    monkeypatch.setattr(report, "tell", lambda site, entry: entries.append(entry))
    return entries


def test_a_run_that_finds_no_warehouse_is_logged_and_told(
    tmp_path: Path, told: list[Entry]
) -> None:
    there = site(tmp_path, "postgresql://127.0.0.1:9/nobody")
    state = in_turn(there, never, kind="run", patience=0)
    assert state.is_failed()
    [entry] = told
    assert (entry.kind, entry.outcome, entry.message) == ("run", "failed", state.message)
    assert [logged.id for logged in there.journal.last()] == [entry.id]


def test_a_run_that_another_one_keeps_waiting_is_skipped(tmp_path: Path, told: list[Entry]) -> None:
    there = site(tmp_path)
    with site(tmp_path).warehouse.lock():
        state = in_turn(there, never, kind="run", patience=0)
    assert (state.name, told, there.journal.last()) == ("Skipped", [], [])
