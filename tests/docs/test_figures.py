"""The page of figures says what was measured, and does not hide what was missed."""

from __future__ import annotations

import pytest

from benchmarks import report
from benchmarks.report import Figure, Run

FAST = Figure("a thing: CPU", 9.94, "s", "<= 10", "a note")
SLOW = Figure("another: wall", 10.01, "s", "<= 10")
PLAIN = Figure("rows", 2_000_000, "")


def page(*figures: Figure) -> str:
    return report.page([Run("Sync", "python -m benchmarks.sync", figures)])


def test_the_page_is_made_from_the_figures() -> None:
    assert report.PAGE.read_text("utf-8") == report.page(report.kept())


def test_a_target_stands_beside_its_figure() -> None:
    told = page(FAST, SLOW, PLAIN)
    assert "| a thing: CPU | 9.94 s | ≤ 10 | met | a note |" in told
    assert "| another: wall | 10.0 s | ≤ 10 | **not met** |  |" in told
    assert "| rows | 2,000,000  |  |  |  |" in told


def test_what_is_missed_stands_first() -> None:
    assert "1 of 2 targets are met.\n* not met: Sync, another: wall\n" in page(FAST, SLOW, PLAIN)


@pytest.mark.parametrize(("value", "is_met"), [(2000.0, True), (1999.0, False)])
def test_a_target_may_be_a_least(value: float, is_met: bool) -> None:
    assert Figure("acknowledgements", value, "/s", ">= 2000").is_met is is_met


def test_a_run_takes_the_place_of_the_last_one(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(report, "FIGURES", tmp_path / "figures.json")
    monkeypatch.setattr(report, "PAGE", tmp_path / "README.md")
    for figure in (SLOW, FAST):
        report.tell(Run("Sync", "python -m benchmarks.sync", [figure]), is_kept=True)
    report.tell(Run("Start", "python -m benchmarks.start", [PLAIN]), is_kept=True)
    report.tell(Run("Start", "python -m benchmarks.start", [SLOW]), is_kept=False)
    assert [list(run.figures) for run in report.kept()] == [[PLAIN], [FAST]]
    assert (tmp_path / "README.md").read_text() == report.page(report.kept())
