"""What a row said before is kept, once, when a newer copy says something else."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from pipelines.provider import Table, fields
from pipelines.reading.former import Former
from pipelines.reading.landing import Lander, Record

STATES = Table("states", fields("id", thing_id="@thing_id", status="@status"))
THINGS = Table("things", fields("id", "status"), former=STATES)
NOW = datetime(2026, 3, 20, tzinfo=UTC)


def things(**statuses: str | None) -> list[Record]:
    lander = Lander(THINGS)
    return [lander.record({"id": i, "status": status}, NOW) for i, status in statuses.items()]


class Warehouse:
    """A warehouse that has rows, and says what it was asked for."""

    def __init__(self, **statuses: str | None) -> None:
        self.statuses = statuses
        self.asked: list[str] = []

    def rows(
        self, table: Table, columns: Sequence[str], *, of: tuple[str, Sequence[str]]
    ) -> list[tuple[Any, ...]]:
        assert (table, columns, of[0]) == (THINGS, ("id", "status"), "id")
        self.asked += of[1]
        return [(i, self.statuses[i]) for i in of[1] if i in self.statuses]


def noted(former: Former) -> list[tuple[Any, Any]]:
    rows = former.take()
    assert [row["id"] for row in rows] == [f"{r['@thing_id']}|{r['@status']}" for r in rows]
    return [(row["@thing_id"], row["@status"]) for row in rows]


def former_of(warehouse: Any) -> Former:
    return Former(THINGS, STATES, warehouse)


def test_what_the_warehouse_has_otherwise_is_kept() -> None:
    former = former_of(Warehouse(a="sent", b="read", c=None, d=""))
    former.see(things(a="read", b="read", c="sent", d="sent", e="sent"))
    former.settled(["a", "c", "d"], ["b"])
    assert noted(former) == [("a", "sent")]
    assert noted(former) == []


def test_copies_that_one_pull_read_are_kept_too() -> None:
    warehouse = Warehouse()
    former = former_of(warehouse)
    for status in ("sent", "read", "read", "failed", None):
        former.see(things(a=status))
    assert noted(former) == [("a", "failed"), ("a", "read"), ("a", "sent")]
    assert warehouse.asked == []


def test_rows_that_the_warehouse_has_as_they_are_take_no_room() -> None:
    former = former_of(Warehouse(a="sent"))
    former.see(things(a="sent", b="sent"))
    former.settled([], ["a"])
    assert former.held == 1
    former.see(things(a="read"))
    former.settled(["a"], [])
    assert noted(former) == [("a", "sent")]
