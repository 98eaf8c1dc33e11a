"""A range of Kapso's lists read again, number by number: what is missing or broken costs itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from pipelines.errors import Unavailable, Unreachable
from pipelines.providers.kapso.simulator_rows import phone_number_id
from pipelines.simulation import Asked, Change, broken, instead, with_rows
from pipelines.times import parse_time

from ..conftest import ENDS_AT, Shop
from .conftest import DAY, answer_404, asked_for, only

NAMES = only("messages", "calls")
SPAN = (ENDS_AT - 5 * DAY, ENDS_AT)
REMOVED = "posventa"
NUMBER = phone_number_id(REMOVED)


def test_a_number_that_was_removed_hides_no_other(shop: Shop) -> None:
    report = shop.sync(shop.app(faults=answer_404(f"/{NUMBER}/")), resources=NAMES, span=SPAN)
    assert not report.has_more
    for name in NAMES:
        outcome = report.outcomes[name]
        assert outcome.error is None
        assert "404" in (outcome.note or "")
        assert not outcome.is_complete
    messages = [m for m in shop.world.messages if m.inserted_at >= SPAN[0]]
    calls = [c for c in shop.world.calls if c.started_at >= SPAN[0]]
    assert shop.rows("messages").keys() == {m.id for m in messages if m.channel_id != REMOVED}
    others = [c for c in calls if c.channel_id != REMOVED]
    assert len(shop.rows("calls")) == len(others) > 0


def test_a_range_that_every_number_refuses_is_an_error(shop: Shop) -> None:
    def refuse(asked: Asked, _: int) -> Change | None:
        return broken(403) if asked.path.startswith("/meta/") else None

    report = shop.sync(shop.app(faults=refuse), resources=NAMES, span=SPAN)
    assert {type(outcome.error) for outcome in report.outcomes.values()} == {Unavailable}


def test_rows_that_cannot_be_asked_for_by_an_id_are_kept_aside(shop: Shop) -> None:
    spoil = with_rows(rb'{"id":"wamid.X","text":"ok \ud83d"}', b'{"timestamp":"1"}', b"17")

    def faults(asked: Asked, _: int) -> Change | None:
        return spoil if asked.path == f"/meta/whatsapp/v24.0/{NUMBER}/messages" else None

    report = shop.sync(shop.app(faults=faults), resources=only("messages"), span=SPAN)
    assert report.is_ok
    reasons = {row["reason"] for row in shop.rows("rejected").values()}
    assert len(reasons) == len(shop.rows("rejected")) == 3
    assert {"no id", "not an object"} < reasons


def one_message(*wamids: str, status: int) -> Callable[[Asked, int], Change | None]:
    def faults(asked: Asked, _: int) -> Change | None:
        is_one = "/messages/" in asked.path and asked.path.endswith(wamids)
        return broken(status) if is_one else None

    return faults


def test_messages_that_never_answer_hide_no_other_and_no_other_day(shop: Shop) -> None:
    within = [m for m in shop.world.messages if SPAN[0] <= m.inserted_at < SPAN[1]]
    mute = {within[5].id, within[-5].id}
    app = shop.app(faults=one_message(*mute, status=500))
    for chunk_rows in (40, 10_000):  # then nothing else is left to ask for
        report = shop.sync(app, resources=only("messages"), span=SPAN, chunk_rows=chunk_rows)
        outcome = report.outcomes["messages"]
        assert isinstance(outcome.error, Unreachable)
        assert not outcome.is_complete
        assert not report.has_more
        assert shop.rows("messages").keys() == {m.id for m in within} - mute


def test_a_range_whose_messages_all_fail_is_given_up(shop: Shop) -> None:
    app = shop.app(faults=one_message("", status=500))
    report = shop.sync(app, resources=only("messages"), span=SPAN)
    assert isinstance(report.outcomes["messages"].error, Unreachable)
    assert len(asked_for(app, "/messages/")) < 6 * 200


def test_a_message_that_is_gone_keeps_what_is_stored_of_it(shop: Shop) -> None:
    shop.sync(resources=only("phone_numbers", "messages"))
    before = shop.rows("messages")
    some = sorted(i for i, row in before.items() if row["kapso_origin"])[:3]
    stale = "update raw_kapso.messages set kapso_status = 'sent' where id = $1"
    with shop.warehouse.connect() as connection:
        for wamid in some:
            connection.execute(stale, [wamid])
    span = (ENDS_AT - 40 * DAY, ENDS_AT)
    app = shop.app(faults=one_message(*some, status=404))
    assert shop.sync(app, resources=only("messages"), span=span).is_ok
    for wamid in some:
        assert shop.rows("messages")[wamid]["kapso_origin"] == before[wamid]["kapso_origin"]


def test_conversations_at_the_ends_of_a_day_are_asked_for_whatever_its_bounds_mean(
    shop: Shop,
) -> None:
    app = shop.app()
    shop.sync(app, resources=only("conversations"), span=(ENDS_AT - DAY, ENDS_AT))
    starts, ends = (
        sorted({seen.query[name] for seen in app.state.requests})
        for name in ("last_active_after", "last_active_before")
    )
    assert parse_time(starts[0]) == ENDS_AT - DAY - timedelta(seconds=1)
    assert parse_time(ends[-1]) == ENDS_AT + timedelta(seconds=1)
    assert all(end > start for start, end in zip(starts[1:], ends, strict=False))


def test_a_message_that_only_a_numbers_list_has_is_that_numbers(shop: Shop) -> None:
    row = {"id": "wamid.GONE", "timestamp": "1773000000", "type": "text", "from": "5491150000001"}

    def faults(asked: Asked, _: int) -> Change | None:
        if asked.path.endswith(row["id"]):
            return broken(404)
        is_its_list = asked.path == f"/meta/whatsapp/v24.0/{NUMBER}/messages"
        return instead({"data": [row]}) if is_its_list else None

    span = (ENDS_AT - DAY, ENDS_AT)
    assert shop.sync(shop.app(faults=faults), resources=only("messages"), span=span).is_ok
    assert shop.rows("messages")[row["id"]]["kapso_phone_number_id"] == NUMBER
