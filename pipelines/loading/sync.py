"""Sync one account: let its room's source read, let dlt load, remember how far it got.

Rows first, then the position: a crash between the two reads some pages again, and the merge by
key absorbs them. The other way round it would skip rows for good.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pipelines.care import erasure
from pipelines.care.erased import Erased
from pipelines.errors import (
    REPORT_IT,
    DoblecheckError,
    ProviderError,
    WarehouseError,
    unexpected,
)
from pipelines.failpoint import failpoint
from pipelines.loading.packages import Loader, writing
from pipelines.provider import Provider
from pipelines.reading.holding import CHUNK_ROWS, Outcome
from pipelines.reading.pull import Pull
from pipelines.reading.quota import Left, Spent
from pipelines.reading.transport import Transport
from pipelines.settings import Account
from pipelines.warehouse import SyncState, Warehouse

WATCH_SECONDS = 0.2
"""How long a signal to stop may go unseen."""


@dataclass
class Report:
    """What a sync of one account did.

    Attributes:
        outcomes: resource → what became of it.
        requests: HTTP requests made.
        per_minute: the quota that was kept.
        has_more: history or fan-outs are left to the next run.
        error: what ended the account; None when it was read.
        problems: what went wrong and ended nothing.
        is_stopped: it was asked to end, and left something for the next run.
    """

    provider: str
    account: str
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    requests: int = 0
    per_minute: int = 0
    has_more: bool = False
    seconds: float = 0.0
    error: DoblecheckError | None = None
    problems: list[WarehouseError] = field(default_factory=list)
    is_stopped: bool = False

    @property
    def is_ok(self) -> bool:
        """Whether everything that was asked for was read, and nothing had to be set aside."""
        failed = any(outcome.error for outcome in self.outcomes.values())
        return not (self.error or self.problems or self.is_stopped or failed)

    @property
    def left(self) -> int | None:
        """Requests that are still to make, as far as can be told; None when it can't."""
        told = [outcome.left for outcome in self.outcomes.values()]
        return sum(left for left in told if left) if self.has_more and any(told) else None

    @property
    def changed(self) -> int:
        """Rows that were new or different."""
        return sum(outcome.changed for outcome in self.outcomes.values())


@dataclass(frozen=True)
class Order:
    """What to sync of an account.

    Attributes:
        resources: names of the room's resources.
        is_full: read everything again, also what is known.
        chunk_rows: rows read before they are loaded.
        span: a range to read again, half-open, instead of what is new.
        seconds: how long to read; what does not fit is left to the next run. None: no limit.
        is_stopping: asked between pages; True ends the sync in order.
        on_page: called with the resource and its rows after every page.
        now: the start of the sync, UTC; it decides which refreshes are due.
    """

    resources: frozenset[str]
    is_full: bool = False
    chunk_rows: int = CHUNK_ROWS
    span: tuple[datetime, datetime] | None = None
    seconds: float | None = None
    is_stopping: Callable[[], bool] = lambda: False
    on_page: Callable[[str, int], None] = lambda resource, rows: None
    now: datetime = field(default_factory=lambda: datetime.now(UTC))


def sync_account(warehouse: Warehouse, room: Provider, account: Account, order: Order) -> Report:
    """Pull what is new of one account into `raw_<room>`. The caller holds the warehouse's lock.

    A failure of one resource ends that resource; a refused key ends the account. What was read
    until then is loaded.
    """
    started = time.monotonic()
    report = Report(room.name, account.name)
    try:
        failpoint("sync.account")
        spent = Spent(warehouse.data_dir, account.key)
        with _loop() as loop, _client(loop, room, account, order) as client:
            client.transport.remember(spent)
            try:
                # Opening DuckDB's file for every load takes half of its time.
                with warehouse.side_by_side():
                    _Sync(warehouse, room, account, order, loop, client, report).run()
            finally:
                report.requests = client.transport.requests
                report.per_minute = client.transport.per_minute
                left = report.left if report.has_more else 0
                spent.leave(Left(f"{room.name}:{account.name}", report.per_minute, left))
                spent.close()
    except DoblecheckError as error:
        report.error = error
    except OSError as error:  # a working file, or the note of the quota, found no room
        report.error = warehouse.explain(error)
        if report.error is None:
            raise
    except Exception as error:  # noqa: BLE001 - whatever it is, the other accounts are read
        report.error = DoblecheckError(unexpected(error), hint=REPORT_IT)
    report.seconds = time.monotonic() - started
    return report


