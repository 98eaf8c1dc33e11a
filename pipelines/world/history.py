"""Puts a world together, day by day."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from zoneinfo import ZoneInfo

from pipelines.world import paperwork, shop
from pipelines.world.happenings import (
    CAMPAIGN_EVERY_DAYS,
    CAMPAIGN_MOST,
    CAMPAIGN_SHARE,
    customer_calls,
    receive_campaign,
    shop_calls,
)
from pipelines.world.hours import (
    DEMAND_BY_MONTH,
    DEMAND_BY_WEEKDAY,
    HOUR,
    Hours,
    arrivals,
)
from pipelines.world.pen import Notebook, Pen
from pipelines.world.people import People
from pipelines.world.scripts import play
from pipelines.world.statuses import moment
from pipelines.world.things import Call, Campaign, Channel, Contact, Message, Thread, World

CALLS_PER_CONVERSATION = 0.2


def make_world(
    *, seed: int, ends_at: datetime, days: int = 365, conversations_per_day: float = 30.0
) -> World:
    """A shop's last `days` days before the aware time `ends_at`. Same arguments, same world."""
    if ends_at.tzinfo is None:
        raise ValueError("ends_at needs a time zone")
    history = _History(seed=seed, ends_at=ends_at, days=days)
    for day in range(days + 1):
        history.live(day, mean=conversations_per_day)
    return history.world()


class _History:
    def __init__(self, *, seed: int, ends_at: datetime, days: int) -> None:
        self.seed = seed
        self.rng = Random(seed)  # noqa: S311
        self.ends_at = ends_at.replace(microsecond=0)
        self.starts_at = self.ends_at - timedelta(days=days)
        self.days = days
        self.channels = shop.channels(starts_at=self.starts_at, ends_at=self.ends_at)
        self.agents = shop.agents()
        templates = shop.templates(starts_at=self.starts_at)
        self.book = Notebook(
            self.rng, {t.id: t for t in templates}, starts_at=self.starts_at, ends_at=self.ends_at
        )
        self.people = People(self.rng)
        self.calls: list[Call] = []
        self.campaigns: list[Campaign] = []
        # the zone has kept one offset since 2009, and the world looks back from its end
        offset = self.ends_at.astimezone(ZoneInfo(shop.TIMEZONE)).utcoffset() or timedelta()
        self.offset = int(offset.total_seconds())
        self.hours = {c.id: Hours(c.hours, offset=self.offset) for c in self.channels}

    def live(self, day: int, *, mean: float) -> None:
        """Everything that begins on one local day."""
        today = (self.starts_at + timedelta(days=day, seconds=self.offset)).date()
        midnight = _midnight(today, offset=self.offset)
        season = DEMAND_BY_WEEKDAY[today.weekday()] * DEMAND_BY_MONTH[today.month - 1]
        growth = 0.9 + 0.2 * day / max(1, self.days)
        for channel in self.channels:
            busyness = mean * channel.share * season * growth
            if day % CAMPAIGN_EVERY_DAYS == 4:
                self._mail(channel, midnight + 11 * HOUR)
            for at in arrivals(self.rng, midnight=midnight, mean=busyness):
                self._talk(channel, at)
            for at in arrivals(self.rng, midnight=midnight, mean=busyness * CALLS_PER_CONVERSATION):
                self._ring(channel, at)

    def world(self) -> World:
        """All that happened in time, in order."""
        end = self.ends_at
        messages = sorted(
            (m for m in self.book.messages if self.starts_at <= m.occurred_at <= end),
            key=lambda m: (m.inserted_at, m.id),
        )
        calls = [c for c in self.calls if self.starts_at <= c.started_at <= end]
        threads = tuple(map(self._filed, _alive(self.book.threads.values(), messages, calls)))
        people = {t.contact_id for t in threads}
        contacts = tuple(c for c in self.people.contacts.values() if c.id in people)
        return World(
            seed=self.seed,
            starts_at=self.starts_at,
            ends_at=end,
            channels=self.channels,
            agents=self.agents,
            templates=tuple(self.book.templates.values()),
            campaigns=tuple(self.campaigns),
            contacts=contacts,
            threads=threads,
            messages=tuple(messages),
            calls=tuple(sorted(calls, key=lambda c: (c.started_at, c.id))),
            customers=paperwork.customers(starts_at=self.starts_at),
            notes=paperwork.notes(self.seed, contacts, self.agents, ends_at=end),
            outages=paperwork.outages(self.seed, messages, starts_at=self.starts_at, ends_at=end),
        )

    def _talk(self, channel: Channel, at: int) -> None:
        if not self.hours[channel.id].is_open(at) and self.rng.random() < 0.6:
            return
        contact = self._someone(channel, at)
        self.people.keep_busy(channel, contact, until=play(self._pen(channel, contact, at)))

    def _ring(self, channel: Channel, at: int) -> None:
        if not channel.has_calls or moment(at) < channel.connected_at:
            return
        if not self.hours[channel.id].is_open(at) and self.rng.random() < 0.7:
            return  # most people know when nobody is there
        ring = shop_calls if self.rng.random() < 0.3 else customer_calls
        contact = self._someone(channel, at)
        call, until = ring(self._pen(channel, contact, at), at)
        self.calls.append(call)
        self.people.keep_busy(channel, contact, until=until)

    def _mail(self, channel: Channel, at: int) -> None:
        if moment(at) < channel.connected_at:
            return
        known = [c for c in self.people.known(channel) if c.opted_in and c.phone]
        reached = [c for c in known if self.people.is_free(channel, c, at=at)]
        reached = self.rng.sample(reached, k=min(CAMPAIGN_MOST, int(len(reached) * CAMPAIGN_SHARE)))
        template = list(self.book.templates.values())[len(self.campaigns) % 2]
        number = len(self.campaigns) + 1
        campaign = Campaign(
            f"campaign-{number}", f"Promo {number}", channel.id, template.id, moment(at)
        )
        self.campaigns.append(campaign)
        for contact in reached:
            at += 2
            pen = self._pen(channel, contact, at, campaign=campaign)
            until = receive_campaign(pen, at, template=template.id)
            self.people.keep_busy(channel, contact, until=until)

    def _someone(self, channel: Channel, at: int) -> Contact:
        since = max(moment(at), channel.connected_at)
        return self.people.someone(channel, at=at, since=since)

    def _pen(
        self, channel: Channel, contact: Contact, at: int, *, campaign: Campaign | None = None
    ) -> Pen:
        return Pen(
            book=self.book,
            channel=channel,
            contact=contact,
            hours=self.hours[channel.id],
            staff=tuple(a for a in self.agents if channel.id in a.channel_ids),
            at=at,
            campaign_id=campaign.id if campaign else None,
        )

    def _filed(self, thread: Thread) -> Thread:
        changes = sorted(self.book.changes[thread.id], key=lambda change: change.at)
        return replace(thread, changes=tuple(changes))


def _alive(
    threads: Iterable[Thread], messages: Iterable[Message], calls: Iterable[Call]
) -> Iterator[Thread]:
    """The threads in which something happened in time."""
    pairs = {(m.channel_id, m.contact_id) for m in messages}
    pairs |= {(c.channel_id, c.contact_id) for c in calls}
    return (t for t in threads if (t.channel_id, t.contact_id) in pairs)


def _midnight(day: date, *, offset: int) -> int:
    """When a local day begins, in seconds since 1970."""
    return int(datetime.combine(day, time(), UTC).timestamp()) - offset
