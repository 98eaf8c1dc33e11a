"""What a shop does besides chatting: campaigns and calls."""

from __future__ import annotations

from pipelines.world.hours import DAY, HOUR, MINUTE, lasting
from pipelines.world.pen import Pen
from pipelines.world.scripts import answer, close, speak, tap
from pipelines.world.statuses import moment
from pipelines.world.things import Call, CallResult
from pipelines.world.words import CALL_BACKS, say

CAMPAIGN_EVERY_DAYS = 12
CAMPAIGN_SHARE = 0.2
CAMPAIGN_MOST = 150


def receive_campaign(pen: Pen, at: int, *, template: str) -> int:
    """One recipient of a mailing: silence, a tap, or a question that someone answers."""
    pen.campaign(at, template=template)
    if pen.rng.random() > 0.12:
        return at + MINUTE
    at += min(lasting(pen.rng, median=90 * MINUTE, spread=1.2), 30 * HOUR)
    at = tap(pen, at, text="Ver promo") if pen.rng.random() < 0.5 else speak(pen, at)
    at, agent = answer(pen, at, None)
    return close(pen, at, agent)


def customer_calls(pen: Pen, at: int) -> tuple[Call, int]:
    """A customer rings; unanswered when nobody is there, or anyway. A message may follow."""
    rng, id_ = pen.rng, pen.book.new_id("wacid")
    pen.opened_at = at
    if pen.hours.is_open(at) and rng.random() < 0.72:
        picked_up = at + rng.randint(4, 30)
        end = picked_up + lasting(rng, median=2 * MINUTE)
        return _call(pen, id_, at, end, answered=picked_up), end
    end = at + rng.randint(15, 45)
    call = _call(pen, id_, at, end, answered=None)
    dice = rng.random()
    if dice > 0.55:
        return call, end + DAY
    back = pen.hours.worked(end, lasting(rng, median=15 * MINUTE))
    if back - at > 20 * HOUR:
        return call, end + DAY  # by then the window that the call opened may be shut
    agent = pen.on_shift(back)
    pen.human(back, "text", say(rng, CALL_BACKS), agent=agent)
    return call, speak(pen, back + lasting(rng, median=5 * MINUTE))


def shop_calls(pen: Pen, at: int) -> tuple[Call, int]:
    """Someone of the staff rings a customer, who picks up or does not."""
    at = pen.hours.next_open(at)
    rng, id_ = pen.rng, pen.book.new_id("wacid")
    if rng.random() < 0.4:
        pen.customer(at, "call_permission_reply", "accept")
        at += lasting(rng, median=5 * MINUTE)
    if rng.random() < 0.6:
        picked_up = at + rng.randint(5, 25)
        end = picked_up + lasting(rng, median=2 * MINUTE)
        return _call(pen, id_, at, end, answered=picked_up, outbound=True), end
    end = at + rng.randint(20, 40)
    return _call(pen, id_, at, end, answered=None, outbound=True), end


def _call(
    pen: Pen, id_: str, start: int, end: int, *, answered: int | None, outbound: bool = False
) -> Call:
    missed: CallResult = "failed" if outbound else "missed"
    return Call(
        id=id_,
        channel_id=pen.channel.id,
        contact_id=pen.contact.id,
        direction="outbound" if outbound else "inbound",
        result="answered" if answered is not None else missed,
        started_at=moment(start),
        answered_at=None if answered is None else moment(answered),
        ended_at=moment(end),
        agent_id=pen.on_shift(start).id if answered is not None or outbound else None,
    )
