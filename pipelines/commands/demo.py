"""The whole product on a made-up shop: simulators, sync over HTTP, build, publish, the numbers."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from pipelines import run
from pipelines.care.reconcile import Reconciled, reconcile
from pipelines.errors import UsageError, WarehouseError
from pipelines.provider import Provider
from pipelines.providers import find
from pipelines.settings import Account, Hours, Receiver, Settings
from pipelines.warehouse import Warehouse, at

if TYPE_CHECKING:
    from pipelines.commands.show import Progress
    from pipelines.world import World

SEED = 7
ENDS_AT = datetime(2026, 11, 20, 21, 0, tzinfo=UTC)
"""The made-up year always ends here, so that everybody sees the same numbers."""

WEBHOOK_DAYS = 7
"""The shop's webhooks of its last days are sent, too: a year of them takes a while."""

MARK = ".made-by-demo"
"""A file that says of a folder that the next demo may clear it."""

KEY = "made-up-key"
WEBHOOK_SECRET = "made-up-webhook-secret"  # noqa: S105 - of a made-up shop
QUICK = {"requests_per_minute": 1_000_000, "concurrency": 16}

WEEKDAY = ["09:00-13:00", "14:00-18:00"]
HOURS = Hours(
    timezone="America/Argentina/Buenos_Aires",
    monday=WEEKDAY,
    tuesday=WEEKDAY,
    wednesday=WEEKDAY,
    thursday=WEEKDAY,
    friday=WEEKDAY,
    saturday=["09:30-13:00"],
)

KPIS = """
with

turns as (
    select * from marts.fct_turns
),

windows as (
    select
        channel_key,
        count(*) filter (where is_expired_unanswered) as expired_unanswered
    from marts.fct_service_windows
    group by channel_key
),

kpis as (
    select
        turns.provider,
        turns.channel_key,
        count(*) filter (where scope = 'any') as turns,
        percentile_cont(0.5) within group (order by response_seconds)
            filter (where scope = 'any' and is_first_response) as p50_first_any,
        percentile_cont(0.9) within group (order by response_seconds)
            filter (where scope = 'any' and is_first_response) as p90_first_any,
        percentile_cont(0.5) within group (order by response_seconds)
            filter (where scope = 'human' and is_first_response) as p50_first_human,
        percentile_cont(0.9) within group (order by response_seconds)
            filter (where scope = 'human' and is_first_response) as p90_first_human,
        count(*) filter (where scope = 'any' and is_mature) as mature,
        count(*) filter (where scope = 'any' and is_answered_in_window) as answered_in_window,
        count(*) filter (where scope = 'any' and outcome = 'waiting') as waiting
    from turns
    group by turns.provider, turns.channel_key
)

select
    kpis.provider,
    coalesce(channels.name, kpis.channel_key, 'unknown') as channel,
    kpis.turns,
    kpis.p50_first_any,
    kpis.p90_first_any,
    kpis.p50_first_human,
    kpis.p90_first_human,
    kpis.mature,
    kpis.answered_in_window,
    coalesce(windows.expired_unanswered, 0) as expired_unanswered,
    kpis.waiting
from kpis
left join windows on kpis.channel_key is not distinct from windows.channel_key
left join marts.dim_channels as channels on kpis.channel_key = channels.channel_key
order by kpis.provider, channel
"""


@dataclass(frozen=True)
class Kpi:
    """One channel's numbers; durations in seconds, None where nothing was answered."""

    provider: str
    channel: str
    turns: int
    p50_first_any: float | None
    p90_first_any: float | None
    p50_first_human: float | None
    p90_first_human: float | None
    mature: int
    answered_in_window: int
    expired_unanswered: int
    waiting: int


@dataclass(frozen=True)
class Demo:
    """What the demo did and found."""

    as_of: datetime
    messages: int
    requests: int
    webhooks: int
    seconds: float
    snapshot: str
    kpis: tuple[Kpi, ...]
    reconciled: Reconciled
    next_commands: tuple[str, ...]


def play(
    rooms: Sequence[Provider], folder: Path, *, days: int, port: int, progress: Progress
) -> Demo:
    """Sync a made-up shop into a fresh warehouse in `folder`, build and publish it.

    Raises:
        UsageError: the folder holds something that no demo made.
        WarehouseError: a simulator could not be read: the numbers would not be whole.
    """
    started = time.monotonic()
    _must_be_a_demos(folder)
    warehouse = at(folder / "warehouse.duckdb", folder)
    progress.say(f"making up a shop: {days} days of messages, calls and campaigns")
    with warehouse.lock(), ExitStack() as stack:
        _clear(folder)
        warehouse.make_folders()
        shares = _shares(rooms, days=days, seed=SEED)
        urls = stack.enter_context(_served(rooms, shares, port=port))
        settings = settings_of(folder, urls)
        progress.say(f"syncing over HTTP from {', '.join(urls.values())}")
        chosen = run.targets(settings, rooms)
        reports = run.sync(
            warehouse, rooms, chosen, on_page=progress.page, on_account=progress.account
        )
        if not all(report.is_ok for report in reports):
            raise WarehouseError("the demo's own simulators failed", hint="report this")
        webhooks = _deliver(rooms, shares, settings, progress)
        run.ingest(warehouse, rooms, settings)
        progress.say("building the models")
        run.build(warehouse, rooms, settings, as_of=ENDS_AT)
    return Demo(
        as_of=ENDS_AT,
        messages=sum(report.outcomes["messages"].changed for report in reports),
        requests=sum(report.requests for report in reports),
        webhooks=webhooks,
        seconds=time.monotonic() - started,
        snapshot=_short(folder / "analytics.duckdb"),
        kpis=_kpis(warehouse),
        reconciled=_reconciled(warehouse),
        next_commands=_next_commands(folder),
    )


