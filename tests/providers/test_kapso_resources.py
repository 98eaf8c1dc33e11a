"""Kapso's other lists: what changes later is seen, what is secret is not, what stops goes on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from place import Place
from starlette.applications import Starlette

import models
from pipelines.errors import Unavailable
from pipelines.loading.sync import Order, Report, sync_account
from pipelines.providers import find
from pipelines.providers.kapso import PROVIDER
from pipelines.providers.kapso.fanouts import CLOSED_AFTER, PARENTS_PER_PULL
from pipelines.providers.kapso.logs import period_of
from pipelines.providers.kapso.simulator_broadcasts import broadcast_id
from pipelines.providers.kapso.simulator_logs import SECRET, TOKEN
from pipelines.providers.kapso.simulator_rows import WABA, contact_id, phone_number_id
from pipelines.providers.kapso.source import public_url
from pipelines.providers.kapso.tables import OPT_IN, RESOURCES
from pipelines.settings import Account
from pipelines.simulation import Asked, Change, broken, instead, serve
from pipelines.world import (
    Customer,
    World,
    assignments_of,
    call_permissions_of,
    make_world,
)

from .conftest import ENDS_AT, KEY, Shop

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LEGACY = "/api/v1/"


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(seed=3, ends_at=ENDS_AT, days=33, conversations_per_day=15)


@pytest.fixture
def shop(world: World, tmp_path: Path) -> Shop:
    return Shop(PROVIDER, world, Place(tmp_path))


def only(*names: str) -> frozenset[str]:
    return frozenset(names)


def asked_for(app: Starlette, part: str) -> list[str]:
    return [seen.path for seen in app.state.requests if part in seen.path]


def well(report: Report) -> Report:
    assert {name: str(o.error) for name, o in report.outcomes.items() if o.error} == {}
    assert [name for name, o in report.outcomes.items() if not o.is_complete] == []
    return report


def test_every_list_is_loaded_whole(shop: Shop) -> None:
    well(shop.sync())
    world = shop.world
    talks = {(m.channel_id, m.contact_id) for m in world.messages}
    handovers = [
        assignment
        for thread in world.threads
        if (thread.channel_id, thread.contact_id) in talks
        for assignment in assignments_of(thread)
        if assignment.assigned_at <= ENDS_AT
    ]
    permissions = {(p.channel_id, p.contact_id) for p in call_permissions_of(world)}
    expected = {
        "users": len(world.agents),
        "customers": len(world.customers),
        "webhooks": len(world.channels) + 1,
        "broadcasts": sum(c.started_at - DAY <= ENDS_AT for c in world.campaigns),
        "broadcast_recipients": sum(m.campaign_id is not None for m in world.messages),
        "assignments": len(handovers),
        "contact_notes": len(world.notes),
        "call_permissions": len(permissions),
    }
    assert {table: len(shop.rows(table)) for table in expected} == expected
    assert min(expected.values()) > 0
    assert shop.rows("webhook_deliveries")
    assert shop.rows("api_logs")


def test_rows_name_the_parent_they_were_listed_under(shop: Shop) -> None:
    shop.sync()
    for table, parent, column in (
        ("broadcast_recipients", "broadcasts", "broadcast_id"),
        ("assignments", "conversations", "conversation_id"),
        ("contact_notes", "contacts", "contact_id"),
        ("call_permissions", "contacts", "whatsapp_contact_id"),
    ):
        parents = shop.rows(parent)
        assert {row[column] for row in shop.rows(table).values()} <= parents.keys()


def test_the_fan_outs_and_the_log_of_requests_are_read_only_when_named() -> None:
    assert {"assignments", "contact_notes", "call_permissions", "api_logs"} == OPT_IN
    assert PROVIDER.opt_in == OPT_IN
    assert set(PROVIDER.resources) == {table.name for table in RESOURCES}


def test_the_models_know_every_raw_table() -> None:
    folder = Path(models.__file__).parent / "staging" / "kapso"
    sources = (folder / "_kapso__sources.yml").read_text()
    health = (folder / "stg_kapso__resources.sql").read_text()
    for table in RESOURCES:
        assert f"- name: {table.name}\n" in sources
        assert f"'{table.name}' as resource" in health
        assert f"source('raw_kapso', '{table.name}')" in health


# Secrets


def drop_the_ids_of_webhooks(asked: Asked, _: int) -> Change | None:
    row = {
        "url": f"https://a.example/?token={TOKEN}",
        "secret_key": SECRET,
        "headers": {"a": TOKEN},
    }
    return instead({"data": [row]}) if asked.path.endswith("/webhooks") else None


@pytest.mark.parametrize("faults", [None, drop_the_ids_of_webhooks], ids=["rows", "rows aside"])
def test_no_file_holds_a_webhooks_secrets(shop: Shop, faults: Any) -> None:
    shop.sync(shop.app(faults=faults), resources=only("webhooks", "webhook_deliveries"))
    assert shop.rows("rejected") if faults else shop.rows("webhooks")
    for path in shop.folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert SECRET.encode() not in content, path
            assert TOKEN.encode() not in content, path
    for row in shop.rows("webhooks").values():
        assert row["url"] == "https://hooks.tienda.example/webhooks"
        assert '"secret_key":"[removed]"' in row["payload"]


@pytest.mark.parametrize(
    ("url", "public"),
    [
        ("https://a.example/in", "https://a.example/in"),
        ("https://me:pw@a.example:8443/in?key=1#2", "https://a.example:8443/in"),
        ("https://[broken/in?key=1", ""),
        ("?key=1", ""),
    ],
)
def test_a_url_is_kept_without_what_may_be_a_token(url: str, public: str) -> None:
    assert public_url(url) == public


# Broadcasts


def crowded(world: World) -> World:
    """The same world, in which every mailing went to twelve times as many."""
    extra = [
        replace(message, id=f"{message.id}{number}")
        for message in world.messages
        if message.campaign_id
        for number in range(11)
    ]
    return replace(world, messages=(*world.messages, *extra))


def recipients(shop: Shop, broadcast: str) -> list[dict[str, Any]]:
    rows = shop.rows("broadcast_recipients").values()
    return [row for row in rows if row["broadcast_id"] == broadcast]


def stop_after(pages: int) -> Callable[[], bool]:
    left = iter(range(pages))
    return lambda: next(left, None) is None


def mailed(world: World) -> tuple[str, datetime]:
    """The campaign with the most recipients: its id and start."""
    counts = Counter(m.campaign_id for m in world.messages if m.campaign_id)
    name = counts.most_common(1)[0][0]
    campaign = next(c for c in world.campaigns if c.id == name)
    return broadcast_id(campaign), campaign.started_at


MAILS = only("broadcasts", "broadcast_recipients")


def test_recipients_are_read_again_until_they_settle(shop: Shop) -> None:
    identity, started = mailed(shop.world)

    def look(after: timedelta) -> int:
        """How often the broadcast's recipients are asked for."""
        shop.clock.now = started + after
        app = shop.app()
        well(shop.sync(app, resources=MAILS))
        return len(asked_for(app, f"/{identity}/recipients"))

    def stages() -> Counter[str]:
        rows = [
            r for r in shop.rows("broadcast_recipients").values() if r["broadcast_id"] == identity
        ]
        reached = ("sent_at", "read_at", "responded_at")
        return Counter(name for row in rows for name in reached if row[name])

    assert look(-HOUR) > 0
    assert stages() == {}
    assert look(HOUR / 60) > 0
    first = stages()
    assert look(HOUR / 60) == 0, "nothing moved"
    assert look(2 * DAY) > 0
    assert look(5 * DAY) > 0
    later = stages()
    assert later["read_at"] > first["read_at"]
    assert later["responded_at"] > first["responded_at"]
    assert look(8 * DAY) > 0, "the last look, after a week"
    assert look(8 * DAY + HOUR) == 0
    assert look(10 * DAY) == 0


