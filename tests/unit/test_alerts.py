"""What is wrong is told when it begins and when it is over, and to nobody else."""

from __future__ import annotations

import json
import logging
import stat
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from channel import channel

from pipelines.commands.alerts import Changes, Watch, look_back
from pipelines.commands.status import LogStatus, ResourceStatus, Status, if_readable
from pipelines.errors import ConfigError
from pipelines.journal import Entry, Journal
from pipelines.providers import find
from pipelines.settings import Settings, load
from pipelines.warehouse import open_warehouse
from pipelines.webhooks.status import HookStatus

NAME = f"{find()[0].name}:default"


def settings(folder: Path, url: str) -> Settings:
    (folder / "doblecheck.toml").write_text(
        f'[[accounts]]\nprovider = "{find()[0].name}"\napi_key = "k"\n'
        f'webhook_secrets = ["s"]\n[alerts]\nurl = "{url}"\n'
    )
    return load(folder / "doblecheck.toml", find())


def found(age: float | None = 10, rejected: int = 0, silent_seconds: float | None = None) -> Status:
    messages = ResourceStatus(NAME, "messages", 1, rejected, True, 0, None, age, None)
    hooks = HookStatus(NAME, 1, None, None, 0, 0, 0, silent_seconds, ())
    return Status("w", None, None, False, (messages,), (hooks,), (), LogStatus(), ())


def entry(error: str | None = None) -> Entry:
    accounts = {NAME: {"ok": error is None, "error": error}}
    made = Entry("run", outcome="failed" if error else "ok", accounts=accounts)
    return replace(made, message=made.not_whole)


def test_a_failure_is_told_once_and_its_end_once(tmp_path: Path) -> None:
    watch = Watch(tmp_path)
    with channel() as (url, taken):
        told = settings(tmp_path, url)
        watch.look(told, entry(), found())
        assert taken == []
        for _ in range(3):
            watch.look(told, entry("the key is refused"), found())
        assert [message["text"].count("\n") for message in taken] == [1]
        assert "the key is refused" in taken[0]["text"]
        watch.look(told, entry(), found())
        watch.look(told, entry(), found())
        assert len(taken) == 2
        assert "over" in taken[1]["text"]
    assert stat.S_IMODE(watch.path.stat().st_mode) == 0o600
    assert "CANARY" not in watch.path.read_text()


def test_a_build_that_failed_is_told_though_every_account_was_read(tmp_path: Path) -> None:
    watch, told = Watch(tmp_path), settings(tmp_path, "http://127.0.0.1:9/none")
    failed = replace(entry(), outcome="failed", message="dbt build failed: a_test")
    [began] = watch.look(told, failed, found()).began
    assert (began.kind, began.text) == ("failure", "a run failed: dbt build failed: a_test")
    assert len(watch.look(told, entry(), found()).ended) == 1


def test_a_build_that_failed_is_told_beside_an_account_that_is_never_whole(tmp_path: Path) -> None:
    watch, told = Watch(tmp_path), settings(tmp_path, "http://127.0.0.1:9/none")
    lacking = entry("a list is closed")
    assert [c.key for c in watch.look(told, lacking, found()).began] == [f"failure:{NAME}"]
    failed = replace(lacking, message="dbt build failed: a_test")
    assert [c.key for c in watch.look(told, failed, found()).began] == ["failure:run"]


def test_what_is_stale_silent_or_quarantined_begins_and_ends(tmp_path: Path) -> None:
    watch, told = Watch(tmp_path), settings(tmp_path, "http://127.0.0.1:9/none")
    first = watch.look(told, entry(), found(4000, 2, 7200))
    assert [c.kind for c in first.began] == ["stale", "quarantine", "silence"]
    second = watch.look(told, entry(), found(4000, 2, 7200))
    assert (second.began, second.ended) == ((), ())
    third = watch.look(told, entry(), found(10, 3))
    assert [c.kind for c in third.began] == ["quarantine"]
    assert len(third.ended) == 2
    fourth = watch.look(told, entry(), found(10, 5))
    assert [c.text for c in fourth.began] == [
        f"{NAME} messages: 2 more rows could not be landed, 5 in total"
    ]
    assert fourth.ended == ()


