"""The delivery log: every body that a provider signed, in the order in which it was stored.

The receiver appends, ingest reads by sequence. What `append` came back from is on disk; what a
provider sends twice is one record. Two kinds, with the same promises: a SQLite file, and a
PostgreSQL table for several receivers.

    log = open_log(settings)
    for delivery in log.read(after=position, limit=1000): …   # the warehouse knows the position
    log.note_ingested(delivery.sequence)                      # for the backlog's figures only
    log.forget(up_to=delivery.sequence, before=ninety_days_ago)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Protocol

from pipelines.times import age_seconds

if TYPE_CHECKING:
    from pipelines.settings import Settings

FILE_NAME = "deliveries.db"

READ_BYTES = 32 * 1024 * 1024
"""What one `read` holds at most, but for a single larger body."""


@dataclass(frozen=True)
class Arrival:
    """What came over the wire, its signature checked and nothing else.

    Attributes:
        received_at: when it was whole, UTC, by this machine's clock.
        headers: the few that the room names, in lower case. Nobody signed them.
        body: as received, to the byte.
    """

    provider: str
    account: str
    received_at: datetime
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 of the body."""
        return sha256(self.body).digest()


@dataclass(frozen=True)
class Delivery:
    """One record of the log: an arrival with its place.

    Attributes:
        sequence: 1, 2, 3 …, in the order of the commits: what a reader has not seen is higher
            than all it has seen.
        body_sha256: of the body as it was received, in hex, also after an erasure changed it.
        copies: how often the same body came again.
    """

    sequence: int
    provider: str
    account: str
    received_at: datetime
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    body_sha256: str
    copies: int = 0


@dataclass(frozen=True)
class Backlog:
    """What waits for ingest.

    Attributes:
        records: deliveries after the one that ingest noted.
        oldest_at: when the first of them was received, UTC; None when there is none.
        last_sequence: of the newest delivery; 0 when there never was one.
        ingested: the sequence that ingest noted.
    """

    records: int
    oldest_at: datetime | None
    last_sequence: int
    ingested: int

    def age_seconds(self, now: datetime) -> float | None:
        """How long the first has waited; None when none does."""
        return age_seconds(self.oldest_at, now)


Rewrite = Callable[[Delivery], bytes]
"""What is to be left of a delivery's body: the body itself when nothing changes, empty bytes when
nothing is to be left."""


class DeliveryLog(Protocol):
    """See the module. Every method raises LogError when the log can't be used."""

    def append(self, arrivals: Sequence[Arrival]) -> list[bool]:
        """Store in one transaction; for each, whether it is new. On disk when this returns.

        One thread at a time.

        Raises:
            LogError: nothing of it is stored.
            LogBroken: nor will anything be, until the process is started anew.
        """
        ...

    def check(self, size: int = 0) -> None:
        """Write and commit something that is no delivery, and leave nothing of it.

        Args:
            size: of what is written, in bytes, at least.

        Raises:
            LogError: no delivery of that size could be stored either.
        """
        ...

    def read(self, after: int, limit: int) -> list[Delivery]:
        """The deliveries that follow a sequence, in order; fewer than `limit` when they are large.

        Empty means that there are no more. A record never appears later below one that was read.
        """
        ...

    def identity(self) -> int | None:
        """The number that was drawn when the log was made: another log's sequences say nothing of
        this one's. None when there is no log, or one of before they had it."""
        ...

    def last_sequence(self) -> int:
        """The highest sequence ever given; 0 when there is none."""
        ...

    def note_ingested(self, sequence: int) -> None:
        """Remember how far ingest got. For the backlog: what is loaded, the warehouse knows."""
        ...

    def backlog(self) -> Backlog:
        """What waits for ingest. Costs the same for a long log as for a short one."""
        ...

    def forget(self, up_to: int, before: datetime) -> int:
        """Remove what is both loaded (`sequence <= up_to`) and old; return how many."""
        ...

    def erase(self, rewrite: Rewrite) -> int:
        """Rewrite every delivery that `rewrite` changes; return how many.

        What is left empty is not read again, but stays known: the same body sent once more would
        not bring the person back.
        """
        ...

    def empty(self, sequences: Sequence[int]) -> None:
        """Leave nothing of some bodies, as `erase` does, but without writing anything anew: their
        bytes are gone when the room they took is used again."""
        ...

    def close(self) -> None:
        """Let go of the file or the connection."""
        ...


def open_log(settings: Settings) -> DeliveryLog:
    """The log that the settings name. Nothing is made before the first append.

    Raises:
        ConfigError: it names none that can be used.
    """
    if url := settings.log_url:
        from pipelines.receiver.postgres_log import PostgresLog

        return PostgresLog(url)
    from pipelines.receiver.sqlite_log import SqliteLog

    return SqliteLog(settings.data_path / FILE_NAME)
