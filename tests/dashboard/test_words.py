"""What a page says of a view in which something is missing, unknown or not counted."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from dashboard_stage import SCRIPT, draw, installation
from recount import LAST, Marts
from streamlit.testing.v1 import AppTest
from test_pages import asked, drawn
from test_states import values

from dashboards import frame, state
from dashboards.reading import Reader
from pipelines.warehouse import at


def test_messages_and_assignments_are_of_the_agents_that_were_chosen(shop: Path) -> None:
    assigned = asked(shop, "select min(agent_key) from marts.fct_assignments")
    agents = ["kapso:demo:unattributed", assigned]
    shown = draw(installation(shop), "team", lang="en", agent=agents)
    row, total = shown.tables[0][1:]
    assert row[-1] == total[-1] != "0"
    [one] = shown.tables[1][1:]
    assert one[0].removeprefix("agent ") in assigned


def test_people_that_the_chosen_agents_are_not_known_for_are_not_denied(
    shop: Path, tmp_path: Path
) -> None:
    nobody = "waspy:demo:unattributed"
    told = f"update marts.fct_turns set responder_kind = 'unknown' where agent_key = '{nobody}'"
    shown = drawn(shop, tmp_path, "team", told, agent=nobody)
    assert shown.text("dc-lead").startswith("In this period the provider attributes no answer")


def test_the_share_of_people_is_a_lower_bound_where_authors_are_unknown(
    shop: Path, tmp_path: Path
) -> None:
    assert "People give at least" in draw(installation(shop), "team", lang="en").text("dc-lead")
    known = "update marts.fct_turns set responder_kind = 'bot' where responder_kind = 'unknown'"
    unsaid = "update marts.fct_turns set responder_kind = 'bot' where responder_kind is null"
    shown = drawn(shop, tmp_path, "team", known, unsaid)
    assert "at least" not in shown.text("dc-lead")


VIEW = {"clock": "business", "turns": "first", "from_": "2026-11-01", "to": "2026-11-10"}


def test_now_says_which_filters_only_its_median_follows(shop: Path) -> None:
    line = draw(installation(shop), "now", lang="en", scope="human", **VIEW).text("dc-view")
    counted, apart = line.split("in the median only: ")
    assert counted.startswith("People")
    assert apart == "1 Nov 2026 – 10 Nov 2026, Opening hours, First response"


def test_a_conversation_says_which_filters_it_does_not_follow(shop: Path) -> None:
    place = installation(shop)
    shown = draw(place, "conversation", lang="en", **VIEW)
    assert shown.text("dc-view").endswith("not counted here: Opening hours")
    link = shown.html.split("thread=", 1)[1].split("&amp;", 1)[0]
    of_thread = draw(place, "conversation", lang="en", thread=link, **VIEW).text("dc-view")
    assert of_thread.startswith("Anybody")
    assert of_thread.endswith(": 1 Nov 2026 – 10 Nov 2026, Opening hours, First response")
    assert "not counted" not in draw(place, "conversation", lang="en").text("dc-view")


def test_a_period_before_the_data_is_not_compared(shop: Path) -> None:
    ends = {
        "2026-11-01": "before 0",
        "2026-10-14": "before: incomplete data",  # and six days before the data begin on the 11th
        "2026-10-10": "before: no data",
    }
    for start, told in ends.items():
        query = {"from_": start, "to": "2026-11-01", "compare": "1"}
        note = draw(installation(shop), "delivery", lang="en", **query).tiles["failed"][1]
        assert told in note, start


@pytest.mark.parametrize("page", ["now", "response", "windows", "calls", "conversation"])
def test_a_channel_without_a_name_is_called_by_its_id(
    page: str, shop: Path, tmp_path: Path
) -> None:
    shown = drawn(shop, tmp_path, page, "update marts.dim_channels set name = null")
    ids = asked(shop, "select string_agg(channel_id) from marts.dim_channels").split(",")
    at = 0 if page == "windows" else 1
    assert {row[at] for row in shown.tables[0][1:]} <= set(ids)
    assert len(shown.tables[0]) > 1
    if page == "windows":
        assert {row[1] for row in shown.tables[1][1:]} <= set(ids)


NOBODY_ANSWERED = (
    "update marts.fct_turns set outcome = 'waiting', response_seconds = null, responded_at = null",
    "update marts.fct_service_windows set is_answered = false, is_expired_unanswered = false, "
    "seconds_left_at_first_response = null",
    "update marts.fct_calls set direction = 'outbound', callback_seconds = null",
    "update marts.fct_messages set status = 'sent'",
)


@pytest.mark.parametrize("language", ["es", "en"])
def test_no_sentence_stands_around_nothing(language: str, shop: Path, tmp_path: Path) -> None:
    drawn(shop, tmp_path, "health", *NOBODY_ANSWERED)
    for page in ("now", "response", "windows", "delivery", "calls"):
        shown = draw(installation(tmp_path), page, lang=language)
        assert "–" not in shown.text("dc-lead") + shown.text("dc-more"), page
    unmeasured = {"es": "Todavía no hay respuestas medidas", "en": "No measured answers"}
    for page in ("now", "response"):
        lead = draw(installation(tmp_path), page, lang=language).text("dc-lead")
        assert lead.startswith(unmeasured[language])


def test_pages_without_turns_say_that_filters_of_turns_do_not_count(shop: Path) -> None:
    place = installation(shop)
    for page in ("windows", "delivery", "calls", "contacts"):
        shown = draw(place, page, lang="en", scope="human", clock="business")
        assert shown.text("dc-view").endswith("not counted here: People, Opening hours")
        assert "not counted" not in draw(place, page, lang="en").text("dc-view")
    health = draw(place, "health", lang="en", provider="kapso", scope="human").text("dc-view")
    assert re.search("in “How they got here” only: 22 Oct[^,]+20 Nov[^,]+, kapso", health)
    assert health.endswith("not counted here: People")


def test_where_only_people_count_their_share_is_not_told(shop: Path) -> None:
    shown = draw(installation(shop), "team", lang="en", scope="human")
    assert shown.text("dc-lead").startswith("People answered")
    assert "%" not in shown.text("dc-lead")
    assert not shown.tiles.keys() & {"by_people", "by_bot", "by_unknown"}
    assert "by_people" in draw(installation(shop), "team", lang="en").tiles


def test_a_message_without_a_time_does_not_hide_its_conversation(
    shop: Path, tmp_path: Path
) -> None:
    pepper = installation(shop).pepper
    key = asked(shop, "select min(thread_key) from marts.fct_messages where is_request")
    one = f"select min(message_key) from marts.fct_messages where thread_key = '{key}'"
    changes = (), (f"update marts.fct_messages set occurred_at = null where message_key = ({one})",)
    bubbles = []
    for number, sql in enumerate(changes):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "dashboard.key").write_text(pepper)
        thread = asked(shop, f"select md5('{pepper}{key}')")
        shown = drawn(shop, folder, "conversation", *sql, thread=thread)
        bubbles.append(shown.html.count('class="dc-bubble'))
    assert bubbles[1] == bubbles[0] - 1 > 0


FIRSTS = """
with first as (
    select coalesce(c.person_key, m.contact_key) as person, min(m.occurred_at) as at
    from marts.fct_messages m left join marts.dim_contacts c using (contact_key)
    where m.is_request and m.contact_key is not null group by 1
)
select date_trunc('month', timezone('{zone}', first.at))::date, count(distinct person)
from first
where person in (
    select coalesce(c.person_key, m.contact_key)
    from marts.fct_messages m left join marts.dim_contacts c using (contact_key)
    where m.is_request and m.channel_key = '{channel}'
)
group by 1 order by 1
"""


def test_people_are_of_the_month_of_their_first_message_wherever_it_was(shop: Path) -> None:
    place = installation(shop)
    reader = Reader(place)
    channels = {row["channel_key"] for row in Marts(shop)["fct_turns"]}
    for channel in channels:
        asked_for = values(channels=[channel], to_day=LAST, timezone=place.timezone)
        rows = reader.answer(reader.version(), "contacts_cohorts", asked_for).dicts()
        sizes = [(row["cohort"], row["people"]) for row in rows if row["months_later"] == 0]
        with at(shop / "warehouse.duckdb", shop).reader() as db:
            sql = FIRSTS.format(zone=place.timezone, channel=channel)
            assert sizes == db.execute(sql).fetchall()
        assert all(row["people"] <= dict(sizes)[row["cohort"]] for row in rows)


CHANGES: dict[str, dict[str, str]] = {
    "days": {"from_": "2026-11-01", "to": "2026-11-10"},
    "grain": {"grain": "week"},
    "compare": {"compare": "1"},
    "scope": {"scope": "human"},
    "clock": {"clock": "business"},
    "turns": {"turns": "first"},
    "agent": {"agent": "waspy:demo:unattributed"},
    "provider": {"provider": "waspy"},
    "account": {"account": "waspy:demo"},
}


@pytest.mark.parametrize("page", frame.PAGES)
def test_a_filter_is_closed_on_the_pages_that_do_not_follow_it(page: str, shop: Path) -> None:
    def shown(**query: str) -> tuple[object, ...]:
        found = draw(installation(shop), page, lang="en", **query)
        tiles = {key: value for key, value in found.tiles.items() if key != "published"}
        return tiles, found.tables, found.charts, found.text("dc-lead")

    # In one view a median may round to the same by either clock.
    views: list[dict[str, str]] = [{}, {"from_": "2026-11-14", "to": "2026-11-15"}]
    before = [shown(**view) for view in views]
    followed = {
        name
        for name, change in CHANGES.items()
        if any(shown(**view | change) != old for view, old in zip(views, before, strict=True))
    }
    state.use(installation(shop))
    app = AppTest.from_string(SCRIPT.format(page=page), default_timeout=60).run()
    style = "".join(e.proto.body for e in app.get("html") if "pointer-events" in e.proto.body)
    closed = set(re.findall(r"[.]st-key-f-(\w+)", style))
    assert closed == CHANGES.keys() - followed
