"""The made-up world is the same for everyone, believable, and honest about who wrote what."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import phonenumbers
import pytest

import pipelines.world
from pipelines.world import (
    WINDOW,
    WINDOW_CLOSED,
    Message,
    World,
    assignments_of,
    call_permissions_of,
    make_world,
)

END = datetime(2026, 11, 20, 15, tzinfo=UTC)
OPENS_NOTHING = ("reaction", "edit", "revoke", "system", "request_welcome")


@pytest.fixture(scope="module")
def year() -> World:
    return make_world(seed=7, ends_at=END)


def test_the_same_seed_gives_the_same_world_and_another_one_does_not() -> None:
    def world(seed: int) -> World:
        return make_world(seed=seed, ends_at=END, days=15)

    assert world(1) == world(1)
    assert world(1).messages != world(2).messages


def test_an_end_without_a_time_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        make_world(seed=1, ends_at=datetime(2026, 1, 1))  # noqa: DTZ001


def test_a_year_has_the_size_of_a_small_shop(year: World) -> None:
    assert 30_000 < len(year.messages) < 80_000
    assert len(year.channels) == 3
    assert len(year.contacts) > 1_000


def test_it_knows_no_provider() -> None:
    folder = Path(pipelines.world.__file__).parent
    text = "".join(path.read_text("utf-8") for path in folder.glob("*.py")).lower()
    assert "kapso" not in text
    assert "waspy" not in text


def test_messages_have_whole_seconds_inside_the_world(year: World) -> None:
    assert all(m.occurred_at.microsecond == 0 for m in year.messages)
    assert all(year.starts_at <= m.occurred_at <= m.inserted_at <= END for m in year.messages)


def test_messages_stand_in_the_order_in_which_they_became_known(year: World) -> None:
    times = [m.inserted_at for m in year.messages]
    assert times == sorted(times)
    assert len(year.message_by_id) == len(year.messages)


def test_every_human_message_names_an_agent_of_the_channel_and_no_other_does(year: World) -> None:
    channels = {agent.id: agent.channel_ids for agent in year.agents}
    for message in year.messages:
        assert (message.agent_id is not None) == (message.author == "human")
        assert (message.typed_on is not None) == (message.author == "human")
        assert (message.campaign_id is not None) == (message.author == "campaign")
        assert (message.direction == "inbound") == (message.author == "customer")
        if message.agent_id:
            assert message.channel_id in channels[message.agent_id]


def test_staff_write_while_the_shop_is_open(year: World) -> None:
    zone = ZoneInfo("America/Argentina/Buenos_Aires")
    hours = [m.occurred_at.astimezone(zone).hour for m in year.messages if m.author == "human"]
    assert sum(9 <= hour < 18 for hour in hours) > 0.99 * len(hours)
    assert sum(hour == 13 for hour in hours) < 0.02 * len(hours)


def test_customers_write_at_night_and_on_sundays_but_less(year: World) -> None:
    zone = ZoneInfo("America/Argentina/Buenos_Aires")
    asked = [m.occurred_at.astimezone(zone) for m in year.messages if m.author == "customer"]
    assert 0 < sum(at.hour < 6 for at in asked) < 0.1 * len(asked)
    by_day = [sum(at.weekday() == day for at in asked) for day in range(7)]
    assert 0 < by_day[6] < by_day[0] / 2


def test_everything_worth_measuring_happens(year: World) -> None:
    types = {m.type for m in year.messages}
    assert types >= {
        "text", "image", "audio", "sticker", "document", "template", "interactive", "button",
        "reaction", "edit", "revoke", "system", "unsupported", "call_permission_reply",
    }  # fmt: skip
    errors = {change.error_code for m in year.messages for change in m.statuses}
    assert errors >= {WINDOW_CLOSED, 131026, 131049}
    assert {m.status_at(END) for m in year.messages} == {
        "pending", "sent", "delivered", "read", "failed",
    }  # fmt: skip
    assert {(call.direction, call.result) for call in year.calls} == {
        ("inbound", "answered"), ("inbound", "missed"),
        ("outbound", "answered"), ("outbound", "failed"),
    }  # fmt: skip
    assert {m.typed_on for m in year.messages} == {None, "inbox", "phone"}
    assert any(m.from_ad for m in year.messages)
    assert any(contact.name is None for contact in year.contacts)


def test_a_read_can_come_days_later_and_statuses_stand_in_order(year: World) -> None:
    waits = []
    for message in year.messages:
        times = [change.at for change in message.statuses]
        assert times == sorted(times)
        if message.statuses and message.statuses[-1].status == "read":
            waits.append(message.statuses[-1].at - message.occurred_at)
    assert max(waits) > timedelta(days=2)


def test_a_status_is_told_as_of_a_time(year: World) -> None:
    message = next(m for m in year.messages if len(m.statuses) == 3)
    sent, delivered, _ = message.statuses
    assert message.status_at(sent.at - timedelta(seconds=1)) == "pending"
    assert message.status_at(delivered.at) == "delivered"
    assert message.status_at(END + timedelta(days=30)) == "read"


def test_a_reaction_gets_no_receipts(year: World) -> None:
    reactions = [m for m in year.messages if m.type == "reaction" and m.direction == "outbound"]
    assert all([c.status for c in m.statuses] == ["sent"] for m in reactions)


def test_the_api_reaches_a_customer_with_free_text_only_inside_the_window(year: World) -> None:
    for message, opened_at in _with_window(year):
        is_open = opened_at is not None and message.occurred_at - opened_at < WINDOW
        codes = {change.error_code for change in message.statuses}
        if message.type == "template" or message.typed_on == "phone":
            continue
        assert (WINDOW_CLOSED in codes) != is_open, message


def _with_window(world: World) -> list[tuple[Message, datetime | None]]:
    """Outbound messages, each with the customer's last act that opened the window before it."""
    acts: dict[tuple[str, str], list[tuple[datetime, int, Message | None]]] = defaultdict(list)
    for call in world.calls:
        if call.direction == "inbound":
            acts[call.channel_id, call.contact_id].append((call.started_at, 0, None))
    for message in world.messages:
        if message.is_imported or message.type in OPENS_NOTHING:
            continue
        outbound = message.direction == "outbound"
        acts[message.channel_id, message.contact_id].append(
            (message.occurred_at, int(outbound), message)
        )
    found: list[tuple[Message, datetime | None]] = []
    for thread in acts.values():
        opened_at = None
        for at, is_answer, written in sorted(thread, key=lambda act: act[:2]):
            if is_answer and written:
                found.append((written, opened_at))
            else:
                opened_at = at
    return found


