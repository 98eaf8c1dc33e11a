"""What is wrong with this installation, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from pipelines.errors import ConfigError, DoblecheckError, ProviderError
from pipelines.provider import Provider
from pipelines.receiver.doors import webhook_secrets
from pipelines.receiver.log import DeliveryLog, open_log
from pipelines.settings import Account, Settings
from pipelines.settings.accounts import no_accounts_error
from pipelines.warehouse import Warehouse, all_sync_states
from pipelines.warehouse.base import Published


@dataclass(frozen=True)
class Check:
    """What `doctor` found out about one thing.

    Attributes:
        name: what was checked.
        problem: what is wrong; None when it is well.
        hint: what to do about it.
    """

    name: str
    problem: str | None = None
    hint: str = ""


def examine(
    settings: Settings,
    rooms: Sequence[Provider],
    warehouse: Warehouse,
    *,
    beside: Mapping[str, Callable[[], object]] | None = None,
) -> list[Check]:
    """One check per thing that a run needs; no network but a few requests per account.

    Args:
        beside: what else to check, by its name: fails with a `DoblecheckError`.
    """
    return [
        *_accounts(settings, rooms),
        _try("business hours", lambda: _hours(settings)),
        *([_try("alerts", lambda: settings.alerts.target)] if settings.alerts.url else []),
        *(_try(name, check) for name, check in (beside or {}).items()),
        *_warehouse(warehouse, settings, rooms),
        *_log(settings),
        _snapshot(warehouse),
    ]


def _accounts(settings: Settings, rooms: Sequence[Provider]) -> Iterator[Check]:
    by_name = {room.name: room for room in rooms}
    if not settings.accounts:
        error = no_accounts_error(rooms)
        yield Check("accounts", str(error), error.hint)
    for account in settings.accounts:
        name = f"{account.provider}:{account.name}"
        yield from _key(name, by_name[account.provider], account)
        if account.webhook_secrets:
            yield _try(f"webhook secrets of {name}", lambda a=account: webhook_secrets(a))  # type: ignore[misc]
    yield from _doubled(settings.accounts)


def _doubled(accounts: Sequence[Account]) -> Iterator[Check]:
    """Accounts that read the same: it is in every number twice."""
    seen: dict[tuple[str, str, str, str], str] = {}
    for account in accounts:
        with suppress(ConfigError):  # it has no key, which is told already
            source = (account.provider, account.base_url, account.key)
            same = {
                seen.setdefault((*source, name), account.name) for name in account.resources or ()
            }
            for other in sorted(same - {account.name}):
                yield Check(
                    f"{account.provider}:{account.name} beside {account.provider}:{other}",
                    "they have one key: what both read counts twice",
                    "keep one of them, or give each resources of its own",
                )


def _key(name: str, room: Provider, account: Account) -> Iterator[Check]:
    from pipelines.loading.sync import check_account  # imports httpx

    closed: dict[str, ProviderError] = {}
    yield _try(f"key of {name}", lambda: closed.update(check_account(room, account)))
    for resource, error in closed.items():
        yield Check(f"{resource} of {name}", str(error), error.hint)


def _log(settings: Settings) -> Iterator[Check]:
    if any(account.webhook_secrets for account in settings.accounts):
        yield _try("log of webhook deliveries", lambda: _written(open_log(settings)))


def _written(log: DeliveryLog) -> None:
    """What `receive` begins with: a log that can only be read would look well until then."""
    try:
        log.check()
        log.backlog()
    finally:
        log.close()


def _hours(settings: Settings) -> None:
    from pipelines.business_time import parse_hours

    for hours in settings.business_hours.values():
        parse_hours(**hours.model_dump())


def _warehouse(
    warehouse: Warehouse, settings: Settings, rooms: Sequence[Provider]
) -> Iterator[Check]:
    read: set[str] = set()
    yield _try(f"warehouse {warehouse.name}", lambda: read.update(_accounts_read(warehouse, rooms)))
    known = {f"{account.provider}:{account.name}" for account in settings.accounts}
    # No fault: an account that is over stays in the numbers of its time. One that was given another
    # name is in them twice.
    for name in sorted(read - known) if known else ():
        yield Check(f"{name} is in the warehouse and not in the settings: its rows still count")


def _accounts_read(warehouse: Warehouse, rooms: Sequence[Provider]) -> Iterator[str]:
    """The accounts that were ever synced, as far as the warehouse can be looked at now."""
    with warehouse.watch() as seen:
        if seen.connection is not None:
            for room, state in all_sync_states(seen.connection, rooms):
                yield f"{room.name}:{state.account}"


def _snapshot(warehouse: Warehouse) -> Check:
    """A new installation has none, and that is no fault."""
    found: list[Published | None] = []
    asked = _try("published snapshot", lambda: found.append(warehouse.newest()))
    if asked.problem is not None:
        return asked
    if found == [None]:
        return Check("published snapshot: none yet, until the first: doblecheck run")
    return _try("published snapshot", lambda: _read(warehouse))


def _read(warehouse: Warehouse) -> None:
    with warehouse.reader() as connection:
        connection.execute("select 1").fetchone()


def _try(name: str, check: Callable[[], object]) -> Check:
    try:
        check()
    except DoblecheckError as error:
        return Check(name, str(error), error.hint)
    except OSError as error:
        return Check(name, error.strerror or type(error).__name__, "check the folder's permissions")
    except Exception as error:  # noqa: BLE001 - the other checks are told all the same
        hint = "DOBLECHECK_TRACE=1 doblecheck run shows where; the trace may quote your data"
        return Check(name, f"unexpected {type(error).__name__}", hint)
    return Check(name)