@contextmanager
def simulators(*, days: int, seed: int, port: int) -> Iterator[Mapping[str, str]]:
    """Serve every room's API on loopback; yield the environment that points doblecheck at it."""
    shares = _shares(find(), days=days, seed=seed)
    with _served(find(), shares, port=port) as urls:
        environment: dict[str, str] = {}
        for room in find():
            prefix, url = room.name.upper(), urls[room.name]
            environment |= {
                f"{prefix}_API_KEY": KEY,
                f"{prefix}_REQUESTS_PER_MINUTE": "10000",  # nobody's quota: it is this machine
            }
            environment |= {f"{prefix}_{key.upper()}": url for key in room.base_urls}
        yield environment


def _shares(rooms: Sequence[Provider], *, days: int, seed: int) -> Mapping[str, World]:
    """Provider → the part of the shop that uses it: each has its share of the channels."""
    from pipelines.world import make_world

    world = make_world(seed=seed, ends_at=ENDS_AT, days=days)
    return {
        room.name: world.only(channels=[c.id for c in world.channels[i :: len(rooms)]])
        for i, room in enumerate(rooms)
    }


def _deliver(
    rooms: Sequence[Provider],
    shares: Mapping[str, World],
    settings: Settings,
    progress: Progress,
) -> int:
    """Send the shop's last webhooks, signed, through a real receiver; return how many.

    Raises:
        WarehouseError: not every one was acknowledged.
    """
    from pipelines.receiver.serving import serve
    from pipelines.receiver.signatures import HEADER, sign
    from pipelines.simulation import post

    sent = 0
    with serve(settings, rooms) as receiving:
        progress.say(f"sending signed webhooks to {receiving.url}")
        for room in rooms:
            since = ENDS_AT - timedelta(days=WEBHOOK_DAYS)
            posted = room.simulated_webhooks(shares[room.name], since=since, until=ENDS_AT)
            url = f"{receiving.url}/webhooks/{room.name}/demo"
            taken = post(
                url, posted, lambda body: {HEADER: sign(body, WEBHOOK_SECRET.encode()).decode()}
            )
            if taken < len(posted):
                raise WarehouseError("the demo's receiver refused webhooks", hint="report this")
            sent += taken
    return sent


def _must_be_a_demos(folder: Path) -> None:
    """Raise UsageError when something is there that no demo made."""
    if folder.exists() and any(folder.iterdir()) and not (folder / MARK).exists():
        raise UsageError(
            f"{folder} holds something that no demo made", hint="move it away, then run it again"
        )


def _clear(folder: Path) -> None:
    """Remove what an earlier demo left, but for the lock that is held."""
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        elif entry.suffix != ".lock":
            entry.unlink()
    (folder / MARK).touch()


@contextmanager
def _served(
    rooms: Sequence[Provider], shares: Mapping[str, World], *, port: int
) -> Iterator[dict[str, str]]:
    """Serve each room's share; yield provider → base URL."""
    from pipelines.simulation import serve  # uvicorn and Starlette

    with ExitStack() as stack:
        urls = {}
        for i, room in enumerate(rooms):
            app = room.simulate(shares[room.name], api_key=KEY)
            server = serve(app, port=port + i if port else 0)
            urls[room.name] = stack.enter_context(server)
        yield urls


def settings_of(folder: Path, urls: Mapping[str, str]) -> Settings:
    accounts = [
        Account.model_validate(
            {
                "provider": room.name,
                "name": "demo",
                "api_key": KEY,
                "webhook_secrets": [WEBHOOK_SECRET],
                "resources": [name for name in room.resources if name not in room.opt_in],
                **dict.fromkeys(room.base_urls, urls[room.name]),
                **QUICK,
            }
        )
        for room in find()
        if room.name in urls
    ]
    return Settings.model_construct(
        folder=folder,
        data_dir=folder,
        accounts=accounts,
        business_hours={"default": HOURS},
        receiver=Receiver(metrics_port=0),
    )


def _reconciled(warehouse: Warehouse) -> Reconciled:
    with warehouse.reader() as connection:
        return reconcile(connection)


def _kpis(warehouse: Warehouse) -> tuple[Kpi, ...]:
    with warehouse.reader() as connection:
        return tuple(Kpi(*row) for row in connection.execute(KPIS).fetchall())


def _next_commands(folder: Path) -> tuple[str, ...]:
    """Commands that work when they are pasted: with the program as this run was started."""
    is_known = shutil.which("doblecheck")
    program = "doblecheck" if is_known else quote(_short(Path(sys.argv[0]).absolute()))
    there = f"DOBLECHECK_DATA_DIR={quote(_short(folder))} {program}"
    backlog = "select * from marts.mart_backlog order by waiting_seconds desc limit 10"
    return (f'{there} query "{backlog}"', f"{there} status", f"{program} init")


def _short(path: Path) -> str:
    """A path from the current folder, when it is below it."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