def test_a_broadcasts_own_row_follows_it_from_draft_to_completed(shop: Shop) -> None:
    identity, started = mailed(shop.world)
    seen = []
    for after in (-23.5 * HOUR, -2 * HOUR, timedelta(seconds=1), HOUR):
        shop.clock.now = started + after
        shop.sync(resources=MAILS)
        seen.append(shop.rows("broadcasts")[identity]["status"])
    assert seen == ["draft", "scheduled", "sending", "completed"]


def test_recipient_pages_may_be_shorter_than_they_say(shop: Shop) -> None:
    shop.world = crowded(shop.world)
    identity, _ = mailed(shop.world)
    app = shop.app()
    well(shop.sync(app, resources=MAILS))
    rows = recipients(shop, identity)
    assert len(rows) > 100
    assert len(asked_for(app, f"/{identity}/recipients")) == -(-len(rows) // 50)


def test_recipients_that_were_left_in_the_middle_are_read_on_from_there(shop: Shop) -> None:
    shop.world = crowded(shop.world)
    identity, _ = mailed(shop.world)
    pages: list[int] = []
    for _ in range(30):
        app = shop.app()
        report = shop.sync(app, resources=MAILS, is_stopping=stop_after(2))
        pages.append(len(asked_for(app, f"/{identity}/recipients")))
        if report.outcomes["broadcast_recipients"].is_complete:
            break
    assert sum(pages) == -(-len(recipients(shop, identity)) // 50), "no page twice"
    assert len(shop.rows("broadcast_recipients")) == sum(
        m.campaign_id is not None for m in shop.world.messages
    )
    assert max(pages) < sum(pages), "not in one go"


def test_a_broadcast_that_is_gone_is_skipped_and_asked_for_once_a_day(shop: Shop) -> None:
    identity, started = mailed(shop.world)
    asked = []
    for after in (0 * HOUR, HOUR / 60, 2 * DAY):
        shop.clock.now = started - HOUR + after
        app = shop.app(faults=answer_404(f"/broadcasts/{identity}"))
        well(shop.sync(app, resources=MAILS))
        asked.append(len(asked_for(app, f"/{identity}/recipients")))
    assert asked == [1, 0, 1]


def test_recipients_that_are_closed_end_alone_and_are_read_as_soon_as_they_open(shop: Shop) -> None:
    app = shop.app(closed={"broadcast_recipients"}, closed_status=404)
    report = shop.sync(app, resources=MAILS)
    assert isinstance(report.outcomes["broadcast_recipients"].error, Unavailable)
    assert report.outcomes["broadcasts"].is_complete
    well(shop.sync(resources=MAILS))
    assert shop.rows("broadcast_recipients")


# Logs


def deliveries(shop: Shop) -> dict[str, dict[str, Any]]:
    return shop.rows("webhook_deliveries")


def test_a_delivery_that_succeeds_or_fails_later_is_read_again(shop: Shop) -> None:
    ends: dict[str, str] = {}
    for outage in shop.world.outages[:3]:
        shop.clock.now = outage.starts_at + timedelta(seconds=25)
        well(shop.sync(resources=only("webhook_deliveries")))
        pending = [key for key, row in deliveries(shop).items() if row["status"] == "pending"]
        assert pending
        shop.clock.now += timedelta(minutes=10)
        well(shop.sync(resources=only("webhook_deliveries")))
        ends |= {key: deliveries(shop)[key]["status"] for key in pending}
    assert set(ends.values()) <= {"delivered", "failed"}
    assert "failed" in ends.values()


def test_the_period_asked_for_reaches_back_to_the_last_look(shop: Shop) -> None:
    periods = []
    for days_before_the_end in (12, 11.9, 9, 0):
        shop.clock.now = ENDS_AT - days_before_the_end * DAY
        app = shop.app()
        well(shop.sync(app, resources=only("webhook_deliveries")))
        periods.append(app.state.requests[0].query["period"])
    assert periods == ["30d", "24h", "7d", "30d"]
    everything = shop.rows("webhook_deliveries")
    shop.sync(resources=only("webhook_deliveries"), is_full=True)
    assert everything.items() >= shop.rows("webhook_deliveries").items()


def test_a_period_leaves_an_hour_for_clocks_that_differ() -> None:
    assert [period_of(age * HOUR) for age in (0, 23, 23.5, 6.9 * 24, 7 * 24, 900)] == [
        "24h", "24h", "7d", "7d", "30d", "30d",
    ]  # fmt: skip


def test_requests_made_during_a_sync_wait_for_the_next_one(shop: Shop) -> None:
    logs = only("api_logs")
    well(shop.sync(resources=logs, after=-2 * DAY))
    before = shop.rows("api_logs")
    started = shop.clock.now - 2 * DAY
    assert max(datetime.fromisoformat(row["created_at"]) for row in before.values()) <= started
    well(shop.sync(resources=logs))
    assert shop.rows("api_logs").keys() > before.keys()
    fresh = Shop(shop.room, shop.world, Place(shop.folder / "fresh"))
    fresh.sync(resources=logs)
    assert fresh.rows("api_logs") == shop.rows("api_logs")


# Fan-outs


def answer_404(part: str) -> Callable[[Asked, int], Change | None]:
    return lambda asked, _: broken(404) if part in asked.path else None


def contact_of(path: str) -> str:
    return path.removeprefix(f"{LEGACY}whatsapp_contacts/").split("/")[0]


def test_a_fan_out_that_is_stopped_goes_on_where_it_was(shop: Shop) -> None:
    shop.sync(resources=only("contacts"))
    seen: list[str] = []
    for _ in range(100):
        app = shop.app()
        report = shop.sync(
            app,
            resources=only("contact_notes"),
            is_stopping=stop_after(12),
        )
        seen += map(contact_of, asked_for(app, "/notes"))
        if report.outcomes["contact_notes"].is_complete:
            break
        states = {state.resource: state for state in shop.warehouse.sync_states(shop.room)}
        state = states["contact_notes"]
        assert len(str(state.position)) < 200
        assert not state.is_complete
    assert len(seen) > 40
    assert sorted(seen) == sorted(shop.rows("contacts")), "every contact, and none twice"
    assert len(shop.rows("contact_notes")) == len(shop.world.notes)


def test_a_full_chunk_is_loaded_before_a_fan_out_goes_on(shop: Shop) -> None:
    well(shop.sync(resources=only("contacts", "contact_notes"), chunk_rows=5))
    assert len(shop.rows("contact_notes")) == len(shop.world.notes)


def test_a_pull_asks_for_so_many_parents_and_no_more(shop: Shop) -> None:
    world = shop.world
    more = [replace(c, id=f"{c.id}-{n}") for n in range(9) for c in world.contacts]
    threads = [
        replace(t, contact_id=f"{t.contact_id}-{n}") for n in range(9) for t in world.threads
    ]
    shop.world = replace(world, contacts=tuple(more), threads=tuple(threads), messages=(), calls=())
    app = shop.app()
    well(shop.sync(app, resources=only("contacts", "call_permissions")))
    assert len(more) > PARENTS_PER_PULL
    assert len(asked_for(app, "/call_permissions")) == len(shop.rows("contacts"))


def test_notes_are_read_a_round_a_day(shop: Shop) -> None:
    note = next(n for n in shop.world.notes if n.edited_at and n.edited_at < ENDS_AT)
    assert note.edited_at
    shop.clock.now = note.edited_at - HOUR
    names = only("contacts", "contact_notes")
    asked = []
    for hours in (0, 1, 30):
        shop.clock.now += hours * HOUR
        app = shop.app()
        well(shop.sync(app, resources=names))
        asked.append(len(asked_for(app, "/notes")))
    assert asked[0] > 0
    assert asked[1] == 0
    assert asked[2] >= asked[0]
    assert note.edited_text in {row["content"] for row in shop.rows("contact_notes").values()}


def test_a_contact_that_is_gone_is_skipped(shop: Shop) -> None:
    gone = contact_id(next(c.id for c in shop.world.contacts))
    app = shop.app(faults=answer_404(f"/{gone}"))
    report = well(shop.sync(app, resources=only("contacts", "contact_notes")))
    assert report.outcomes["contact_notes"].note is None
    assert len(asked_for(app, "/notes")) == len(shop.rows("contacts"))


def test_the_only_contact_may_be_gone_too(shop: Shop) -> None:
    world, contact = shop.world, shop.world.contacts[0]
    threads = tuple(t for t in world.threads if t.contact_id == contact.id)
    shop.world = replace(world, contacts=(contact,), threads=threads, messages=(), calls=())
    app = shop.app(faults=answer_404(f"/{contact_id(contact.id)}"))
    well(shop.sync(app, resources=only("contacts", "contact_notes")))
    assert len(asked_for(app, "/notes")) == 1


@pytest.mark.parametrize("status", [403, 404])
@pytest.mark.parametrize("name", ["contact_notes", "call_permissions", "assignments"])
def test_a_fan_out_that_is_closed_ends_alone_after_a_few_words(
    shop: Shop, name: str, status: int
) -> None:
    names = only("contacts", "conversations", name)
    shop.sync(resources=names)
    before = shop.rows(name)
    assert before
    app = shop.app(closed={name}, closed_status=status)
    report = shop.sync(app, resources=names, is_full=True)
    assert {n for n, o in report.outcomes.items() if o.error} == {name}
    assert isinstance(report.outcomes[name].error, Unavailable)
    assert not report.outcomes[name].is_complete
    refused = [seen for seen in app.state.requests if seen.status == status]
    assert CLOSED_AFTER <= len(refused) <= CLOSED_AFTER + 4
    assert shop.rows(name) == before
    well(shop.sync(resources=names, is_full=True))


def test_assignments_are_asked_for_where_something_happened(shop: Shop) -> None:
    names = only("conversations", "assignments")
    shop.clock.now = ENDS_AT - 5 * DAY
    well(shop.sync(resources=names))
    shop.clock.now += HOUR / 2
    app = shop.app()
    well(shop.sync(app, resources=names))
    touched = len(asked_for(app, "/assignments"))
    assert touched < len(shop.rows("conversations")) / 4
    shop.clock.now = ENDS_AT
    well(shop.sync(resources=names))
    fresh = Shop(shop.room, shop.world, Place(shop.folder / "fresh"))
    fresh.sync(resources=names)
    assert shop.rows("assignments").keys() == fresh.rows("assignments").keys()


def test_a_conversation_from_the_far_future_hides_no_later_one(shop: Shop) -> None:
    names = only("conversations", "assignments")
    shop.clock.now = ENDS_AT - 5 * DAY
    shop.sync(resources=names)
    with shop.warehouse.connect() as connection:
        connection.execute(
            "update raw_kapso.conversations set last_active_at = '2999-01-01T00:00:00Z' "
            "where id = (select max(id) from raw_kapso.conversations)"
        )
    shop.sync(resources=names)
    shop.clock.now = ENDS_AT
    app = shop.app()
    well(shop.sync(app, resources=names))
    assert asked_for(app, "/assignments")


def test_a_fan_out_without_its_parents_says_what_is_missing(shop: Shop) -> None:
    report = shop.sync(resources=only("contact_notes"))
    outcome = report.outcomes["contact_notes"]
    assert not outcome.is_complete
    assert "contacts" in (outcome.note or "")


# Fallbacks


def test_calls_come_from_the_older_list_when_the_newer_is_closed(shop: Shop) -> None:
    names = only("phone_numbers", "calls")
    open_ = Shop(shop.room, shop.world, Place(shop.folder / "open"))
    open_.sync(resources=names)
    report = well(shop.sync(shop.app(closed={"calls"}), resources=names))
    assert "older" in (report.outcomes["calls"].note or "")
    expected, found = open_.rows("calls"), shop.rows("calls")
    assert found.keys() == expected.keys()
    numbers = {phone_number_id(channel.id) for channel in shop.world.channels}
    for key, row in found.items():
        assert row["phone_number_id"] == expected[key]["phone_number_id"]
        assert row["phone_number_id"] in numbers
        assert row["started_at"] == expected[key]["started_at"]
    app = shop.app(closed={"calls"})
    assert well(shop.sync(app, resources=names)).changed == 0
    query = next(seen.query for seen in app.state.requests if "whatsapp_calls" in seen.path)
    assert query["period"] == "custom"
    newest = max(call.started_at for call in shop.world.calls)
    assert datetime.fromisoformat(query["start_date"].replace(" ", "+")) == newest - 2 * DAY


def test_templates_come_from_the_older_list_when_none_of_metas_is_stored(shop: Shop) -> None:
    names = only("phone_numbers", "templates")
    well(shop.sync(shop.app(closed={"templates"}), resources=names))
    rows = shop.rows("templates").values()
    assert {(r["name"], r["language"], r["business_account_id"]) for r in rows} == {
        (t.name, t.language, WABA) for t in shop.world.templates
    }


def test_the_older_templates_never_join_metas(shop: Shop) -> None:
    names = only("phone_numbers", "templates")
    shop.sync(resources=names)
    before = shop.rows("templates")
    app = shop.app(closed={"templates"})
    report = shop.sync(app, resources=names)
    assert isinstance(report.outcomes["templates"].error, Unavailable)
    assert shop.rows("templates") == before
    assert asked_for(app, LEGACY) == []


def test_a_list_that_is_closed_on_both_apis_is_an_error(shop: Shop) -> None:
    app = shop.app(closed={"calls", "legacy_calls"})
    report = shop.sync(app, resources=only("phone_numbers", "calls"))
    assert isinstance(report.outcomes["calls"].error, Unavailable)


def test_the_older_api_is_not_asked_while_one_number_answers(shop: Shop) -> None:
    number = phone_number_id("posventa")
    faults = answer_404(f"/{number}/calls")
    app = shop.app(faults=faults)
    shop.sync(app, resources=only("phone_numbers", "calls"))
    assert asked_for(app, LEGACY) == []


# Two hosts


def test_the_older_api_is_asked_at_its_own_host_and_counted_with_the_other(shop: Shop) -> None:
    new, old = shop.app(), shop.app()
    with serve(new) as url, serve(old) as legacy_url:
        account = Account.model_validate(
            {
                "provider": "kapso",
                "api_key": KEY,
                "base_url": url,
                "legacy_base_url": legacy_url,
                "requests_per_minute": 1_000_000,
            }
        )
        shop.warehouse.ensure_raw_tables(find())
        order = Order(only("contacts", "contact_notes"), now=ENDS_AT)
        report = well(sync_account(shop.warehouse, shop.room, account, order))
    assert asked_for(new, LEGACY) == []
    assert len(asked_for(old, LEGACY)) == len(old.state.requests) > 0
    assert report.requests == len(new.state.requests) + len(old.state.requests)


# Lists in no known order


def test_a_long_list_without_an_order_is_read_once_a_day(shop: Shop) -> None:
    start = shop.world.starts_at
    many = tuple(Customer(f"customer-{n}", f"N {n}", None, start) for n in range(250))
    shop.world = replace(shop.world, customers=many)
    asked = []
    for after in (0 * HOUR, HOUR, DAY):
        app = shop.app()
        well(shop.sync(app, resources=only("customers"), after=after))
        asked.append(len(asked_for(app, "/customers")))
    assert asked == [3, 0, 3]
    assert len(shop.rows("customers")) == 250
