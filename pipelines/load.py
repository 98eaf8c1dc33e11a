"""Sync one account: let its room's source read, let dlt load, remember how far it got.

Rows first, then the position: a crash between the two reads some pages again, and the merge by
key absorbs them. The other way round it would skip rows for good.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pipelines.errors import DoblecheckError, WarehouseError
from pipelines.provider import Provider
from pipelines.pull import CHUNK_ROWS, Outcome, Pull
from pipelines.settings import Account
from pipelines.warehouse import SyncState, Warehouse

if TYPE_CHECKING:
    from dlt import Pipeline

log = logging.getLogger(__name__)


@dataclass
class Report:
    """What a sync of one account did.

    Attributes:
        outcomes: resource → what became of it.
        requests: HTTP requests made.
        per_minute: the quota that was kept.
        has_more: history or fan-outs are left to the next run.
        error: what ended the account; None when it was read.
    """

    provider: str
    account: str
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    requests: int = 0
    per_minute: int = 0
    has_more: bool = False
    seconds: float = 0.0
    error: DoblecheckError | None = None

    @property
    def is_ok(self) -> bool:
        """Whether everything that was asked for was read."""
        return self.error is None and all(o.error is None for o in self.outcomes.values())

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
        with _loop() as loop, _client(loop, room, account) as client:
            try:
                _Sync(warehouse, room, account, order, loop, client, report).run()
            finally:
                report.requests = client.transport.requests
                report.per_minute = client.transport.per_minute
    except DoblecheckError as error:
        report.error = error
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
    done: set[str] = field(default_factory=set)
    began: float = field(default_factory=time.monotonic)

    def run(self) -> None:
        """Pull and load, a chunk at a time, until nothing is left that this run can read."""
        pipeline = _pipeline(self.warehouse, self.room, self.account)
        _load(pipeline)  # what a killed run had read; then this run reads on
        positions = self._positions()
        wanted = self.order.resources
        if self.order.span:
            wanted &= set(self.room.ranged)
        while wanted:
            pull = self._pull(pipeline, positions, wanted)
            self._record(pull)
            failed = {name for name, outcome in pull.outcomes.items() if outcome.error}
            wanted = wanted - failed
            is_over = self.order.is_stopping() or self._is_out_of_time() or self.report.error
            self.report.has_more = pull.has_more
            if is_over or not pull.has_more:
                break

    def _is_out_of_time(self) -> bool:
        limit = self.order.seconds
        return limit is not None and time.monotonic() - self.began >= limit

    def _positions(self) -> dict[str, dict[str, Any]]:
        states = self.warehouse.sync_states(self.room, self.account.name)
        if self.order.is_full:
            return {}
        return {state.resource: dict(state.position) for state in states}

    def _pull(
        self, pipeline: Pipeline, positions: dict[str, dict[str, Any]], wanted: frozenset[str]
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
                span=self.order.span,
                is_stopping=self.order.is_stopping,
                is_out_of_time=self._is_out_of_time,
                on_page=self.order.on_page,
                chunk_rows=self.order.chunk_rows,
            )
            with _explained("reading"):
                read = self.room.backfill if self.order.span else self.room.source
                pipeline.extract(read(pull))
        _load(pipeline)
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
        self.warehouse.save_sync_states(self.room, states)

    def _state(self, name: str, pull: Pull) -> SyncState:
        outcome = pull.outcomes[name]
        synced_at = None if outcome.error else self.order.now
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
    total.is_complete, total.left = more.is_complete, more.left
    total.note, total.error = more.note, more.error


def _pipeline(warehouse: Warehouse, room: Provider, account: Account) -> Pipeline:
    """The dlt pipeline of one account, with every setting given: dlt would look for more in the
    current folder and at home."""
    folder = warehouse.data_dir / "dlt"
    os.environ["DLT_PROJECT_DIR"] = str(folder)
    os.environ["DLT_DATA_DIR"] = str(folder)
    import dlt  # slow to import

    dlt.config["runtime.dlthub_telemetry"] = False
    dlt.config["runtime.log_level"] = "ERROR"
    dlt.config["normalize.parquet_normalizer.add_dlt_load_id"] = True
    dlt.config["load.delete_completed_jobs"] = True  # they hold what customers wrote
    return dlt.pipeline(
        pipeline_name=f"{room.name}_{account.name}",
        pipelines_dir=str(folder / "pipelines"),
        destination=dlt.destinations.duckdb(str(warehouse.path)),
        dataset_name=room.schema,
    )


def _load(pipeline: Pipeline) -> None:
    """Load every package that was read, also those of a run that was killed."""
    with _explained("loading"):
        while pipeline.has_pending_data:
            pipeline.normalize()
            pipeline.load(raise_on_failed_jobs=True)


@contextmanager
def _explained(doing: str) -> Iterator[None]:
    """Turn dlt's errors into ours: their messages may quote rows."""
    from dlt.pipeline.exceptions import PipelineStepFailed

    try:
        yield
    except PipelineStepFailed as error:
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        if isinstance(cause, DoblecheckError):
            raise cause from None
        raise WarehouseError(
            f"{doing} failed in dlt's {error.step} step ({type(cause).__name__})",
            hint="nothing is lost: run it again; if it stays, report it with this line",
        ) from None


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
def _client(loop: asyncio.AbstractEventLoop, room: Provider, account: Account) -> Iterator[Any]:
    context = room.connect(account)
    client = asyncio.run_coroutine_threadsafe(context.__aenter__(), loop).result()
    try:
        yield client
    finally:
        asyncio.run_coroutine_threadsafe(context.__aexit__(None, None, None), loop).result()


def check_account(room: Provider, account: Account) -> None:
    """Make the one request that tells whether an account's key is good.

    Raises:
        ConfigError: the account has no key.
        ProviderError: the key is refused, or nobody answers.
    """

    async def check() -> None:
        async with room.connect(account) as client:
            await room.probe(client)

    asyncio.run(check())
