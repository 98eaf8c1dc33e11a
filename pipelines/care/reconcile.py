"""Do the numbers agree with themselves and with the provider? Sums against facts, windows against
the provider's own clock."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.warehouse import Connection

SUMS = """
select
    'turns by day' as what,
    (select count(*) from marts.fct_turns) as total,
    (select coalesce(sum(turns), 0) from marts.mart_daily_response_times) as parts
union all
select
    'turns by agent' as what,
    (select count(*) from marts.fct_turns where scope = 'human') as total,
    (select coalesce(sum(turns), 0) from marts.mart_daily_agents) as parts
union all
select
    'turns by hour' as what,
    (select count(*) from marts.fct_turns where scope = 'any') as total,
    (select coalesce(sum(turns), 0) from marts.mart_hourly_load) as parts
union all
select
    'windows by day' as what,
    (select count(*) from marts.fct_service_windows) as total,
    (select coalesce(sum(opened), 0) from marts.mart_daily_service_windows) as parts
union all
select
    'messages by day' as what,
    (select count(occurred_at) from marts.fct_messages) as total,
    (select coalesce(sum(messages), 0) from marts.mart_daily_messages) as parts
"""

DRIFT = """
select
    count(window_drift_seconds) as compared,
    count(*) filter (where abs(window_drift_seconds) <= 2) as agreeing
from marts.fct_service_windows
"""


@dataclass(frozen=True)
class Sum:
    """A total, and what its parts add up to."""

    what: str
    total: int
    parts: int


@dataclass(frozen=True)
class Reconciled:
    """The sums, and how many of the last windows close when the provider says (2 seconds off at
    most)."""

    sums: tuple[Sum, ...]
    windows_compared: int
    windows_agreeing: int

    @property
    def differing(self) -> tuple[str, ...]:
        """What does not add up."""
        return tuple(one.what for one in self.sums if one.total != one.parts)


def reconcile(connection: Connection) -> Reconciled:
    """Compare the marts of the published warehouse with each other and with the provider."""
    sums = tuple(
        Sum(what, int(total), int(parts))
        for what, total, parts in connection.execute(SUMS).fetchall()
    )
    ((compared, agreeing),) = connection.execute(DRIFT).fetchall()
    return Reconciled(sums, int(compared), int(agreeing))
