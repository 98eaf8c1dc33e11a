"""What every room must do. Rooms are found by looking: a new one is tested without a word here."""

from __future__ import annotations

import re
from datetime import timedelta
from random import Random

import pytest

from pipelines.errors import BadPayload, Unauthorized, Unavailable, Unreachable
from pipelines.loading.sync import check_account
from pipelines.reading import holding, pull
from pipelines.simulation import (
    Asked,
    Change,
    Fault,
    broken,
    expired_cursor,
    html,
    instead,
    serve,
    too_many,
    truncated,
    with_rows,
)
from pipelines.webhooks.ingest import Arrived, ingest_arrived

from .conftest import KEY, ROOMS, Shop, whole

DATA = ("conversations", "messages", "contacts", "templates")


@pytest.mark.both_engines
def test_every_row_of_the_world_is_loaded_once(shop: Shop) -> None:
    whole(shop.sync())
    assert len(shop.rows("messages")) == len(shop.world.messages)
    assert len(shop.rows("contacts")) == len(shop.world.contacts)
    assert len(shop.rows("rejected")) == 0


@pytest.mark.both_engines
def test_a_sync_without_news_asks_little_and_writes_nothing(synced: Shop) -> None:
    before = synced.loads()
    app = synced.app()
    report = synced.sync(app)
    whole(report)
    assert report.changed == 0
    assert synced.loads() == before
    assert len(app.state.requests) <= 2 * len(synced.room.resources) + len(synced.world.channels)


@pytest.mark.both_engines
def test_syncing_in_steps_gives_what_one_sync_at_the_end_gives(shop: Shop, first: Shop) -> None:
    end = shop.clock.now
    for days in (12, 8, 0):
        shop.clock.now = end - timedelta(days=days)
        whole(shop.sync())
    for table in DATA:
        assert shop.rows(table) == first.rows(table)


def tables(shop: Shop) -> set[str]:
    return {table.name for table in shop.room.tables}


def test_small_chunks_give_what_one_large_one_gives(shop: Shop, first: Shop) -> None:
    whole(shop.sync(chunk_rows=400))
    for table in shop.room.resources:
        assert shop.rows(table) == first.rows(table)


def test_a_sync_that_is_stopped_goes_on_where_it_was(shop: Shop, first: Shop) -> None:
    for pages in (2, 3, 5, 9):
        left = iter(range(pages))
        shop.sync(is_stopping=lambda left=left: next(left, None) is None)
    whole(shop.sync())
    for table in DATA:
        assert shop.rows(table) == first.rows(table)


def test_reading_everything_again_changes_no_row(synced: Shop) -> None:
    before = {table: synced.rows(table) for table in tables(synced)}
    report = synced.sync(is_full=True)
    whole(report)
    assert report.outcomes["messages"].read >= len(synced.world.messages)
    assert {table: synced.rows(table) for table in tables(synced)} == before


@pytest.mark.both_engines
def test_a_row_that_was_lost_in_the_warehouse_comes_back_with_a_full_sync(synced: Shop) -> None:
    lost = sorted(synced.rows("messages"))[::7]
    with synced.warehouse.connect() as connection:
        sql = f"delete from {synced.room.schema}.messages where id in (select unnest($1::text[]))"
        connection.execute(sql, [lost])
    synced.sync(is_full=True, chunk_rows=300)
    assert len(synced.rows("messages")) == len(synced.world.messages)


def test_a_refused_key_ends_the_account_after_one_word(shop: Shop) -> None:
    app = shop.app()
    report = shop.sync(app, key="wrong")
    assert isinstance(report.error, Unauthorized)
    assert len(shop.rows("messages")) == 0
    assert len(app.state.requests) <= 4  # what was in the air


@pytest.mark.parametrize("status", [403, 404])
def test_a_closed_resource_ends_alone_and_wipes_nothing(synced: Shop, status: int) -> None:
    before = synced.rows("templates")
    report = synced.sync(synced.app(closed={"templates"}, closed_status=status))
    assert isinstance(report.outcomes["templates"].error, Unavailable)
    assert {n for n, o in report.outcomes.items() if o.error} == {"templates"}
    assert not report.is_ok
    assert synced.rows("templates") == before
    state = {s.resource: s for s in synced.warehouse.sync_states(synced.room)}["templates"]
    assert not state.is_complete
    assert state.last_synced_at is not None
    assert state.last_error is not None


