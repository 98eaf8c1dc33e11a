"""Broadcasts, and what became of each of their recipients.

A recipient's row changes for days after the broadcast has ended: somebody reads it on Monday and
answers on Tuesday. The broadcast's own row counts those changes, so its recipients are read again
when it counts something new, and once a day in case it does not count right.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from pipelines.cursors import Page, follow
from pipelines.errors import ProviderError
from pipelines.provider import Row
from pipelines.providers.kapso.client import Kapso
from pipelines.providers.kapso.fanouts import Tally
from pipelines.providers.kapso.tables import BROADCAST_RECIPIENTS, BROADCASTS
from pipelines.reading.pull import Pull
from pipelines.reading.walks import Refresh
from pipelines.times import is_due, parse_time, past

DAY = timedelta(days=1)

BROADCAST_REFRESHES = (
    Refresh("month", every=timedelta(hours=1), depth=30 * DAY),
    Refresh("all", every=DAY, depth=None),
)

FINAL = ("completed", "failed")

SETTLING = 7 * DAY
"""How long after a broadcast's end its recipients still read and answer."""

CHECK_EVERY = DAY
"""How long the same counts are believed."""

COUNTS = (
    "status",
    "updated_at",
    "total_recipients",
    "pending_count",
    "sent_count",
    "delivered_count",
    "read_count",
    "responded_count",
    "failed_count",
)


@dataclass(frozen=True)
class Broadcast:
    """What decides whether a broadcast's recipients are read.

    Attributes:
        counts: a digest of everything that moves when a recipient does.
        settles_at: when its recipients are taken to change no more; None while it is not final.
    """

    id: str
    counts: str
    settles_at: datetime | None

    def is_open(self, since: datetime | None) -> bool:
        """Whether its recipients may have changed after `since`; None: ever."""
        return self.settles_at is None or since is None or self.settles_at >= since


class BroadcastReader:
    """Reads the broadcasts of one pull and their recipients.

    The recipients' position: `settled_at`, the time of the last complete round, before which
    settled broadcasts need no look; `failed`, those of them that could not be read; `seen`, for
    these and the others, their counts when they were read and the time; `at`, the broadcast and
    page at which a pull stopped.
    """

    def __init__(self, pull: Pull) -> None:
        self._pull = pull
        self._api: Kapso = pull.client

    async def broadcasts(self) -> None:
        await self._pull.newest_first(
            BROADCASTS,
            self._api.broadcasts,
            time_of=lambda row: parse_time(row.get("created_at")),
            refreshes=BROADCAST_REFRESHES,
        )

    async def recipients(self) -> None:
        """Recipients of the broadcasts that are not settled yet."""
        outcome = self._pull.outcomes[BROADCAST_RECIPIENTS.name]
        broadcasts = await self._broadcasts()
        place = self._pull.positions.setdefault(BROADCAST_RECIPIENTS.name, {})
        tally = Tally(partial(self._api.exists, BROADCASTS.name), failed=place.get("failed", ()))
        due = [broadcast for broadcast in broadcasts if self._is_due(place, broadcast)]
        for broadcast in due:
            # One broadcast or page is read in any case: every pull gets on.
            is_enough = self._pull.is_stopping() or (tally.is_open and self._pull.is_paused())
            if is_enough or not await self._read(place, broadcast, tally):
                outcome.is_complete, self._pull.has_more = False, True
                tally.end()
                return
        await tally.check()
        # Also those that are gone or failed: they are asked for again tomorrow.
        for broadcast in due:
            self._see(place, broadcast)
        place["failed"] = sorted(tally.failed)
        outcome.note = tally.note
        outcome.is_complete = tally.note is None and self._are_all_known
        self._settle(place, broadcasts)
        tally.end()

    def _see(self, place: dict[str, Any], broadcast: Broadcast) -> None:
        seen = place.setdefault("seen", {})
        seen[broadcast.id] = [broadcast.counts, self._pull.now.isoformat()]

    @property
    def _are_all_known(self) -> bool:
        return self._pull.outcomes[BROADCASTS.name].is_complete

    def _settle(self, place: dict[str, Any], broadcasts: Sequence[Broadcast]) -> None:
        """Forget the broadcasts that need no further look."""
        if not self._are_all_known:
            return
        place["settled_at"] = self._pull.now.isoformat()
        seen = place.get("seen", {})
        kept = {b.id for b in broadcasts if b.is_open(self._pull.now)} | {*place["failed"]}
        place["seen"] = {key: value for key, value in seen.items() if key in kept}

    def _is_due(self, place: dict[str, Any], broadcast: Broadcast) -> bool:
        is_open = broadcast.is_open(past(place.get("settled_at"), self._pull.now))
        if not (is_open or broadcast.id in place.get("failed", ())):
            return False
        if broadcast.id not in place.get("seen", {}):
            return True
        counts, time = place["seen"][broadcast.id]
        read_at, settles_at = datetime.fromisoformat(time), broadcast.settles_at
        is_last_look = settles_at is not None and read_at < settles_at <= self._pull.now
        is_old = is_due(time, CHECK_EVERY, self._pull.now)
        return bool(counts != broadcast.counts or is_old or is_last_look)

    async def _read(self, place: dict[str, Any], broadcast: Broadcast, tally: Tally) -> bool:
        """Read one broadcast's recipients; False when the pull stopped before the last page."""
        try:
            is_done = await self._pages(place, broadcast.id)
        except ProviderError as error:
            await tally.add(broadcast.id, error)
            place.pop("at", None)
            return True
        await tally.add(broadcast.id, None)
        if is_done:
            self._see(place, broadcast)
        return is_done

    async def _pages(self, place: dict[str, Any], broadcast: str) -> bool:
        stopped_in, cursor = place.get("at") or (None, None)

        async def fetch(cursor: str | None) -> Page[Row]:
            page = await self._api.recipients(broadcast, cursor)
            for row in page.rows:
                if isinstance(row, dict):
                    row["@broadcast_id"] = broadcast
            return page

        async for page in follow(fetch, cursor if stopped_in == broadcast else None):
            self._pull.take(BROADCAST_RECIPIENTS, page)
            place["at"] = [broadcast, page.next] if page.next else None
            if page.next and self._pull.is_paused():
                return False
        return True

    async def _broadcasts(self) -> list[Broadcast]:
        """Every broadcast known, in the order of ids: listed now, or stored when the list is not
        to be had.

        Raises:
            ProviderError: the list is not to be had, and none is stored.
        """
        if BROADCASTS.name in self._pull.wanted:
            await self._pull.finished(BROADCASTS.name)
        else:
            await self._pull.read(BROADCASTS, self._list)
        columns = ("id", "completed_at", "created_at", *COUNTS)
        rows = self._pull.current(BROADCASTS, columns)
        failure = self._pull.outcomes[BROADCASTS.name].error
        if failure is not None and not rows:
            raise failure
        return sorted((_broadcast(*row) for row in rows), key=lambda found: found.id)

    async def _list(self) -> None:
        await self._pull.all_pages(BROADCASTS, self._api.broadcasts)


def _broadcast(
    identity: str | None, completed: str | None, created: str | None, *counts: str | None
) -> Broadcast:
    status, updated, *_ = counts
    ended = parse_time(completed) or parse_time(updated) or parse_time(created)
    is_final = (status or "").lower() in FINAL and ended is not None
    digest = hashlib.blake2b(repr(counts).encode(), digest_size=8).hexdigest()
    return Broadcast(str(identity), digest, ended + SETTLING if is_final and ended else None)
