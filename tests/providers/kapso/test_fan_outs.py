"""Kapso's lists of one thing each: asked for in rounds, within bounds, on from where it stopped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from place import Place

from pipelines.errors import Unavailable, Unreachable
from pipelines.providers.kapso.fanouts import CLOSED_AFTER, DOWN_AFTER, PARENTS_PER_PULL
from pipelines.providers.kapso.simulator_rows import contact_id
from pipelines.simulation import Asked, Change, broken

from ..conftest import ENDS_AT, Shop
from .conftest import DAY, HOUR, LEGACY, answer_404, asked_for, only, stop_after, well


def contact_of(path: str) -> str:
    return path.removeprefix(f"{LEGACY}whatsapp_contacts/").split("/")[0]


def fail(*parts: str) -> Callable[[Asked, int], Change | None]:
    return lambda asked, _: broken(500) if any(p in asked.path for p in parts) else None


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


def test_a_contact_whose_list_fails_hides_no_other(shop: Shop) -> None:
    names = only("contacts", "contact_notes")
    shop.sync(resources=only("contacts"))
    ids = sorted(shop.rows("contacts"))
    app = shop.app(faults=fail(f"/{ids[5]}/notes"))
    report = shop.sync(app, resources=names)
    assert isinstance(report.outcomes["contact_notes"].error, Unreachable)
    assert {contact_of(path) for path in asked_for(app, "/notes")} == {*ids}
    later = shop.sync(resources=names, after=HOUR).outcomes["contact_notes"]
    assert "500" in (later.note or "")
    assert not later.is_complete
    well(shop.sync(resources=names, after=DAY))
    assert len(shop.rows("contact_notes")) == len(shop.world.notes)


def test_a_provider_that_is_down_ends_a_fan_out_after_a_few(shop: Shop) -> None:
    names = only("contacts", "contact_notes")
    shop.sync(resources=only("contacts"))
    ids = sorted(shop.rows("contacts"))
    app = shop.app(faults=fail(*(f"/{identity}/notes" for identity in ids[10:])))
    report = shop.sync(app, resources=names)
    assert isinstance(report.outcomes["contact_notes"].error, Unreachable)
    failed = {contact_of(path) for path in asked_for(app, "/notes")} - {*ids[:10]}
    assert DOWN_AFTER <= len(failed) < DOWN_AFTER + 4
    app = shop.app()
    later = shop.sync(app, resources=names)
    assert later.outcomes["contact_notes"].error is None
    assert len(ids) - 10 - DOWN_AFTER < len(asked_for(app, "/notes")) <= len(ids) - 10
    well(shop.sync(resources=names, after=DAY))
    assert len(shop.rows("contact_notes")) == len(shop.world.notes)


def test_a_conversation_whose_list_fails_is_asked_for_again_once_a_day(shop: Shop) -> None:
    names = only("conversations", "assignments")
    whole = Shop(shop.room, shop.world, Place(shop.folder / "whole"))
    well(whole.sync(resources=names))
    given = {row["conversation_id"] for row in whole.rows("assignments").values()}
    active = {i: row["last_active_at"] for i, row in whole.rows("conversations").items()}
    oldest = min(given, key=lambda identity: active[identity])
    app = shop.app(faults=fail(f"/{oldest}/assignments"))
    report = shop.sync(app, resources=names)
    assert isinstance(report.outcomes["assignments"].error, Unreachable)
    left = {row["conversation_id"] for row in shop.rows("assignments").values()}
    assert left == given - {oldest}
    app = shop.app()
    assert not shop.sync(app, resources=names, after=HOUR).outcomes["assignments"].is_complete
    assert asked_for(app, f"/{oldest}/assignments") == []
    well(shop.sync(resources=names, after=DAY))
    assert shop.rows("assignments").keys() == whole.rows("assignments").keys()
    app = shop.app()
    well(shop.sync(app, resources=names, after=2 * DAY))
    assert asked_for(app, f"/{oldest}/assignments") == []


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