PASSING: dict[str, Change] = {
    "429": too_many(retry_after=0),
    "429 with a date": too_many(retry_after="Wed, 21 Oct 2015 07:28:00 GMT"),
    "503 html": html(503),
    "cut off": truncated,
    "html with 200": html(200),
    "an error with 200": instead({"error": "oops"}),
    "null with 200": instead(None),
}


@pytest.mark.parametrize("name", PASSING)
def test_a_passing_fault_on_every_list_costs_no_row(shop: Shop, name: str) -> None:
    seen: set[str] = set()

    def first_time(asked: Asked, count: int) -> Change | None:
        is_new = asked.path not in seen
        seen.add(asked.path)
        return PASSING[name] if is_new else None

    whole(shop.sync(shop.app(faults=first_time)))
    assert len(shop.rows("messages")) == len(shop.world.messages)


UNREADABLE = (
    b'{"id":"bad","text":"\xff"}',
    b'\xef\xbb\xbf{"id":"bad"}',
    b'{"id":"bad","cost":NaN}',
    b'{"id":"bad","cost":-Infinity}',
    b'{"id":"bad","n":' + b"9" * 5000 + b"}",
    b'{"id":"bad","n":1e400}',
    rb'{"id":"bad","text":"\ud800"}',
    rb'{"id":"bad","text":"\u0000"}',
    b'{"id":"bad","id":"bad"}',
)


@pytest.mark.parametrize("path", ["/conversations", "/messages", "/contacts", "/templates"])
def test_rows_that_are_no_json_are_set_aside_and_no_other_row_is_lost(
    shop: Shop, path: str
) -> None:
    def spoil(asked: Asked, _: int) -> Change | None:
        is_list = asked.path.endswith((path, f"message_{path[1:]}"))
        return with_rows(*UNREADABLE) if is_list else None

    whole(shop.sync(shop.app(faults=spoil)))
    assert len(shop.rows("messages")) == len(shop.world.messages)
    assert len(shop.rows("contacts")) == len(shop.world.contacts)
    resources = [row["resource"] for row in shop.rows("rejected").values()]
    assert len(resources) == len(UNREADABLE)
    assert {"bad"}.isdisjoint(shop.rows(resources[0]))


@pytest.mark.both_engines
def test_an_id_that_can_be_no_key_is_set_aside_and_no_load_fails(shop: Shop) -> None:
    letters = Random(1).randbytes(3_000).hex()  # PostgreSQL would press what repeats itself
    fault = Fault(with_rows(b'{"id":"%s"}' % letters.encode()), path="/contacts", times=None)
    whole(shop.sync(shop.app(faults=[fault])))
    assert len(shop.rows("contacts")) == len(shop.world.contacts)
    (aside,) = shop.rows("rejected").values()
    assert aside["reason"] == "an id of more than 500 characters"


LASTING: dict[str, tuple[Change, type[Exception]]] = {
    "wrong shape": (instead({"data": None}), BadPayload),
    "empty object": (instead({}), BadPayload),
}


@pytest.mark.parametrize("name", LASTING)
def test_a_lasting_fault_fails_its_resource_and_the_next_sync_makes_it_whole(
    shop: Shop, name: str
) -> None:
    change, error = LASTING[name]
    report = shop.sync(shop.app(faults=[Fault(change, path="/contacts", request=2, times=None)]))
    assert isinstance(report.outcomes["contacts"].error, error)
    assert len(shop.rows("messages")) == len(shop.world.messages)
    whole(shop.sync())
    assert len(shop.rows("contacts")) == len(shop.world.contacts)


