"""Do the numbers agree with themselves and with the provider? Sums against facts, windows against
the provider's own clock."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources

from pipelines.warehouse import Connection

SUMS = resources.files(__package__).joinpath("reconciliation.sql").read_text("utf-8")

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