def test_imports_are_old_and_came_in_at_once_when_the_channel_was_connected(year: World) -> None:
    connected = {channel.id: channel.connected_at for channel in year.channels}
    imported = [m for m in year.messages if m.is_imported]
    assert imported
    for message in imported:
        since = connected[message.channel_id]
        assert message.occurred_at < since <= message.inserted_at < since + timedelta(hours=1)


def test_some_live_messages_become_known_hours_late(year: World) -> None:
    late = [m for m in year.messages if not m.is_imported]
    assert any(m.inserted_at - m.occurred_at > timedelta(hours=2) for m in late)


def test_some_threads_have_calls_and_no_message(year: World) -> None:
    spoken = {(m.channel_id, m.contact_id) for m in year.messages}
    assert any((t.channel_id, t.contact_id) not in spoken for t in year.threads)


def test_some_customers_never_get_an_answer_and_some_write_many_times(year: World) -> None:
    authors: dict[tuple[str, str], list[str]] = defaultdict(list)
    for message in sorted(year.messages, key=lambda m: m.occurred_at):
        authors[message.channel_id, message.contact_id].append(message.author)
    assert any("human" not in line and "customer" in line for line in authors.values())
    assert any("customer " * 5 in " ".join(line) + " " for line in authors.values())


def test_one_person_can_stand_in_two_address_books_with_the_phone_spelt_twice(year: World) -> None:
    cards: dict[str, list[str]] = defaultdict(list)
    for contact in year.contacts:
        if contact.phone:
            cards[contact.person_id].append(contact.phone)
    twice = [sorted(phones) for phones in cards.values() if len(phones) > 1]
    assert all(len(set(phones)) > 1 for phones in twice)
    assert any(p[0].startswith("+541") and p[1].startswith("+549") for p in twice)


