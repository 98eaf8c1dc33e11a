"""What a pull holds: of every row that is new or changed the newest copy, and no other."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from pipelines.cursors import Page
from pipelines.provider import REJECTED, Table, fields
from pipelines.reading import kept
from pipelines.reading.kept import Kept
from pipelines.reading.landing import Record
from pipelines.reading.pull import Pull

TABLE = Table("things", fields("id", "text"))
AT = datetime(2026, 1, 1, tzinfo=UTC)

ids = st.sampled_from("abcdefgh")
pages = st.lists(st.tuples(ids, st.integers(0, 2)), max_size=8)


def record(identity: str, version: int) -> Record:
    return Record(identity, (identity, f"text {version}"), "{}", f"hash {version}", AT)


class Warehouse:
    """Knows some rows, and notes what it was asked."""

    def __init__(self, versions: Mapping[str, int]) -> None:
        self.versions = versions
        self.asked: list[Sequence[str]] = []

    def known(self, wanted: Sequence[str]) -> dict[str, str]:
        self.asked.append(wanted)
        return {i: f"hash {self.versions[i]}" for i in wanted if i in self.versions}


def loaded(rows: Kept) -> list[tuple[str, str]]:
    return [
        (row["id"], row["row_hash"].removeprefix("hash "))
        for table in rows.tables()
        for row in table.to_pylist()
    ]


@given(st.dictionaries(ids, st.integers(0, 2)), st.lists(st.lists(pages, max_size=4), max_size=4))
def test_the_newest_copy_of_each_row_is_held_unless_the_warehouse_has_it(
    stored: Mapping[str, int], rounds: Sequence[Sequence[Sequence[tuple[str, int]]]]
) -> None:
    warehouse = Warehouse(stored)
    rows = Kept(TABLE, "shop", warehouse.known)
    held: dict[str, int] = {}
    with patch.object(kept, "PACK_ROWS", 3):
        for added in rounds:
            waiting: dict[str, int] = {}
            for page in added:
                rows.add([record(*row) for row in page])
                waiting |= dict(page)
                copies = list(rows.rows(("id", "text")))
                assert dict(copies) == {i: f"text {v}" for i, v in (held | waiting).items()}
                assert len(copies) == len(held | waiting) <= len(rows)
            rows.settle()
            # What was changed once is loaded, also when it is again what the warehouse has.
            held |= {i: v for i, v in waiting.items() if i in held or stored.get(i) != v}
            assert sorted(loaded(rows)) == sorted((i, str(v)) for i, v in held.items())
            assert len(rows) == len(held)
            assert rows.added == len(held.keys() - stored.keys())
            assert (rows.size == 0) == (not held)


@given(st.lists(pages, min_size=1, max_size=6))
def test_a_warehouse_is_asked_once_for_all_that_was_added(
    added: Sequence[Sequence[tuple[str, int]]],
) -> None:
    warehouse = Warehouse({})
    rows = Kept(TABLE, "shop", warehouse.known)
    with patch.object(kept, "PACK_ROWS", 3):
        for page in added:
            rows.add([record(*row) for row in page])
        assert warehouse.asked == []
        rows.settle()
        rows.settle()
    first, second = warehouse.asked
    assert sorted(first) == sorted({identity for page in added for identity, _ in page})
    assert second == []


def test_settling_tells_how_many_rows_are_new_or_changed() -> None:
    rows = Kept(TABLE, "shop", Warehouse({"a": 0, "b": 0}).known)
    rows.add([record("a", 0), record("b", 1), record("c", 0)])
    assert rows.settle() == 2
    rows.add([record("b", 1), record("c", 1)])
    assert rows.settle() == 1
    assert rows.settle() == 0


def test_what_was_set_aside_is_drained_without_asking_the_warehouse_for_what_others_add() -> None:
    """Draining is another thread, and the warehouse's connection is for one."""

    class Stored:
        is_asked = False

        def hashes(self, table: Table, ids: Sequence[str]) -> Mapping[str, str]:
            self.is_asked = True
            return {}

    stored: Any = Stored()
    things, others = (Table(name, fields("id")) for name in ("things", "others"))

    async def read() -> Pull:
        pull = Pull(
            account="a",
            client=None,
            stored=stored,
            positions={},
            wanted=frozenset({"things", "others"}),
            now=AT,
            loop=asyncio.get_running_loop(),
        )

        async def bad_rows() -> None:
            pull.keep(things, Page([17, 18]))  # type: ignore[list-item]

        await pull.read(things, bad_rows)
        pull.keep(others, Page([19]))  # type: ignore[list-item]
        return pull

    pull = asyncio.run(read())
    stored.is_asked = False
    drained = [row for part in pull.drain_shared(REJECTED, things) for row in part.to_pylist()]
    assert [row["resource"] for row in drained] == ["things", "things"]
    assert not stored.is_asked
