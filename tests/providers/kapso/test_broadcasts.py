"""Kapso's broadcasts and who got them: read until they settle, and on from where it stopped."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from pipelines.errors import BadRequest, Unavailable
from pipelines.providers.kapso.simulator_broadcasts import broadcast_id
from pipelines.simulation import Asked, Change, broken
from pipelines.world import World

from ..conftest import Shop
from .conftest import DAY, HOUR, answer_404, asked_for, only, stop_after, well


def crowded(world: World) -> World:
    """The same world, in which every mailing went to twelve times as many."""
    extra = [
        replace(message, id=f"{message.id}{number}")
        for message in world.messages
        if message.campaign_id
        for number in range(11)
    ]
    return replace(world, messages=(*world.messages, *extra))


def recipients(shop: Shop, broadcast: str) -> list[dict[str, Any]]:
    rows = shop.rows("broadcast_recipients").values()
    return [row for row in rows if row["broadcast_id"] == broadcast]


def mailed(world: World) -> tuple[str, datetime]:
    """The campaign with the most recipients: its id and start."""
    counts = Counter(m.campaign_id for m in world.messages if m.campaign_id)
    name = counts.most_common(1)[0][0]
    campaign = next(c for c in world.campaigns if c.id == name)
    return broadcast_id(campaign), campaign.started_at


MAILS = only("broadcasts", "broadcast_recipients")


def test_recipients_are_read_again_until_they_settle(shop: Shop) -> None:
    identity, started = mailed(shop.world)

    def look(after: timedelta) -> int:
        """How often the broadcast's recipients are asked for."""
        shop.clock.now = started + after
        app = shop.app()
        well(shop.sync(app, resources=MAILS))
        return len(asked_for(app, f"/{identity}/recipients"))

    def stages() -> Counter[str]:
        rows = [
            r for r in shop.rows("broadcast_recipients").values() if r["broadcast_id"] == identity
        ]
        reached = ("sent_at", "read_at", "responded_at")
        return Counter(name for row in rows for name in reached if row[name])

    assert look(-HOUR) > 0
    assert stages() == {}
    assert look(HOUR / 60) > 0
    first = stages()
    assert look(HOUR / 60) == 0, "nothing moved"
    assert look(2 * DAY) > 0
    assert look(5 * DAY) > 0
    later = stages()
    assert later["read_at"] > first["read_at"]
    assert later["responded_at"] > first["responded_at"]
    assert look(8 * DAY) > 0, "the last look, after a week"
    assert look(8 * DAY + HOUR) == 0
    assert look(10 * DAY) == 0


def test_a_clock_that_was_ahead_once_settles_nothing(shop: Shop) -> None:
    identity, started = mailed(shop.world)
    shop.clock.now = started + DAY
    for after in (0 * DAY, 1000 * DAY):
        well(shop.sync(resources=MAILS, after=after))
    shop.clock.now += HOUR
    app = shop.app()
    well(shop.sync(app, resources=MAILS))
    assert asked_for(app, f"/{identity}/recipients")


def test_a_broadcasts_own_row_follows_it_from_draft_to_completed(shop: Shop) -> None:
    identity, started = mailed(shop.world)
    seen = []
    for after in (-23.5 * HOUR, -2 * HOUR, timedelta(seconds=1), HOUR):
        shop.clock.now = started + after
        shop.sync(resources=MAILS)
        seen.append(shop.rows("broadcasts")[identity]["status"])
    assert seen == ["draft", "scheduled", "sending", "completed"]


def test_recipient_pages_may_be_shorter_than_they_say(shop: Shop) -> None:
    shop.world = crowded(shop.world)
    identity, _ = mailed(shop.world)
    app = shop.app()
    well(shop.sync(app, resources=MAILS))
    rows = recipients(shop, identity)
    assert len(rows) > 100
    assert len(asked_for(app, f"/{identity}/recipients")) == -(-len(rows) // 50)


def test_recipients_that_were_left_in_the_middle_are_read_on_from_there(shop: Shop) -> None:
    shop.world = crowded(shop.world)
    identity, _ = mailed(shop.world)
    pages: list[int] = []
    for _ in range(30):
        app = shop.app()
        report = shop.sync(app, resources=MAILS, is_stopping=stop_after(2))
        pages.append(len(asked_for(app, f"/{identity}/recipients")))
        if report.outcomes["broadcast_recipients"].is_complete:
            break
    assert sum(pages) == -(-len(recipients(shop, identity)) // 50), "no page twice"
    assert len(shop.rows("broadcast_recipients")) == sum(
        m.campaign_id is not None for m in shop.world.messages
    )
    assert max(pages) < sum(pages), "not in one go"


def test_a_broadcast_that_is_gone_is_skipped_and_asked_for_once_a_day(shop: Shop) -> None:
    identity, started = mailed(shop.world)
    asked = []
    for after in (0 * HOUR, HOUR / 60, 2 * DAY):
        shop.clock.now = started - HOUR + after
        app = shop.app(faults=answer_404(f"/broadcasts/{identity}"))
        well(shop.sync(app, resources=MAILS))
        asked.append(len(asked_for(app, f"/{identity}/recipients")))
    assert asked == [1, 0, 1]


def test_recipients_that_are_closed_end_alone_and_are_read_as_soon_as_they_open(shop: Shop) -> None:
    app = shop.app(closed={"broadcast_recipients"}, closed_status=404)
    report = shop.sync(app, resources=MAILS)
    assert isinstance(report.outcomes["broadcast_recipients"].error, Unavailable)
    assert report.outcomes["broadcasts"].is_complete
    well(shop.sync(resources=MAILS))
    assert shop.rows("broadcast_recipients")


def test_a_broadcast_whose_second_page_is_refused_hides_no_other(shop: Shop) -> None:
    shop.world = crowded(shop.world)
    shop.clock.now += 30 * DAY  # all are settled: none is due for its own sake
    identity, _ = mailed(shop.world)

    def refuse(asked: Asked, _: int) -> Change | None:
        is_late = int(asked.query.get("page", 1)) > 1
        return broken(400) if f"/{identity}/recipients" in asked.path and is_late else None

    report = shop.sync(shop.app(faults=refuse), resources=MAILS)
    assert isinstance(report.outcomes["broadcast_recipients"].error, BadRequest)
    named = {row["broadcast_id"] for row in shop.rows("broadcast_recipients").values()}
    assert named == shop.rows("broadcasts").keys()
    app = shop.app()
    later = shop.sync(app, resources=MAILS, after=HOUR).outcomes["broadcast_recipients"]
    assert (later.error, later.is_complete) == (None, False)
    assert asked_for(app, "/recipients") == []
    app = shop.app()
    well(shop.sync(app, resources=MAILS, after=DAY))
    assert len(recipients(shop, identity)) > 100
    assert {*asked_for(app, "/recipients")} == {*asked_for(app, f"/{identity}/recipients")}
    app = shop.app()
    well(shop.sync(app, resources=MAILS, after=2 * DAY))
    assert asked_for(app, "/recipients") == []
