"""What becomes of a message that the shop sends."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random

from pipelines.world.hours import DAY, HOUR, MINUTE, lasting
from pipelines.world.things import Contact, StatusChange

UNREACHABLE = 131026
MEDIA_BROKEN = 131053
MARKETING_CAP = 131049
OPTED_OUT = 131050


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def fate(
    rng: Random, *, sent: int, contact: Contact, is_campaign: bool, is_media: bool
) -> tuple[StatusChange, ...]:
    """The status changes of a message sent at `sent`; none when it stays pending for ever."""
    dice = rng.random()
    if dice < 0.002:
        return ()
    if is_campaign and dice < 0.05:
        return failure(rng, sent=sent, code=OPTED_OUT if dice < 0.01 else MARKETING_CAP)
    if dice < 0.008:
        code = MEDIA_BROKEN if is_media else UNREACHABLE
        after_sent = (StatusChange("sent", moment(sent)),) if dice < 0.005 else ()
        return after_sent + failure(rng, sent=sent + 2, code=code)
    return (StatusChange("sent", moment(sent + int(dice * 2))), *_receipts(rng, sent, contact))


def failure(rng: Random, *, sent: int, code: int) -> tuple[StatusChange, ...]:
    return (StatusChange("failed", moment(sent + 1 + int(rng.random() * 3)), code),)


def only_sent(sent: int) -> tuple[StatusChange, ...]:
    """A reaction gets no receipts."""
    return (StatusChange("sent", moment(sent)),)


def _receipts(rng: Random, sent: int, contact: Contact) -> tuple[StatusChange, ...]:
    delivered = sent + _delivery(rng)
    if rng.random() < 0.012:
        return ()  # the phone never came back
    delivery = StatusChange("delivered", moment(delivered))
    if not contact.sends_receipts or rng.random() < 0.06:
        return (delivery,)
    wait = _reading(rng)
    read = StatusChange("read", moment(delivered + wait))
    # a message that is read at once may get no `delivered` of its own
    return (read,) if wait < 3 and rng.random() < 0.5 else (delivery, read)


def _delivery(rng: Random) -> int:
    if rng.random() < 0.92:
        return 2 + int(rng.random() * 4)
    return lasting(rng, median=40 * MINUTE, spread=1.3)


def _reading(rng: Random) -> int:
    dice = rng.random()
    if dice < 0.7:
        return lasting(rng, median=2 * MINUTE, spread=1.4)
    if dice < 0.95:
        return lasting(rng, median=2 * HOUR, spread=0.9)
    return int(DAY * (1 + rng.random() * 5))