def test_a_row_that_nobody_foresaw_fails_its_resource_and_no_other(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    met = iter([TypeError("CANARY-text-of-a-customer")])

    def meet(place: str) -> None:
        if place == "pull.taken" and (error := next(met, None)):
            raise error

    for module in (holding, pull):
        monkeypatch.setattr(module, "failpoint", meet)
    report = shop.sync()
    assert report.error is None
    (failure,) = [outcome.error for outcome in report.outcomes.values() if outcome.error]
    assert str(failure).startswith("unexpected TypeError at ")
    assert "CANARY" not in str(failure)
    whole(shop.sync())
    assert len(shop.rows("messages")) == len(shop.world.messages)


def test_an_expired_cursor_starts_the_walk_again(shop: Shop) -> None:
    fault = Fault(expired_cursor, path="/messages", request=3, times=1)
    whole(shop.sync(shop.app(faults=[fault])))
    assert len(shop.rows("messages")) == len(shop.world.messages)


@pytest.mark.parametrize("closed", ["", "templates"])
def test_a_check_of_the_account_tells_what_is_closed_as_far_as_the_room_can(
    shop: Shop, closed: str
) -> None:
    with serve(shop.app(closed={closed})) as url:
        found = check_account(shop.room, shop.account(url))
        with pytest.raises(Unauthorized):
            check_account(shop.room, shop.account(url, "wrong"))
    assert {*found} <= {closed}


def test_a_delivery_is_kept_whatever_the_room_makes_of_it(shop: Shop) -> None:
    shop.sync()
    new = Arrived(shop.room.name, "shop", shop.clock.now, {}, b'{"event": "of another time"}')
    done = ingest_arrived(shop.warehouse, ROOMS, [[new]])
    assert (done.stored, done.understood.deliveries) == (1, 1)
    assert ingest_arrived(shop.warehouse, ROOMS, [[new]]).known == 1
    posted = shop.room.simulated_webhooks(
        shop.world, since=shop.clock.now - timedelta(days=1), until=shop.clock.now
    )
    assert bool(posted) == shop.room.has_webhooks


def test_a_range_is_read_again_as_far_as_the_room_can(synced: Shop) -> None:
    before = {table: synced.rows(table) for table in DATA}
    report = synced.sync(span=(synced.clock.now - timedelta(days=3), synced.clock.now))
    assert report.is_ok
    assert {*report.outcomes} <= {*synced.room.ranged}
    assert {table: synced.rows(table) for table in DATA} == before


def test_an_outage_in_the_middle_keeps_what_was_read(shop: Shop) -> None:
    fault = Fault(broken(503), path="/conversations", request=2, times=None)
    report = shop.sync(shop.app(faults=[fault]))
    assert isinstance(report.outcomes["conversations"].error, Unreachable)
    whole(shop.sync())
    assert len(shop.rows("messages")) == len(shop.world.messages)


def test_only_get_is_ever_sent(first: Shop) -> None:
    assert first.asked is not None
    assert {seen.method for seen in first.asked.state.requests} == {"GET"}


def test_no_file_holds_the_key_or_a_media_link_or_is_open_to_others(first: Shop) -> None:
    files = [path for path in first.folder.rglob("*") if path.is_file()]
    assert files
    for path in files:
        content = path.read_bytes()
        assert KEY.encode() not in content, path
        assert not re.search(rb"https?://[^\s\"]*(active_storage|lookaside|/media/)", content), path


def test_what_dlt_loaded_is_not_kept_beside_the_warehouse(first: Shop) -> None:
    assert list(first.folder.glob("dlt/**/completed_jobs/*")) == []
    assert list(first.folder.glob("dlt/pipelines/*/load/loaded"))
    assert list(first.folder.glob("dlt/pipelines/*/load/*/*")) == []


def test_resources_can_be_synced_one_by_one(shop: Shop, first: Shop) -> None:
    for name in shop.room.resources:
        whole(shop.sync(resources=frozenset({name})))
    for table in DATA:
        assert shop.rows(table) == first.rows(table)


def test_a_run_that_is_out_of_time_leaves_the_rest_to_the_next_ones(shop: Shop) -> None:
    runs = 0
    report = shop.sync(seconds=0.0)
    assert report.has_more
    assert report.error is None
    assert shop.rows("conversations")
    while report.has_more and runs < 100:
        report = shop.sync(seconds=0.5)
        runs += 1
    whole(report)
    assert len(shop.rows("messages")) == len(shop.world.messages)


def test_a_clock_that_was_ahead_once_puts_nothing_off(synced: Shop) -> None:
    asked = []
    for days in (1, 4 * 365, 1):
        app = synced.app()
        whole(synced.sync(app, after=timedelta(days=days)))
        requests = [(seen.path, {**seen.query}) for seen in app.state.requests]
        # A longer period of a log is as good.
        asked.append([(path, query | {"period": ""}) for path, query in requests])
    assert all(request in asked[2] for request in asked[0])