def test_what_was_never_read_whole_is_told_so(tmp_path: Path) -> None:
    watch, told = Watch(tmp_path), settings(tmp_path, "http://127.0.0.1:9/none")
    [began] = watch.look(told, entry(), found(None)).began
    assert began.text == f"{NAME} messages was never read whole"


def test_silence_is_no_trouble_when_nobody_wants_to_hear_of_it(tmp_path: Path) -> None:
    told = settings(tmp_path, "http://127.0.0.1:9/none")
    never = told.model_copy(update={"alerts": told.alerts.model_copy(update={"silent_minutes": 0})})
    assert Watch(tmp_path).look(never, entry(), found(silent_seconds=7200)).began == ()


def test_a_run_that_was_killed_is_told_by_the_next_one_once(tmp_path: Path) -> None:
    told, journal = settings(tmp_path, "http://127.0.0.1:9/none"), Journal(tmp_path / "data")
    told.data_path.mkdir()
    Watch(told.data_path).look(told, entry("refused"), found(4000))
    with journal.run("run"):
        assert look_back(journal, told) == Changes()  # it is at work
    assert look_back(journal, told) == Changes()
    of_another_process = asdict(Entry("run", born="1"))
    with journal.path.open("a") as file:
        file.write(json.dumps(of_another_process, default=str) + "\n")
    with journal.run("ingest"):
        pass
    changes = look_back(journal, told)
    assert [c.key for c in changes.began] == ["failure:run"]
    assert "was killed" in changes.began[0].text
    assert changes.ended == look_back(journal, told).began == ()
    assert len(Watch(told.data_path).look(told, entry(), found()).ended) == 3


def test_of_what_a_run_did_not_look_at_nothing_is_said_to_be_over(tmp_path: Path) -> None:
    watch, told = Watch(tmp_path), settings(tmp_path, "http://127.0.0.1:9/none")
    assert len(watch.look(told, entry("refused"), found(4000, silent_seconds=7200)).began) == 3
    away = Entry("run", outcome="failed", message="the database can't be reached")
    changes = watch.look(told, away, None)
    assert [c.text for c in changes.began] == ["a run failed: the database can't be reached"]
    assert changes.ended == ()
    assert len(watch.look(told, entry(), found()).ended) == 4


def test_of_a_warehouse_that_was_tampered_with_nothing_is_known(tmp_path: Path) -> None:
    told, rooms = settings(tmp_path, "http://127.0.0.1:9/none"), find()
    place = open_warehouse(told)
    place.ensure_raw_tables(rooms)
    assert if_readable(place, rooms, told) is not None
    with place.connect() as connection:
        connection.execute(f"alter table {rooms[0].schema}.sync_state rename account to owner")
    assert if_readable(place, rooms, told) is None


def test_the_trouble_of_an_account_that_is_no_more_is_over(tmp_path: Path) -> None:
    watch, told = Watch(tmp_path), settings(tmp_path, "http://127.0.0.1:9/none")
    watch.look(told, entry("refused"), found())
    without = told.model_copy(update={"accounts": []})
    assert len(watch.look(without, Entry("run", outcome="ok"), found()).ended) == 1


@pytest.mark.parametrize("status", [500, 302])
def test_a_message_that_nobody_took_goes_out_with_the_next(
    tmp_path: Path, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    watch = Watch(tmp_path)
    with channel(status) as (url, _), caplog.at_level(logging.INFO, "pipelines"):
        watch.look(settings(tmp_path, url), entry("refused"), found())
    watch.look(settings(tmp_path, "http://127.0.0.1:9/CANARY-hook"), entry("refused"), found())
    with channel() as (url, taken):
        watch.look(settings(tmp_path, url), entry("refused"), found())
    assert len(taken) == 1
    assert "refused" in taken[0]["text"]
    assert "CANARY" not in caplog.text


@pytest.mark.parametrize(
    "url", ["http://hooks.example.com/x", "ftp://127.0.0.1/x", "env:NOT_THERE", "https:///x"]
)
def test_an_address_that_is_not_safe_is_refused_and_never_shown(tmp_path: Path, url: str) -> None:
    told = settings(tmp_path, url)
    with pytest.raises(ConfigError) as refused:
        _ = told.alerts.target
    assert url not in str(refused.value) + refused.value.hint
    assert url not in repr(told)
