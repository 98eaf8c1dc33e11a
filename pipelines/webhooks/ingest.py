"""Deliveries from the receiver's log, or from files that other receivers kept, into `raw_webhooks`.

The log is read by sequence. How far it is read stands in the warehouse and changes in the
transaction that brings the rows, so a run that is killed anywhere loses nothing and doubles
nothing. A body that is already there is counted and not stored again, whichever way it came.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import orjson

from pipelines.care import erasure
from pipelines.care.erased import Erased
from pipelines.errors import DoblecheckError
from pipelines.events import Reader, webhook_tables
from pipelines.events.webhook_tables import UNREADABLE, Understood
from pipelines.failpoint import failpoint
from pipelines.provider import Provider
from pipelines.reading.landing import scrub
from pipelines.salvage import Unreadable, decode, redacted, salvage

if TYPE_CHECKING:
    from pipelines.receiver.log import DeliveryLog
    from pipelines.warehouse import Connection, Warehouse

log = logging.getLogger(__name__)

CHUNK = 1000
"""Deliveries that are stored in one transaction."""


@dataclass(frozen=True)
class Arrived:
    """A delivery on its way into the warehouse.

    Attributes:
        sequence: its place in the log; None for one from a file.
        account: None when nobody knows whose it is.
    """

    provider: str | None
    account: str | None
    received_at: datetime
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    sequence: int | None = None
    body_sha256: str = ""


@dataclass
class Ingested:
    """What an ingest did.

    Attributes:
        read: deliveries in the log or the files.
        stored: those that were new.
        known: those whose body was there already.
        unplaced: those of which nobody knows whose they are; they are in `rejected`.
        error: what ended it before its end; None when nothing did.
        is_stopped: it was asked to end, and left deliveries for the next one.
        understood: what became of the new ones, and of older ones that waited.
    """

    read: int = 0
    stored: int = 0
    known: int = 0
    unplaced: int = 0
    seconds: float = 0.0
    error: str | None = None
    is_stopped: bool = False
    understood: Understood = field(default_factory=Understood)

    @property
    def is_ok(self) -> bool:
        """Whether everything was read, and every delivery found its account."""
        return self.unplaced == 0 and self.error is None


def ingest(
    warehouse: Warehouse,
    rooms: Sequence[Provider],
    deliveries: DeliveryLog,
    *,
    now: datetime | None = None,
    keep: timedelta | None = None,
    chunk: int = CHUNK,
    is_stopping: Callable[[], bool] = lambda: False,
) -> Ingested:
    """Load what is new in the log. The caller holds the warehouse's lock.

    Args:
        keep: deliveries that are loaded and older than this are removed from the log.

    Raises:
        LogError: the log can't be read.
    """
    store = _Store(warehouse, rooms, now or datetime.now(UTC))
    after = 0
    with store.opened() as connection:
        name = webhook_tables.name_of_log(deliveries.identity())
        after = _position(connection, deliveries, name)
        while not is_stopping() and (found := deliveries.read(after, chunk)):
            after = found[-1].sequence
            arrived = [
                Arrived(
                    each.provider,
                    each.account,
                    each.received_at,
                    each.headers,
                    each.body,
                    each.sequence,
                    each.body_sha256,
                )
                for each in found
            ]
            store.add(connection, arrived, position=(name, after))
        store.understand(connection, chunk)
    is_stopped = is_stopping() and bool(deliveries.read(after, 1))
    failpoint("ingest.loaded")
    if store.of_erased:
        deliveries.empty(store.of_erased)
    if after:
        deliveries.note_ingested(after)
    if after and keep is not None:
        deliveries.forget(up_to=after, before=store.now - keep)
    failpoint("ingest.end")
    return replace(store.finish(), is_stopped=is_stopped)


def ingest_arrived(
    warehouse: Warehouse,
    rooms: Sequence[Provider],
    arrived: Iterable[Sequence[Arrived]],
    *,
    now: datetime | None = None,
) -> Ingested:
    """Load deliveries from elsewhere, a portion at a time. The caller holds the lock."""
    store = _Store(warehouse, rooms, now or datetime.now(UTC))
    with store.opened() as connection:
        for portion in arrived:
            store.add(connection, portion)
        store.understand(connection)
    return store.finish()


def _position(connection: Connection, deliveries: DeliveryLog, name: str) -> int:
    """Where to read on."""
    position = webhook_tables.read_log_position(connection, name, deliveries.last_sequence())
    if position < webhook_tables.read_position(connection, name):
        log.warning("the delivery log ends before the last position: it is read from its start")
    return position


class _Store:
    """Puts deliveries where they belong, and counts."""

    def __init__(self, warehouse: Warehouse, rooms: Sequence[Provider], now: datetime) -> None:
        self.now, self._warehouse, self._rooms = now, warehouse, rooms
        self._readers: dict[str, Reader] = {
            room.name: room.webhooks for room in rooms if room.has_webhooks
        }
        self.of_erased: list[int] = []  # sequences whose bodies the log may keep no longer
        self._done = Ingested()
        self._erased = Erased(b"", {})
        self._began = time.monotonic()

    def opened(self) -> Any:
        """A connection to a warehouse that has the tables."""
        self._warehouse.ensure_raw_tables(self._rooms)
        self._erased = erasure.load(self._warehouse)
        return self._warehouse.connect()

    def add(
        self,
        connection: Connection,
        arrived: Sequence[Arrived],
        *,
        position: tuple[str, int] | None = None,
    ) -> None:
        """Store a portion, and with it how far the log of this name is read."""
        failpoint("ingest.read")
        load = webhook_tables.load_id()
        placed = [each for each in arrived if each.account and each.provider]
        unplaced = [each for each in arrived if not (each.account and each.provider)]
        with webhook_tables.transaction(connection):
            new = _unknown(connection, placed)
            rows = [self._row(each, id_, load) for each, id_ in new]
            webhook_tables.insert(self._warehouse, connection, "deliveries", rows)
            self._reject(connection, unplaced, load)
            erasure.keep(connection, self._erased)
            failpoint("ingest.inserted")
            if position is not None:
                webhook_tables.save_position(connection, *position, self.now)
        failpoint("ingest.stored")
        self._done.read += len(arrived)
        self._done.stored += len(rows)
        self._done.known += len(placed) - len(rows)
        self._done.unplaced += len(unplaced)

    def understand(self, connection: Connection, chunk: int = CHUNK) -> None:
        """Read what deliveries say: the new ones, and what waits from before."""
        self._done.understood = webhook_tables.understand(
            self._warehouse, connection, self._rooms, chunk=chunk
        )

    def finish(self) -> Ingested:
        erasure.catch_up(self._warehouse, self._rooms, self._erased)
        self._done.seconds = time.monotonic() - self._began
        return self._done

    def _row(self, each: Arrived, delivery_id: int, load: str) -> tuple[Any, ...]:
        reader = self._readers.get(each.provider or "")
        payload, problem = payload_of(each.body, reader)
        whole, payload = payload, self._erased.document(payload) or payload
        if payload != whole and each.sequence is not None:
            self.of_erased.append(each.sequence)
        header = {name.lower(): value for name, value in each.headers.items()}
        return (
            delivery_id,
            each.provider,
            each.account,
            None,  # its event, which the body tells when it is understood
            _digest(each),
            header.get(reader.KEY_HEADER) if reader else None,
            each.received_at,
            payload,
            problem,
            header.get(reader.EVENT_HEADER) if reader else None,
            None,
            None,
            load,
        )

    def _text(self, body: bytes) -> str:
        text = redacted_text(body)
        return self._erased.document(text) or text

    def _reject(self, connection: Connection, unplaced: Sequence[Arrived], load: str) -> None:
        """Keep what belongs to nobody, once."""
        by_id = {file_id(each): each for each in unplaced}
        there = _known_ids(connection, "rejected", by_id)
        rows = [
            (id_, each.provider or "", "", NOBODY, self._text(each.body), each.received_at, load)
            for id_, each in by_id.items()
            if id_ not in there
        ]
        webhook_tables.insert(self._warehouse, connection, "rejected", rows)


NOBODY = "no account is known for it"


def payload_of(body: bytes, reader: Reader | None) -> tuple[str, str | None]:
    """A body as JSON text without secrets, and what is wrong with it.

    A body that is no JSON becomes the text of its bytes. A part of one that is none, such as a row
    of a batch, becomes an object that quotes its text: the others can still be read.
    """
    secrets = reader.SECRETS if reader else frozenset[str]()
    try:
        decoded = _decoded(body)
    except ValueError:
        return orjson.dumps(redacted(_text(body), secrets)).decode(), "not JSON"
    if reader is not None:
        decoded = scrub(decoded, secrets=secrets, media=reader.MEDIA, links=reader.LINKS)
    try:
        return orjson.dumps(_quoted(decoded, secrets)).decode(), None
    except (TypeError, RecursionError):
        return orjson.dumps(redacted(_text(body), secrets)).decode(), "nested too deep"


def _decoded(body: bytes) -> Any:
    try:
        return decode(body)
    except ValueError:
        return salvage(body)


def _quoted(value: Any, secrets: frozenset[str]) -> Any:
    if isinstance(value, Unreadable):
        return {UNREADABLE: redacted(value.text, secrets), "reason": value.reason}
    if isinstance(value, dict):
        return {key: _quoted(item, secrets) for key, item in value.items()}
    return [_quoted(item, secrets) for item in value] if isinstance(value, list) else value


def _text(body: bytes) -> str:
    return Unreadable(body, "").text


def redacted_text(body: bytes) -> str:
    """The text of a body of which nobody knows what is secret in it: without web links."""
    return redacted(_text(body), frozenset())


def file_id(each: Arrived) -> int:
    """The id of a delivery that has no place in the log: negative, and always the same."""
    name = f"{each.provider}/{each.account}/{_digest(each)}"
    return -1 - (int.from_bytes(sha256(name.encode()).digest()[:8], "big") >> 1)


def _unknown(connection: Connection, arrived: Sequence[Arrived]) -> list[tuple[Arrived, int]]:
    """The deliveries whose body is not there yet, with the id each gets."""
    first = {(each.provider, each.account, _digest(each)): each for each in reversed(arrived)}
    sql = (
        f"select provider, account, body_sha256 from {webhook_tables.SCHEMA}.deliveries "
        "where body_sha256 in (select unnest($1::text[]))"
    )
    known = set(connection.execute(sql, [[key[2] for key in first]]).fetchall()) if first else set()
    new = [each for key, each in reversed(first.items()) if key not in known]
    # Another log may have begun to count anew: then the number is taken.
    taken = _known_ids(connection, "deliveries", [each.sequence for each in new])
    return [(each, _id(each, taken)) for each in new]


def _id(each: Arrived, taken: set[int]) -> int:
    if each.sequence is None or each.sequence in taken:
        return file_id(each)
    return each.sequence


def _digest(each: Arrived) -> str:
    return each.body_sha256 or sha256(each.body).hexdigest()


def _known_ids(connection: Connection, table: str, ids: Iterable[int | None]) -> set[int]:
    wanted = [id_ for id_ in ids if id_ is not None]
    if not wanted:
        return set()
    sql = (
        f"select delivery_id from {webhook_tables.SCHEMA}.{table} "
        "where delivery_id in (select unnest($1::bigint[]))"
    )
    return {found for (found,) in connection.execute(sql, [wanted]).fetchall()}


def portions(arrived: Iterable[Arrived], size: int = CHUNK) -> Iterator[list[Arrived]]:
    """The same deliveries, some at a time; where they break off, what there was comes first."""
    portion: list[Arrived] = []
    try:
        for each in arrived:
            portion.append(each)
            if len(portion) == size:
                yield portion
                portion = []
    except DoblecheckError:
        yield portion
        raise
    yield portion
