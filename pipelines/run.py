"""One run: sync every account, build, publish. What the command line calls and the flows repeat."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.care import upkeep
from pipelines.errors import LogError, UsageError
from pipelines.failpoint import failpoint
from pipelines.provider import Provider
from pipelines.settings import Account, Policy, Settings
from pipelines.settings.accounts import no_accounts_error
from pipelines.warehouse import Warehouse

if TYPE_CHECKING:
    from pipelines.building.build import BuildResult
    from pipelines.loading.sync import Report
    from pipelines.webhooks.ingest import Ingested


@dataclass(frozen=True)
class Target:
    """An account to sync, with its room and the resources to read."""

    room: Provider
    account: Account
    resources: frozenset[str]

    @property
    def name(self) -> str:
        """How people name it: `kapso:default`."""
        return f"{self.room.name}:{self.account.name}"


def targets(
    settings: Settings,
    rooms: Sequence[Provider],
    *,
    accounts: Sequence[str] = (),
    resources: Sequence[str] = (),
) -> list[Target]:
    """The accounts that a command names, by name, by provider or as `provider:name`; all of them
    when it names none.

    Raises:
        UsageError: an account or a resource that there is not.
        ConfigError: no account is configured, or one has no key.
    """
    by_name = {room.name: room for room in rooms}
    every = [
        Target(by_name[account.provider], account, frozenset(account.resources or ()))
        for account in settings.accounts
    ]
    if not every:
        raise no_accounts_error(rooms)
    chosen = _named(every, accounts)
    for target in chosen:
        _ = target.account.key  # a key that is missing is better told before anything is read
    return _narrowed(chosen, resources) if resources else chosen


def _named(every: Sequence[Target], names: Sequence[str]) -> list[Target]:
    for name in names:
        if not any(_is_named(target, name) for target in every):
            raise UsageError(
                f"no account is named {name!r}",
                hint=f"there is: {', '.join(target.name for target in every)}",
            )
    return [t for t in every if not names or any(_is_named(t, name) for name in names)]


def _is_named(target: Target, name: str) -> bool:
    return name in (target.name, target.account.name, target.room.name)


def _narrowed(chosen: Sequence[Target], resources: Sequence[str]) -> list[Target]:
    known = {name for target in chosen for name in target.room.resources}
    for name in resources:
        if name not in known:
            raise UsageError(
                f"no resource is named {name!r}", hint=f"known: {', '.join(sorted(known))}"
            )
    narrowed = [
        replace(target, resources=frozenset(resources) & frozenset(target.room.resources))
        for target in chosen
    ]
    return [target for target in narrowed if target.resources]


def sync(
    warehouse: Warehouse,
    rooms: Sequence[Provider],
    chosen: Sequence[Target],
    *,
    is_full: bool = False,
    span: tuple[datetime, datetime] | None = None,
    now: datetime | None = None,
    is_stopping: Callable[[], bool] = lambda: False,
    on_page: Callable[[str, str, int], None] = lambda account, resource, rows: None,
    on_account: Callable[[Report], None] = lambda report: None,
) -> list[Report]:
    """Sync accounts one after another; one that fails stops none of the others.

    With a `span`, read that range again instead of what is new. The caller holds the
    warehouse's lock.
    """
    failpoint("sync.begin")
    warehouse.ensure_raw_tables(rooms)
    reports = []
    for target in chosen:
        report = sync_one(
            warehouse,
            target,
            is_full=is_full,
            span=span,
            now=now,
            is_stopping=is_stopping,
            on_page=on_page,
        )
        on_account(report)
        reports.append(report)
        failpoint("sync.end")
        if is_stopping():
            break
    return reports


def sync_one(
    warehouse: Warehouse,
    target: Target,
    *,
    is_full: bool = False,
    span: tuple[datetime, datetime] | None = None,
    now: datetime | None = None,
    is_stopping: Callable[[], bool] = lambda: False,
    on_page: Callable[[str, str, int], None] = lambda account, resource, rows: None,
) -> Report:
    """Sync one account. Several may be synced at once, by threads of one process within
    `Warehouse.side_by_side`: they are read at the same time and written one after another.

    The caller holds the warehouse's lock and has made the raw tables.
    """
    from pipelines.loading.sync import Order, sync_account  # imports httpx

    order = Order(
        resources=target.resources,
        is_full=is_full,
        span=span,
        seconds=None if span else target.account.minutes_per_run * 60 or None,
        now=now or datetime.now(UTC),
        is_stopping=is_stopping,
        on_page=lambda resource, rows: on_page(target.name, resource, rows),
    )
    return sync_account(warehouse, target.room, target.account, order)


def ingest(
    warehouse: Warehouse,
    rooms: Sequence[Provider],
    settings: Settings,
    *,
    now: datetime | None = None,
    is_stopping: Callable[[], bool] = lambda: False,
) -> Ingested:
    """Load what is new in the receiver's log, and remove what was kept for long enough. The caller
    holds the warehouse's lock.

    A log that can't be read is told in the result: it stops neither a build nor another account.
    """
    from pipelines.receiver.log import open_log
    from pipelines.webhooks.ingest import Ingested
    from pipelines.webhooks.ingest import ingest as load

    warehouse.ensure_raw_tables(rooms)
    kept = settings.retention.rejected_days
    upkeep.forget_rejected(warehouse, rooms, days=kept, now=now or datetime.now(UTC))
    days = settings.receiver.keep_days  # 0: for ever
    try:
        with closing(open_log(settings)) as deliveries:
            return load(
                warehouse,
                rooms,
                deliveries,
                now=now,
                keep=timedelta(days=days) if days else None,
                is_stopping=is_stopping,
            )
    except LogError as error:
        return Ingested(error=str(error))


def ingest_files(
    warehouse: Warehouse,
    rooms: Sequence[Provider],
    settings: Settings,
    paths: Sequence[Path],
    *,
    account: str | None = None,
    now: datetime | None = None,
) -> Ingested:
    """Load the deliveries of event logs. The caller holds the warehouse's lock.

    Args:
        account: whose they are where they do not say it themselves, as for `targets`.

    Raises:
        UsageError: a file or the account is not there.
    """
    from pipelines.webhooks.files import Owners, read
    from pipelines.webhooks.ingest import ingest_arrived, portions

    now = now or datetime.now(UTC)
    every = [(each.provider, each.name) for each in settings.accounts]
    owners = Owners(
        rooms={room.name: room for room in rooms},
        accounts={room.name: [n for p, n in every if p == room.name] for room in rooms},
        channels=_channels(warehouse, rooms, every),
        chosen=_one_account(settings, rooms, account) if account else None,
    )
    return ingest_arrived(warehouse, rooms, portions(read(paths, owners, now=now)), now=now)


def _one_account(settings: Settings, rooms: Sequence[Provider], account: str) -> tuple[str, str]:
    """The account that a command names; it needs no key to be told apart."""
    by_name = {room.name: room for room in rooms}
    every = [Target(by_name[each.provider], each, frozenset()) for each in settings.accounts]
    chosen = _named(every, [account])
    if len(chosen) != 1:
        names = ", ".join(target.name for target in chosen)
        raise UsageError(f"{account!r} is more than one account", hint=f"one of: {names}")
    return chosen[0].room.name, chosen[0].account.name


def _channels(
    warehouse: Warehouse, rooms: Sequence[Provider], accounts: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], frozenset[str]]:
    from pipelines.events.webhook_tables import channels_of

    warehouse.ensure_raw_tables(rooms)
    with warehouse.connect() as connection:
        return {
            (room.name, name): channels_of(connection, room, name)
            for room in rooms
            for provider, name in accounts
            if provider == room.name
        }


def build(
    warehouse: Warehouse,
    rooms: Sequence[Provider],
    settings: Settings,
    *,
    as_of: datetime | None = None,
    full: bool = False,
) -> tuple[BuildResult, Path | str]:
    """Build and test the models, then publish; return what was built and the snapshot.

    The caller holds the warehouse's lock.

    Raises:
        BuildFailed: a model or a test failed; the snapshot of before stays.
    """
    from pipelines.building import build as models  # reads the models
    from pipelines.building.dbt_runner import release
    from pipelines.business_time import parse_hours

    hours = {
        name: parse_hours(**hours.model_dump()) for name, hours in settings.business_hours.items()
    }
    policies = settings.sla or {"default": Policy()}
    warehouse.ensure_raw_tables(rooms)
    try:
        result = models.build(
            warehouse,
            as_of=as_of,
            timezone=settings.timezone,
            business_hours=hours,
            sla={name: models.Sla(**policy.model_dump()) for name, policy in policies.items()},
            full=full,
        )
    finally:
        release()
    return result, warehouse.publish()
