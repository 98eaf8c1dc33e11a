"""What is wrong is told when it begins and when it is over, and to nobody else."""

from __future__ import annotations

import logging
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from channel import channel

from pipelines.commands.alerts import Watch
from pipelines.commands.status import ResourceStatus
from pipelines.errors import ConfigError
from pipelines.journal import Entry
from pipelines.providers import find
from pipelines.settings import Settings, load
from pipelines.webhooks.status import HookStatus

NAME = f"{find()[0].name}:default"


def settings(folder: Path, url: str) -> Settings:
    (folder / "doblecheck.toml").write_text(
        f'[[accounts]]\nprovider = "{find()[0].name}"\napi_key = "k"\n'
        f'webhook_secrets = ["s"]\n[alerts]\nurl = "{url}"\n'
    )
    return load(folder / "doblecheck.toml", find())


def resource(age: float = 10, rejected: int = 0) -> ResourceStatus:
    return ResourceStatus(NAME, "messages", 1, rejected, True, 0, None, age, None)


def hooks(silent_seconds: float | None) -> list[HookStatus]:
    return [HookStatus(NAME, 1, None, None, 0, 0, 0, silent_seconds, ())]


def entry(error: str | None = None) -> Entry:
    accounts = {NAME: {"ok": error is None, "error": error}}
    made = Entry("run", outcome="failed" if error else "ok", accounts=accounts)
    return replace(made, message=made.not_whole)


def test_a_failure_is_told_once_and_its_end_once(tmp_path: Path) -> None:
    watch = Watch(tmp_path)
    with channel() as (url, taken):
        told = settings(tmp_path, url)
        watch.look(told, entry(), [resource()], [])
        assert taken == []
        for _ in range(3):
            watch.look(told, entry("the key is refused"), [resource()], [])
        assert [message["text"].count("\n") for message in taken] == [1]
        assert "the key is refused" in taken[0]["text"]
        watch.look(told, entry(), [resource()], [])
        watch.look(told, entry(), [resource()], [])
        assert len(taken) == 2
        assert "over" in taken[1]["text"]
    assert stat.S_IMODE(watch.path.stat().st_mode) == 0o600
    assert "CANARY" not in watch.path.read_text()


def test_a_build_that_failed_is_told_though_every_account_was_read(tmp_path: Path) -> None:
    watch, told = Watch(tmp_path), settings(tmp_path, "http://127.0.0.1:9/none")
    failed = replace(entry(), outcome="failed", message="dbt build failed: a_test")
    [began] = watch.look(told, failed, [resource()], []).began
    assert (began.kind, began.text) == ("failure", "a run failed: dbt build failed: a_test")
    assert len(watch.look(told, entry(), [resource()], []).ended) == 1


def test_a_build_that_failed_is_told_beside_an_account_that_is_never_whole(tmp_path: Path) -> None:
    watch, told = Watch(tmp_path), settings(tmp_path, "http://127.0.0.1:9/none")
    lacking = entry("a list is closed")
    assert [c.key for c in watch.look(told, lacking, [], []).began] == [f"failure:{NAME}"]
    failed = replace(lacking, message="dbt build failed: a_test")
    assert [c.key for c in watch.look(told, failed, [], []).began] == ["failure:run"]


def test_what_is_stale_silent_or_quarantined_begins_and_ends(tmp_path: Path) -> None:
    watch, told = Watch(tmp_path), settings(tmp_path, "http://127.0.0.1:9/none")
    first = watch.look(told, entry(), [resource(4000, 2)], hooks(7200))
    assert [c.kind for c in first.began] == ["stale", "quarantine", "silence"]
    second = watch.look(told, entry(), [resource(4000, 2)], hooks(7200))
    assert (second.began, second.ended) == ((), ())
    third = watch.look(told, entry(), [resource(10, 3)], hooks(None))
    assert [c.kind for c in third.began] == ["quarantine"]
    assert len(third.ended) == 2
    fourth = watch.look(told, entry(), [resource(10, 5)], hooks(None))
    assert [c.text for c in fourth.began] == [
        f"{NAME} messages: 2 more rows could not be landed, 5 in total"
    ]
    assert fourth.ended == ()


def test_what_was_never_read_whole_is_told_so(tmp_path: Path) -> None:
    watch, told = Watch(tmp_path), settings(tmp_path, "http://127.0.0.1:9/none")
    [began] = watch.look(told, entry(), [replace(resource(), age_seconds=None)], []).began
    assert began.text == f"{NAME} messages was never read whole"


def test_silence_is_no_trouble_when_nobody_wants_to_hear_of_it(tmp_path: Path) -> None:
    told = settings(tmp_path, "http://127.0.0.1:9/none")
    never = told.model_copy(update={"alerts": told.alerts.model_copy(update={"silent_minutes": 0})})
    assert Watch(tmp_path).look(never, entry(), [], hooks(7200)).began == ()


@pytest.mark.parametrize("status", [500, 302])
def test_a_message_that_nobody_took_goes_out_with_the_next(
    tmp_path: Path, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    watch = Watch(tmp_path)
    with channel(status) as (url, _), caplog.at_level(logging.INFO, "pipelines"):
        watch.look(settings(tmp_path, url), entry("refused"), [], [])
    watch.look(settings(tmp_path, "http://127.0.0.1:9/CANARY-hook"), entry("refused"), [], [])
    with channel() as (url, taken):
        watch.look(settings(tmp_path, url), entry("refused"), [], [])
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
