"""How the webhooks of each account are doing: what came, what could not be used, and whether they
still come."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pipelines.events.webhook_tables import SCHEMA
from pipelines.provider import Provider
from pipelines.times import age_seconds
from pipelines.warehouse import Connection


@dataclass(frozen=True)
class HookStatus:
    """The webhooks of one account.

    Attributes:
        account: `<provider>:<name>`.
        deliveries: distinct bodies in the warehouse.
        last_received_at: when the newest of them was received, UTC.
        age_seconds: since then.
        rejected: deliveries, and parts of some, that could not be understood.
        wrong_headers: deliveries whose header names another event than their body.
        missing_batches: holes in the numbers that the provider gives to batched messages. That is
            no trouble: a batch that nobody took comes again message by message, or by the API.
        silent_seconds: how much older the newest of them is than the newest message that only the
            API told; None when there is none, or no build yet.
        problems: what somebody should look at.
    """

    account: str
    deliveries: int
    last_received_at: datetime | None
    age_seconds: float | None
    rejected: int
    wrong_headers: int
    missing_batches: int
    silent_seconds: float | None
    problems: tuple[str, ...]


def read(
    connection: Connection,
    rooms: Sequence[Provider],
    *,
    now: datetime,
    silent_after: timedelta,
) -> tuple[HookStatus, ...]:
    """The webhooks of every account that has some.

    Args:
        silent_after: how far they may be behind the API's messages; zero: as far as they like.
    """
    return tuple(_statuses(connection, rooms, now, silent_after))


def _statuses(
    connection: Connection, rooms: Sequence[Provider], now: datetime, silent_after: timedelta
) -> Iterator[HookStatus]:
    there = _tables(connection)
    if (SCHEMA, "deliveries") not in there:
        return
    by_name = {room.name: room for room in rooms}
    for provider, account, deliveries, last, wrong in connection.execute(DELIVERIES).fetchall():
        rejected = _rejected(connection, provider, account)
        missing = _count(connection, GAPS, provider, account)
        problems = [
            *(f"{reason}: {n}" for reason, n in sorted(rejected.items())),
            *_wrong(wrong),
        ]
        silent = None
        if ("marts", "fct_messages") in there:
            silent = _silence(connection, provider, account)
            problems += _silent(silent, silent_after)
        room = by_name.get(provider)
        if room is not None and (room.schema, "webhooks") in there:
            problems += _switched_off(connection, room, account)
        yield HookStatus(
            account=f"{provider}:{account}",
            deliveries=deliveries,
            last_received_at=last.astimezone(UTC) if last else None,
            age_seconds=age_seconds(last, now),
            rejected=sum(rejected.values()),
            wrong_headers=wrong,
            missing_batches=missing,
            silent_seconds=silent.total_seconds() if silent else None,
            problems=tuple(problems),
        )


DELIVERIES = f"""
select
    provider, account, count(*), max(received_at),
    count(*) filter (where is_header_wrong)
from {SCHEMA}.deliveries
group by provider, account
order by provider, account
"""

REJECTED = f"""
select reason, count(*) from {SCHEMA}.rejected
where provider = $1 and account = $2
group by reason
"""

GAPS = f"""
select count(*)
from (
    select
        cast(first_sequence as bigint) as first_sequence,
        max(cast(last_sequence as bigint)) over (
            partition by conversation_id
            order by cast(first_sequence as bigint)
            rows between unbounded preceding and 1 preceding
        ) as known_until
    from {SCHEMA}.batches
    where
        provider = $1 and account = $2
        and length(first_sequence) < 19 and length(last_sequence) < 19
) as numbered
where first_sequence > known_until + 1
"""

SILENCE = f"""
select
    (
        select max(occurred_at) from marts.fct_messages
        where provider = $1 and account = $2 and seen_in = 'api' and not is_imported
    ),
    (select max(received_at) from {SCHEMA}.deliveries where provider = $1 and account = $2)
"""


def _rejected(connection: Connection, provider: str, account: str) -> dict[str, int]:
    return dict(connection.execute(REJECTED, [provider, account]).fetchall())


def _count(connection: Connection, sql: str, provider: str, account: str) -> int:
    found = connection.execute(sql, [provider, account]).fetchone()
    return int(found[0]) if found else 0


def _wrong(wrong: int) -> Iterator[str]:
    if wrong:
        yield f"a header names another event than the body: {wrong}"


def _silence(connection: Connection, provider: str, account: str) -> timedelta | None:
    """Since when the API brings messages of which no webhook tells any more."""
    found = connection.execute(SILENCE, [provider, account]).fetchone()
    if not found or None in found or found[0] <= found[1]:
        return None
    silence: timedelta = found[0] - found[1]
    return silence


def _silent(silence: timedelta | None, silent_after: timedelta) -> Iterator[str]:
    if silence and timedelta(0) < silent_after <= silence:
        minutes = silence.total_seconds() / 60
        yield f"no webhook since {minutes:.0f} min before the newest message of the API"


def _switched_off(connection: Connection, room: Provider, account: str) -> Iterator[str]:
    """Whether the provider has switched a webhook off: it does after too many failures."""
    sql = (
        f"select count(*) from {room.schema}.webhooks as webhooks "
        "where account = $1 and lower(active) = 'false' and not exists ("
        f"select 1 from {room.schema}.gone as gone where gone.account = webhooks.account "
        "and gone.resource = 'webhooks' and gone.provider_id = webhooks.id "
        "and gone.missed_since is not null)"
    )
    found = connection.execute(sql, [account]).fetchone()
    if found and found[0]:
        yield f"webhooks that {room.title} has switched off: {found[0]}"


def _tables(connection: Connection) -> set[tuple[str, str]]:
    sql = "select table_schema, table_name from information_schema.tables"
    return {(schema, name) for schema, name in connection.execute(sql).fetchall()}
