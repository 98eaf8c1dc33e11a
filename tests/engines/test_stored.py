"""What a pull asks a warehouse: the same answers from DuckDB and PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from place import Place

from pipelines.providers import find
from pipelines.reading.landing import Lander, Record
from pipelines.reading.stored import mark_of, whole_number
from pipelines.warehouse import embedded, stored

ROOMS = {room.name: room for room in find()}
KAPSO, WASPY = ({table.name: table for table in ROOMS[name].tables} for name in ("kapso", "waspy"))

pytestmark = pytest.mark.both_engines

COUNTS = ("12", "030", "0", "", "-1", "1.5", "٣", "9" * 16, "many", None)


@pytest.fixture
def place(new_place: Callable[[Path], Place], tmp_path: Path) -> Place:
    return new_place(tmp_path)


def test_a_sum_counts_whole_numbers_as_a_pull_counts_them(place: Place) -> None:
    rows = [
        {"account": account, "id": str(number), "kapso_messages_count": count}
        for account in ("a", "b")
        for number, count in enumerate(COUNTS)
    ]
    place.add("raw_kapso.conversations", rows, ("account", "id", "kapso_messages_count"))
    with place.warehouse.stored(ROOMS["kapso"], "a") as here:
        assert here.total(KAPSO["conversations"], "kapso_messages_count") == 42
        assert here.total(KAPSO["messages"], "kapso_status") == 0
    assert sum(map(whole_number, COUNTS)) == 42


def test_ids_come_some_at_a_time_and_none_is_missed(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "IDS_AT_ONCE", 3)
    ids = [f"{letter}{number}" for letter in "aBéz_-" for number in range(4)]
    rows = [{"account": account, "id": i} for account in ("a", "b") for i in ids]
    place.add("raw_waspy.contacts", rows, ("account", "id"))
    with place.warehouse.stored(ROOMS["waspy"], "a") as here:
        found = list(here.ids(WASPY["contacts"]))
        assert sorted(found) == sorted(ids)
        assert list(here.ids(WASPY["channels"])) == []


@pytest.mark.parametrize("rows_to_join", [2, 50_000], ids=["in shares", "at once"])
def test_what_moved_comes_newest_first_with_its_mark_and_the_number_of_the_others(
    place: Place, monkeypatch: pytest.MonkeyPatch, rows_to_join: int
) -> None:
    monkeypatch.setattr(embedded, "ROWS_TO_JOIN", rows_to_join)
    told = ("last_message_at", "last_message_preview")
    rows = [
        {"account": "a", "id": str(i), "last_message_at": str(i), "last_message_preview": "hello"}
        for i in range(9)
    ]
    rows += [{"account": "a", "id": "none", "last_message_at": None, "last_message_preview": None}]
    rows += [{"account": "b", "id": "9", "last_message_at": "9", "last_message_preview": "hello"}]
    place.add("raw_waspy.conversations", rows, ("account", "id", *told))
    marks = {str(i): mark_of((str(i), "hello")) for i in range(9)}
    place.run("create table raw_waspy._dlt_loads as select 'done' as load_id, 0 as status")
    cursors = [
        {"account": "a", "id": "8", "conversation_mark": marks["8"], "_dlt_load_id": "done"},
        {"account": "a", "id": "7", "conversation_mark": marks["7"], "_dlt_load_id": "cut off"},
        {"account": "a", "id": "6", "conversation_mark": "another", "_dlt_load_id": "done"},
        {"account": "b", "id": "5", "conversation_mark": marks["5"], "_dlt_load_id": "done"},
    ]
    place.add("raw_waspy.message_cursors", cursors, tuple(cursors[0]))
    with place.warehouse.stored(ROOMS["waspy"], "a") as here:

        def moved(most: int) -> tuple[list[str], int]:
            found, more = here.moved(
                WASPY["conversations"],
                told,
                cursors=WASPY["message_cursors"],
                mark="conversation_mark",
                most=most,
            )
            for identity, last_at, mark in found:
                assert mark == marks.get(identity, mark_of((None, None)))
                assert last_at == (identity if identity in marks else None)
            return [row[0] for row in found], more

        assert moved(3) == (["7", "6", "5"], 6)
        assert moved(9) == ([*"76543210", "none"], 0)
        assert moved(10) == ([*"76543210", "none"], 0)


def test_what_is_written_at_once_is_there_once_and_stays_as_it_was(place: Place) -> None:
    states, now = WASPY["message_states"], datetime(2026, 3, 20, 12, tzinfo=UTC)
    lander = Lander(states)

    def told(status: str, message: str = "m") -> Record:
        row = {"id": f"{message}|sent", "@message_id": message, "@status": status}
        return lander.record(row, now)

    with place.warehouse.stored(ROOMS["waspy"], "a") as here:
        assert here.hashes(states, ["m|sent"]) == {}
        here.add(states, [told("sent")])
        here.add(states, [told("another"), told("sent", "n")])
        rows = here.rows(states, ("id", "message_id", "status"))
        assert sorted(rows) == [("m|sent", "m", "sent"), ("n|sent", "n", "sent")]
        assert here.hashes(states, ["m|sent"]) == {"m|sent": told("sent").row_hash}
    [row] = place.rows("select * from raw_waspy.message_states where id = 'm|sent'")
    assert (row["account"], row["payload"], row["fetched_at"]) == ("a", "{}", now)
