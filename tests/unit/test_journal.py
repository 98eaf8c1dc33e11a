"""The log of runs."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.errors import BuildFailed
from pipelines.journal import KEPT, Journal
from pipelines.loading.sync import Report
from pipelines.webhooks.ingest import Ingested


def test_a_run_is_told_with_what_it_did(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    with journal.run("sync") as entry:
        entry.read([Report("kapso", "default", requests=7)])
    (told,) = journal.last()
    assert (told.kind, told.outcome, told.requests, told.message) == ("sync", "ok", 7, None)
    assert told.seconds is not None
    assert stat.S_IMODE(journal.path.stat().st_mode) == 0o600


def test_an_account_that_failed_makes_the_run_a_failed_one(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    with journal.run("run") as entry:
        entry.read([Report("kapso", "a", error=BuildFailed("no")), Report("kapso", "b")])
    (told,) = journal.last()
    assert (told.outcome, told.message) == ("failed", "not read whole: kapso:a")


def test_the_message_names_every_account_unless_something_else_went_wrong_too(
    tmp_path: Path,
) -> None:
    journal, refused = Journal(tmp_path), BuildFailed("no")
    with journal.run("run") as entry:
        entry.read([Report("kapso", "a", error=refused)])
        entry.read([Report("waspy", "b", error=refused), Report("kapso", "c")])
    assert journal.last()[0].message == "not read whole: kapso:a, waspy:b"
    with journal.run("run") as entry:
        entry.read([Report("kapso", "a", error=refused)])
        entry.ingested(Ingested(unplaced=2))
        entry.read([Report("waspy", "b", error=refused)])
    assert journal.last()[0].message == "2 deliveries belong to no account"


@pytest.mark.parametrize(
    ("error", "outcome", "message"),
    [
        (BuildFailed("dbt run failed: fct_turns"), "failed", "dbt run failed: fct_turns"),
        (ValueError("+54 9 11 5555 1234"), "failed", "unexpected ValueError"),
        (OSError(28, "+54 9 11 5555 1234"), "failed", "No space left on device"),
        (KeyboardInterrupt(), "stopped", "unexpected KeyboardInterrupt"),
    ],
)
def test_an_error_is_told_in_our_words_or_by_its_kind(
    tmp_path: Path, error: BaseException, outcome: str, message: str
) -> None:
    journal = Journal(tmp_path)
    with pytest.raises(type(error)), journal.run("run"):
        raise error
    (told,) = journal.last()
    assert (told.outcome, told.message) == (outcome, message)


def test_a_run_without_news_leaves_no_line_when_it_is_told_so(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    with journal.run("ingest", only_news=True):
        pass
    with journal.run("ingest", only_news=True) as entry:
        entry.rows = 3
    with pytest.raises(ValueError, match="no"), journal.run("ingest", only_news=True):
        raise ValueError("no")
    assert [told.outcome for told in journal.last()] == ["failed", "ok"]


def test_a_run_that_was_killed_is_known_by_its_missing_end(tmp_path: Path) -> None:
    code = f"""
import os
from pathlib import Path
from pipelines.journal import Journal
with Journal(Path({str(tmp_path)!r})).run("run"):
    os.kill(os.getpid(), 9)
"""
    subprocess.run([sys.executable, "-c", code], check=False)
    journal = Journal(tmp_path)
    with journal.run("build"):
        assert [entry.outcome for entry in journal.last()] == ["running", "killed"]


def test_a_number_that_another_process_has_now_is_no_sign_of_life(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    with journal.run("run"):
        line = json.loads(journal.path.read_text())
        journal.path.write_text(json.dumps({**line, "born": "1"}) + "\n")
        assert [entry.outcome for entry in journal.last()] == ["killed"]


def test_the_log_keeps_the_newest_runs_and_reads_past_a_torn_line(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    for _ in range(3 * KEPT):
        with journal.run("ingest"):
            pass
    with journal.path.open("a") as file:
        file.write('{"kind": "torn')
        file.write("\n")
    with journal.run("run"):
        pass
    assert len(journal.path.read_text().splitlines()) <= 4 * KEPT + 1
    assert journal.last(1)[0].kind == "run"
    assert len(journal.last(5)) == 5
    assert list(tmp_path.iterdir()) == [journal.path]
