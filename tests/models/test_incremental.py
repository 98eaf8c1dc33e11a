"""What a build of what is new must notice, one thing at a time, and against a full build."""

from __future__ import annotations

import os
import signal
import threading
from datetime import timedelta

import pytest
from rebuilding import Bench, differences

from pipelines.building import changes
from pipelines.building.build import Sla
from pipelines.errors import BuildFailed
from pipelines.failpoint import Injected, arm

from .conftest import AS_OF, DAY, HOUR, iso

RAW = "raw_kapso.messages"


@pytest.fixture(scope="module")
def built(warehouse):
    """Threads to which something is about to happen, in a warehouse that was built."""
    w = warehouse
    for thread in ("failed", "revoked", "imported", "listed", "moved", "erased", "quiet"):
        w.asks(thread, 0, id=f"{thread}-asks")
        w.person_replies(thread, 600, id=f"{thread}-reply")
    w.waspy_thread("closed")
    w.waspy("closed", 0)
    w.add("raw_kapso.conversations", id="handed over", created_at=iso(0))
    w.add("raw_kapso.assignments", id="1", conversation_id="handed over", user_id="ana",
          created_at=iso(0), active="true")  # fmt: skip
    assert w.build().is_full
    return w


@pytest.fixture(scope="module")
def changed(built):
    """The same after all of it arrived and was built at once."""
    w = built
    w.run(f"update {RAW} set kapso_status = 'failed' where id = 'failed-reply'")
    w.kapso("revoked", 60, type="revoke", original_message_id="revoked-asks", id="revoke")
    w.asks("imported", -400 * DAY, kapso_origin="history_sync", id="imported-old")
    w.add("raw_kapso.contacts", id="late", wa_id=w.phone("listed"), created_at=iso(-DAY))
    w.run(f"update {RAW} set kapso_phone_number_id = '200' where id = 'moved-reply'")
    w.run(f"delete from {RAW} where id = 'erased-reply'")
    w.waspy_state("closed", HOUR, "resolved")
    w.run("update raw_kapso.assignments set active = 'false' where id = '1'")
    w.add("raw_kapso.assignments", id="2", conversation_id="handed over", user_id="luis",
          created_at=iso(HOUR), active="true")  # fmt: skip
    # Fetched before the last build and loaded after it, under a load id that is long known.
    w.asks("old load", 0, fetched_at=iso(-DAY), _dlt_load_id="1", row_hash="h")
    w.run(f"insert into {RAW} select * from {RAW} where id = 'quiet-asks'")
    assert not w.build().is_full
    return w


def outcomes(warehouse, thread):
    return [turn["outcome"] for turn in warehouse.turns(thread)]


def test_a_reply_that_failed_late_leaves_its_turn_waiting(changed):
    assert outcomes(changed, "failed") == ["waiting"]


def test_a_revoked_request_waits_for_nothing_and_opened_its_window(changed):
    assert outcomes(changed, "revoked") == []
    assert len(changed.windows("revoked")) == 1


def test_imported_history_is_a_message_and_no_turn(changed):
    assert outcomes(changed, "imported") == ["answered"]
    assert changed.message("imported-old")["is_imported"]


def test_a_contact_that_comes_later_takes_the_thread_over(changed):
    phone = f"kapso:default:phone:{changed.phone('listed')}"
    keys = changed.rows("select distinct contact_key from marts.fct_turns order by 1")
    assert {"contact_key": "kapso:default:late"} in keys
    assert {"contact_key": phone} not in keys
    assert changed.rows("select * from marts.dim_contacts where contact_key = ?", phone) == []


def test_a_message_that_changes_its_channel_leaves_one_thread_for_another(changed):
    assert outcomes(changed, "moved") == ["waiting"]
    assert changed.message("moved-reply")["channel_key"] == "kapso:default:200"


def test_an_erased_reply_is_forgotten(changed):
    assert outcomes(changed, "erased") == ["waiting"]


def test_a_close_seen_later_ends_the_turn(changed):
    assert outcomes(changed, "closed") == ["closed_unanswered"]


def test_a_handover_without_other_news_is_noticed(changed):
    sql = "select assigned_agent_key from marts.fct_conversations where conversation_id = ?"
    assert changed.rows(sql, "handed over") == [{"assigned_agent_key": "kapso:default:luis"}]


def test_a_row_fetched_before_the_build_and_loaded_after_it_is_found(changed):
    assert outcomes(changed, "old load") == ["waiting"]


def test_a_row_that_is_there_twice_counts_once(changed):
    assert outcomes(changed, "quiet") == ["answered"]


def bench_of(warehouse):
    return Bench(warehouse.place)


