"""Kapso's other lists: what changes later is seen, what is secret is not, what stops goes on."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from place import Place

import models
from pipelines.errors import BadRequest, Unauthorized, Unavailable
from pipelines.loading.sync import Order, sync_account
from pipelines.providers import find
from pipelines.providers.kapso import PROVIDER, client
from pipelines.providers.kapso.logs import period_of
from pipelines.providers.kapso.simulator_logs import SECRET, TOKEN
from pipelines.providers.kapso.simulator_rows import WABA, phone_number_id
from pipelines.providers.kapso.source import public_url
from pipelines.providers.kapso.tables import OPT_IN, RESOURCES
from pipelines.settings import Account
from pipelines.simulation import Answer, Asked, Change, broken, encode, instead, serve
from pipelines.world import Customer, assignments_of, call_permissions_of

from ..conftest import ENDS_AT, KEY, Shop
from .conftest import DAY, HOUR, LEGACY, answer_404, asked_for, only, well


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


def test_a_last_look_by_a_clock_that_was_ahead_is_no_last_look(shop: Shop) -> None:
    for after in (0 * DAY, 1000 * DAY, DAY):
        app = shop.app()
        well(shop.sync(app, resources=only("webhook_deliveries"), after=after))
    assert app.state.requests[0].query["period"] == "30d"


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


def test_the_older_list_brings_the_calls_of_a_number_that_was_closed_for_long(shop: Shop) -> None:
    names = only("phone_numbers", "calls")
    busy = Counter(call.channel_id for call in shop.world.calls).most_common(1)[0][0]
    shop.clock.now = ENDS_AT - 20 * DAY
    well(shop.sync(resources=names))
    shop.clock.now = ENDS_AT
    shop.sync(shop.app(faults=answer_404(f"/{phone_number_id(busy)}/calls")), resources=names)
    assert len(shop.rows("calls")) < len(shop.world.calls)
    well(shop.sync(shop.app(closed={"calls"}), resources=names))
    assert len(shop.rows("calls")) == len(shop.world.calls)


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


def test_more_older_calls_than_one_may_page_through_are_read_in_parts(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "LIMIT", 10)

    def shallow(asked: Asked, _: int) -> Change | None:
        is_deep = asked.path.startswith(LEGACY) and int(asked.query.get("page", 1)) > 1
        return broken(400) if is_deep else None

    names = only("phone_numbers", "calls")
    calls = {call.id for call in shop.world.calls}
    assert len(calls) > 10
    well(shop.sync(shop.app(closed={"calls"}, faults=shallow), resources=names))
    assert len(shop.rows("calls")) == len(calls)


def test_older_calls_that_are_refused_at_once_are_asked_for_once(shop: Shop) -> None:
    def refuse(asked: Asked, _: int) -> Change | None:
        return broken(400) if asked.path.startswith(LEGACY) else None

    app = shop.app(closed={"calls"}, faults=refuse)
    report = shop.sync(app, resources=only("phone_numbers", "calls"))
    assert isinstance(report.outcomes["calls"].error, BadRequest)
    assert len(asked_for(app, LEGACY)) == 1


def test_the_older_calls_keep_the_number_that_the_current_ones_named(shop: Shop) -> None:
    names = only("phone_numbers", "calls")
    well(shop.sync(resources=names))
    before = {i: row["phone_number_id"] for i, row in shop.rows("calls").items()}
    assert all(before.values())
    with shop.warehouse.connect() as connection:
        connection.execute("update raw_kapso.phone_numbers set internal_id = 'of another kind'")
    well(shop.sync(shop.app(closed={"calls"}), resources=names))
    assert {i: row["phone_number_id"] for i, row in shop.rows("calls").items()} == before


def test_a_webhook_that_two_lists_lack_is_gone(shop: Shop) -> None:
    names = only("webhooks")
    well(shop.sync(resources=names))
    first, *_ = sorted(shop.rows("webhooks"))
    rows = [{"id": i} for i in sorted(shop.rows("webhooks"))[1:]]

    def without(asked: Asked, _: int) -> Change | None:
        return instead({"data": rows}) if asked.path.endswith("/webhooks") else None

    for gone in (set(), {first}, {first}):
        well(shop.sync(shop.app(faults=without), resources=names))
        marked = shop.rows("gone").values()
        assert {row["provider_id"] for row in marked if row["missed_since"]} == gone
    well(shop.sync(resources=names))
    assert not any(row["missed_since"] for row in shop.rows("gone").values())


def test_a_list_that_is_closed_on_both_apis_is_an_error(shop: Shop) -> None:
    app = shop.app(closed={"calls", "legacy_calls"})
    report = shop.sync(app, resources=only("phone_numbers", "calls"))
    assert isinstance(report.outcomes["calls"].error, Unavailable)


def test_an_older_api_that_refuses_the_key_ends_only_what_needs_it(shop: Shop) -> None:
    def refuse(asked: Asked, _: int) -> Change | None:
        return broken(401) if asked.path.startswith(LEGACY) else None

    app = shop.app(closed={"calls"}, faults=refuse)
    report = shop.sync(app, resources=only("phone_numbers", "contacts", "contact_notes", "calls"))
    assert report.error is None
    failed = {n: type(o.error) for n, o in report.outcomes.items() if o.error}
    assert failed == {"calls": Unauthorized, "contact_notes": Unauthorized}
    assert report.outcomes["contacts"].is_complete
    assert len(asked_for(app, LEGACY)) <= 5, "those that were on their way"


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


def test_numbered_pages_that_do_not_say_their_number_are_all_read(shop: Shop) -> None:
    def answer(asked: Asked, _: Answer) -> Answer:
        page = int(asked.query.get("page", 1))
        rows = [{"id": f"{page}-{n}"} for n in range(2)]
        return Answer(encode({"data": rows, "meta": {"per_page": 2, "total_pages": 3}}))

    app = shop.app(faults=lambda asked, _: answer if asked.path.endswith("/users") else None)
    well(shop.sync(app, resources=only("users")))
    assert len(shop.rows("users")) == 6
    assert len(asked_for(app, "/users")) == 3


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


# What Meta says through Kapso's proxy


def meta_refuses(status: int, code: int) -> Any:
    body = {"error": {"message": "(#) no", "type": "OAuthException", "code": code}}
    return lambda asked, _: (
        instead(body, status=status) if asked.path.endswith("/message_templates") else None
    )


@pytest.mark.parametrize(("status", "code"), [(401, 190), (400, 190), (400, 200), (500, 10)])
def test_a_token_that_meta_refuses_ends_one_list_and_is_not_taken_for_the_key(
    shop: Shop, status: int, code: int
) -> None:
    app = shop.app(faults=meta_refuses(status, code))
    report = shop.sync(app, resources=only("phone_numbers", "messages", "calls", "templates"))
    errors = {name: outcome.error for name, outcome in report.outcomes.items() if outcome.error}
    assert set(errors) <= {"templates"}  # unless the older API still has them
    assert not any(isinstance(error, Unauthorized) for error in errors.values())
    assert len(shop.rows("messages")) == len(shop.world.messages)
    assert len(asked_for(app, "/message_templates")) == len(wabas(shop))


@pytest.mark.parametrize("code", [4, 80007, 130429])
def test_a_limit_of_metas_is_tried_again(shop: Shop, code: int) -> None:
    seen: list[str] = []

    def faults(asked: Asked, count: int) -> Change | None:
        change: Change | None = meta_refuses(400, code)(asked, count)
        seen.extend([asked.path] if change else [])
        return change if len(seen) <= 2 else None

    report = shop.sync(shop.app(faults=faults), resources=only("phone_numbers", "templates"))
    assert well(report).outcomes["templates"].note is None  # not from the older API
    assert len(seen) > 2


def wabas(shop: Shop) -> set[str]:
    return {row["business_account_id"] for row in shop.rows("phone_numbers").values()}