def test_one_address_book_knows_a_person_once(year: World) -> None:
    for book in (["ventas", "mayorista"], ["posventa"]):
        contacts = year.only(channels=book).contacts
        assert len({contact.person_id for contact in contacts}) == len(contacts)
        ids = [contact.bsuid for contact in contacts if contact.bsuid]
        assert len(set(ids)) == len(ids)


def test_phones_are_possible_and_unique_and_some_people_have_none(year: World) -> None:
    phones = [contact.phone for contact in year.contacts if contact.phone]
    assert len(set(phones)) == len(phones)
    argentine = [phone for phone in phones if phone.startswith("+54")]
    assert all(phonenumbers.is_valid_number(phonenumbers.parse(phone)) for phone in argentine)
    assert any(phone.startswith("+521") for phone in phones)
    assert any(phone.startswith("+5511") for phone in phones)
    hidden = [contact for contact in year.contacts if contact.phone is None]
    assert hidden
    assert all(contact.bsuid and contact.username for contact in hidden)


def test_a_part_of_the_world_holds_what_happened_on_its_channels(year: World) -> None:
    part = year.only(channels=["posventa"])
    assert {m.channel_id for m in part.messages} == {"posventa"}
    assert {t.contact_id for t in part.threads} == {c.id for c in part.contacts}
    rest = year.only(channels=["ventas", "mayorista"])
    assert len(part.messages) + len(rest.messages) == len(year.messages)
    shared = {c.id for c in part.contacts} & {c.id for c in rest.contacts}
    assert shared, "some contacts write to channels on both sides"


def test_an_erased_contact_takes_everything_along(year: World) -> None:
    gone = year.messages[0].contact_id
    rest = year.without(contacts=[gone])
    assert gone not in rest.contact_by_id
    left = {m.contact_id for m in rest.messages} | {t.contact_id for t in rest.threads}
    assert gone not in left | {c.contact_id for c in rest.calls}


def test_threads_change_status_over_time(year: World) -> None:
    thread = next(t for t in year.threads if len(t.changes) > 3)
    assert thread.change_at(thread.changes[0].at - timedelta(seconds=1)) is None
    assert thread.change_at(END) is not None
    seen = {change.status for t in year.threads for change in t.changes}
    assert seen == {"open", "pending", "resolved", "closed"}


def test_a_thread_is_in_one_agents_hands_at_a_time(year: World) -> None:
    handed = [list(assignments_of(thread)) for thread in year.threads]
    assert sum(map(len, handed)) > 1_000
    for spells in handed:
        for one, next_ in pairwise(spells):
            assert one.ended_at is not None
            assert one.ended_at <= next_.assigned_at
            assert one.assigned_at <= one.ended_at


def test_a_yes_to_a_call_holds_for_a_week(year: World) -> None:
    answers = list(call_permissions_of(year))
    assert answers
    for answer in answers:
        message = year.message_by_id[answer.message_id]
        assert answer.expires_at - message.occurred_at == timedelta(days=7)


def test_notes_follow_their_contact_and_may_be_corrected(year: World) -> None:
    assert 0.05 < len({n.contact_id for n in year.notes}) / len(year.contacts) < 0.3
    note = next(n for n in year.notes if n.edited_at)
    assert note.edited_at
    assert note.text_at(note.written_at) == note.text
    assert note.text_at(note.edited_at) == note.edited_text
    assert note not in year.without(contacts=[note.contact_id]).notes
    part = year.only(channels=["ventas"])
    assert {n.contact_id for n in part.notes} <= {c.id for c in part.contacts}


def test_somebody_writes_while_the_shops_computer_is_down(year: World) -> None:
    assert len(year.outages) > 10
    for outage in year.outages:
        assert any(outage.covers(m.inserted_at) for m in year.messages if m.direction == "inbound")