@pytest.mark.parametrize(
    "hours",
    [-18 * 24 + 1, *(pytest.param(hours, marks=pytest.mark.matrix) for hours in (0, 40))],
)
def test_whatever_came_and_whenever_it_is_asked_it_equals_a_full_build(changed, hours):
    """The columns of the clock move without news: earlier, and later."""
    bench = bench_of(changed)
    as_of = AS_OF + timedelta(hours=hours)
    assert not bench.build(as_of).is_full
    found = bench.tables()
    bench.build(as_of, full=True)
    assert not differences(found, bench.tables())


def test_a_build_that_fails_its_tests_does_not_count(changed, monkeypatch):
    w, bench = changed, bench_of(changed)
    w.asks("untested", 0)
    with monkeypatch.context() as broken:
        broken.setattr("pipelines.building.build._build_marts", fails_its_tests)
        with pytest.raises(BuildFailed):
            w.build()
    w.asks("untested", 60)
    assert not w.build().is_full
    found = bench.tables()
    assert outcomes(w, "untested") == ["waiting"]
    bench.build(AS_OF, full=True)
    assert not differences(found, bench.tables())


CHANGES = {
    "another time": "update raw_waspy.conversations set last_message_at = '2026-05-01' where",
    "another channel": "update raw_waspy.conversations set phone_number_id = 'another' where",
    "gone": "delete from raw_waspy.conversations where",
}


def test_a_conversation_that_changed_makes_its_messages_again_only_when_they_read_it(
    changed, monkeypatch
):
    """Another account has ones of the same names, which stay as they are."""
    w = changed
    old, new = {}, {}
    for name in CHANGES:
        w.waspy_thread(name)
        w.add("raw_waspy.conversations", id=name, account="twin", phone_number_id="channel")
        old[name] = {w.waspy(name, 0), w.waspy(name, 60)}
    w.build()
    for name, change in CHANGES.items():
        new[name] = w.waspy(name, HOUR)
        w.run(f"{change} id = ? and account = 'default'", name)
    with monkeypatch.context() as broken:
        broken.setattr("pipelines.building.build._build_marts", fails_its_tests)
        with pytest.raises(BuildFailed):
            w.build()
    made = w.rows("select key from intermediate.touched where kind = 'message_id' and key <> ''")
    again = old["another channel"] | old["gone"]
    assert {row["key"] for row in made} == again | set(new.values())
    w.build()
    for name in CHANGES:
        of_thread = {w.message(each)["channel_key"] for each in (new[name], *old[name])}
        assert len(of_thread) == 1, name


def test_a_recipient_that_is_listed_later_finds_its_message(changed):
    w = changed
    w.person_replies("mailed", 0, id="mailed", type="template", template={"name": "promo"})
    w.add("raw_kapso.broadcasts", id="mailing", whatsapp_template={"name": "promo"})
    assert not w.build().is_full
    assert w.message("mailed")["sender_kind"] != "campaign"
    recipient = {"broadcast_id": "mailing", "phone_number": w.phone("mailed"), "sent_at": iso(1)}
    w.add("raw_kapso.broadcast_recipients", id="to", **recipient)
    assert not w.build().is_full
    assert w.message("mailed")["sender_kind"] == "campaign"


def fails_its_tests(dbt, *_, **__):
    """Build everything that was touched, then fail as a test would."""
    dbt.run("run", "--exclude", "path:staging", "tag:rows", "config.materialized:view")
    raise BuildFailed("dbt build failed: a test")


@pytest.mark.parametrize("seconds", [0.4, pytest.param(1.2, marks=pytest.mark.matrix)])
def test_a_build_killed_half_way_is_taken_up_by_the_next(changed, seconds):
    w, bench = changed, bench_of(changed)
    w.asks(f"killed {seconds}", 0)
    w.run(f"update {RAW} set kapso_status = 'read' where id = 'failed-reply'")
    child = os.fork()
    if child == 0:
        arm("build.clocked=raise")
        try:
            w.build()
        except Injected:
            arm("")
            threading.Timer(seconds, lambda: os.kill(os.getpid(), signal.SIGKILL)).start()
            w.build()
        os._exit(0)
    os.waitpid(child, 0)
    assert not w.build().is_full
    found = bench.tables()
    assert outcomes(w, f"killed {seconds}") == ["waiting"]
    bench.build(AS_OF, full=True)
    assert not differences(found, bench.tables())


def test_other_models_or_settings_rebuild_everything(changed, monkeypatch):
    assert changed.build(sla={"default": Sla(60, 60)}).is_full
    assert not changed.build(sla={"default": Sla(60, 60)}).is_full
    monkeypatch.setattr(changes, "version", lambda: "another")
    assert changed.build(sla={"default": Sla(60, 60)}).is_full