@dataclass
class _Sync:
    warehouse: Warehouse
    room: Provider
    account: Account
    order: Order
    loop: asyncio.AbstractEventLoop
    client: Any
    report: Report
    erased: Erased = field(default_factory=lambda: Erased(b"", {}))
    done: set[str] = field(default_factory=set)
    carried: dict[str, Any] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)

    def run(self) -> None:
        """Pull and load, a chunk at a time, until nothing is left that this run can read."""
        loader = Loader(self.warehouse, self.room, self.account.name)
        self.report.problems = loader.problems
        states = self.warehouse.sync_states(self.room, self.account.name)
        loader.finish_pending(max(filter(None, (s.last_synced_at for s in states)), default=None))
        self.erased = erasure.load(self.warehouse)
        positions = self._positions(states)
        wanted = self.order.resources
        if self.order.span:
            wanted &= set(self.room.ranged)
        while wanted:
            pull = self._pull(loader, positions, wanted)
            self._record(pull)
            failed = {name for name, outcome in pull.outcomes.items() if outcome.error}
            wanted = wanted - failed
            self.report.has_more = pull.has_more
            self.report.is_stopped = pull.is_stopped or (pull.has_more and pull.is_stopping())
            is_late = self._is_out_of_time() and not pull.must_go_on
            if self.report.is_stopped or is_late or self.report.error or not pull.has_more:
                break

    def _is_out_of_time(self) -> bool:
        limit = self.order.seconds
        return limit is not None and time.monotonic() - self.began >= limit

    def _positions(self, states: Sequence[SyncState]) -> dict[str, dict[str, Any]]:
        return {
            state.resource: dict(state.position)
            for state in states
            if not self.order.is_full or state.resource in self.room.resumed
        }

    def _pull(
        self, loader: Loader, positions: dict[str, dict[str, Any]], wanted: frozenset[str]
    ) -> Pull:
        with self.warehouse.stored(self.room, self.account.name) as stored:
            pull = Pull(
                account=self.account.name,
                client=self.client,
                stored=stored,
                positions=positions,
                wanted=wanted,
                now=self.order.now,
                loop=self.loop,
                is_full=self.order.is_full,
                done=self.done,
                carried=self.carried,
                span=self.order.span,
                is_stopping=self.order.is_stopping,
                is_out_of_time=self._is_out_of_time,
                on_page=self.order.on_page,
                stored_as=self.erased.record,
                chunk_rows=self.order.chunk_rows,
            )
            read = self.room.backfill if self.order.span else self.room.source
            try:
                loader.extract(read(pull))
            finally:
                pull.abandon()
        if pull.has_long_rows:
            self.warehouse.expect_long_rows()
        pull.forget()
        with writing:
            erasure.keep_learned(self.warehouse, self.erased)
        loader.load()
        with writing:
            erasure.catch_up(self.warehouse, [self.room], self.erased)
        self.erased.learned.clear()
        return pull

    def _record(self, pull: Pull) -> None:
        """Add a pull's outcome to the report, and save how far each resource got."""
        for name in sorted(pull.wanted):
            _add(self.report.outcomes.setdefault(name, Outcome()), pull.outcomes[name])
        errors = [outcome.error for outcome in pull.outcomes.values() if outcome.error]
        self.report.error = next((error for error in errors if error.ends_account), None)
        if self.order.span:
            return  # a range says nothing of how far the lists are read
        states = [self._state(name, pull) for name in sorted(pull.wanted)]
        failpoint("sync.positions")
        with writing:
            self.warehouse.save_sync_states(self.room, states)
        failpoint("sync.written")

    def _state(self, name: str, pull: Pull) -> SyncState:
        outcome = pull.outcomes[name]
        is_whole = not (outcome.error or outcome.is_stopped)
        synced_at = self.order.now if is_whole else None
        return SyncState(
            account=self.account.name,
            resource=name,
            position=pull.positions.get(name, {}),
            is_complete=outcome.is_complete,
            first_synced_at=synced_at,
            last_synced_at=synced_at,
            last_error=str(outcome.error) if outcome.error else outcome.note,
        )


def _add(total: Outcome, more: Outcome) -> None:
    total.read += more.read
    total.changed += more.changed
    total.rejected += more.rejected
    total.is_complete, total.is_stopped = more.is_complete, more.is_stopped
    total.note, total.error, total.left = more.note, more.error, more.left


@contextmanager
def _loop() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="http", daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextmanager
def _client(
    loop: asyncio.AbstractEventLoop,
    room: Provider,
    account: Account,
    order: Order,
) -> Iterator[Any]:
    def wait_for(work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result()

    context = room.connect(account)
    client = wait_for(context.__aenter__())
    watch = asyncio.run_coroutine_threadsafe(_watch(order, client.transport), loop)
    try:
        yield client
    finally:
        watch.cancel()
        wait_for(context.__aexit__(None, None, None))


async def _watch(order: Order, transport: Transport) -> None:
    """Tell the transport when the run's time is over, and to end when the run is asked to: it may
    be in the middle of a wait."""
    began = time.monotonic()
    while not order.is_stopping():
        if order.seconds is not None and time.monotonic() - began >= order.seconds:
            transport.hurry()
        await asyncio.sleep(WATCH_SECONDS)
    transport.stop()


def check_account(room: Provider, account: Account) -> dict[str, ProviderError]:
    """Make the request that tells whether an account's key is good, then one per resource that
    the account reads and that needs a right of its own; return the resources that are closed.

    Raises:
        ConfigError: the account has no key.
        ProviderError: the key is refused, or nobody answers.
    """

    async def check() -> dict[str, ProviderError]:
        closed: dict[str, ProviderError] = {}
        async with room.connect(account) as client:
            await room.probe(client)
            for name, ask in room.scopes(client).items():
                try:
                    if name in (account.resources or ()):
                        await ask()
                except ProviderError as error:
                    closed[name] = error
        return closed

    return asyncio.run(check())
