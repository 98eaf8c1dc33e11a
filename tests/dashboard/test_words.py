"""What a page says of a view in which something is missing, unknown or not counted."""

from __future__ import annotations

from pathlib import Path

import pytest
from dashboard_stage import draw, installation
from test_pages import asked, drawn


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
