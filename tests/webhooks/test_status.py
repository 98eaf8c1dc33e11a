"""What `status` and `mart_sync_health` tell of webhooks. Times are seconds after noon."""

from datetime import timedelta

import pytest
from hook_bench import T0, Bench, arrival, message

from pipelines.commands.status import read
from pipelines.providers import find


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    b = Bench(tmp_path_factory.mktemp("status"))
    b.add("raw_kapso.webhooks", id="w", active="false")
    b.pulled("both", 10)
    b.pulled("missed", 40)
    b.pulled("before there were webhooks", -100)
    b.pulled("later", 3600)

    def batch(first, last, *bodies):
        info = {"first_sequence": first, "last_sequence": last, "conversation_id": "c"}
        return {"type": "x", "batch": True, "data": bodies, "batch_info": info}

    b.receive(
        arrival(batch(1, 1, message("both", 10)), seconds=10),
        arrival(batch(4, 4, message("told", 20)), x_webhook_event="whatsapp.moon", seconds=20),
        arrival(b"broken", seconds=30),
    )
    b.ingest(now=T0 + timedelta(seconds=60))
    b.build()
    return b


def webhooks(b, minutes=15):
    found = read(b.warehouse, find(), b.log, now=T0 + timedelta(seconds=90),
                 silent_after=timedelta(minutes=minutes))  # fmt: skip
    [kapso] = found.webhooks
    return kapso


def test_status_counts_what_came_and_what_could_not_be_used(built):
    found = webhooks(built)
    assert (found.account, found.deliveries, found.rejected) == ("kapso:default", 3, 1)
    assert (found.wrong_headers, found.missing_batches, found.age_seconds) == (1, 1, 60)
    assert "not JSON: 1" in found.problems
    assert not any("batches" in problem for problem in found.problems)  # the API brings them


def test_silence_while_the_api_has_newer_messages_is_told(built):
    assert any("no webhook since 60 min" in problem for problem in webhooks(built).problems)
    assert webhooks(built).silent_seconds == 3600 - 30
    for minutes in (61, 0):
        assert not any("no webhook" in found for found in webhooks(built, minutes=minutes).problems)


def test_a_webhook_that_is_switched_off_is_told_while_it_is_there(built):
    told = "webhooks that Kapso has switched off: 1"
    assert told in webhooks(built).problems
    gone = {"id": "webhooks|w", "resource": "webhooks", "provider_id": "w"}
    built.add("raw_kapso.gone", **gone, missed_since="2026-03-01")
    assert told not in webhooks(built).problems
    with built.warehouse.connect() as connection:
        connection.execute("update raw_kapso.gone set missed_since = null")  # it came back
    assert told in webhooks(built).problems


def test_health_shows_what_only_one_way_brought(built):
    rows = {
        row["resource"]: row
        for row in built.rows("select * from marts.mart_sync_health where provider = 'kapso'")
    }
    assert (rows["messages"]["only_here"], rows["deliveries"]["only_here"]) == (2, 1)
    told = rows["deliveries"]
    assert (told["rows"], told["last_row_at"]) == (3, T0 + timedelta(seconds=30))
    assert (told["last_synced_at"], told["last_error"]) == (
        T0 + timedelta(seconds=60),
        "not understood: 1",
    )
