"""Lists that are cut, months that are not over, and what the page of the data counts as wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from dashboard_stage import SCRIPT, draw, installation
from streamlit.testing.v1 import AppTest
from test_pages import asked, drawn

from dashboards import state
from dashboards.sheet import say

FIRST = "(select min(contact_key) from marts.fct_messages where is_request)"
ONCE_IN_AUGUST = (
    f"update marts.fct_turns set started_at = '2026-08-05 12:00:00+00' where contact_key = {FIRST}",
    "update marts.fct_messages set occurred_at = timestamptz '2026-08-05 12:00:00+00' where "
    f"is_request and contact_key = {FIRST}",
)
AUGUST = "2026-08-01"


@pytest.mark.parametrize(
    ("ends", "labels"),
    [
        ("2026-11-20", ["0", "0", "0+"]),
        ("2026-10-31", ["0", "0"]),
        ("2026-10-30", ["0", "0+"]),
        ("2027-03-31", ["0", "0", "0+"]),  # what has not come is no zero
    ],
)
def test_who_never_came_back_counts_zero_in_every_month_since(
    ends: str, labels: list[str], shop: Path, tmp_path: Path
) -> None:
    shown = drawn(shop, tmp_path, "contacts", *ONCE_IN_AUGUST, from_="2026-10-15", to=ends)
    cells: list[dict[str, Any]] = shown.charts[1]["layer"][0]["data"]["values"]
    august = [row for row in cells if row["cell"].startswith(AUGUST)]
    assert [row["label"] for row in august] == labels
    assert [row["value"] for row in august] == [0] * len(labels)


def test_a_list_of_campaigns_says_of_how_many_it_shows_the_newest(
    shop: Path, tmp_path: Path
) -> None:
    more = "insert into marts.fct_broadcasts select * from marts.fct_broadcasts"
    shown = drawn(shop, tmp_path, "delivery", *[more] * 4)
    found = 16 * asked(
        shop, "select count(*) from marts.fct_broadcasts where started_at >= '2026-10-22'"
    )
    assert shown.text("dc-legend") == f"15 of {found}"


def test_a_list_of_countries_says_of_how_many_it_shows_the_largest(
    shop: Path, tmp_path: Path
) -> None:
    many = "update marts.dim_contacts set country_code = chr(65 + (hash(contact_key) % 20)::int)"
    shown = drawn(shop, tmp_path, "contacts", many)
    assert shown.text("dc-legend") == "12 of 20"
    assert len(shown.tables[0][1:]) == 12


@pytest.mark.parametrize(
    ("chosen", "tile"), [("expired", "waiting_expired"), ("at_risk", "at_risk")]
)
def test_the_count_over_who_waits_is_of_the_state_that_was_chosen(
    chosen: str, tile: str, shop: Path
) -> None:
    expected = draw(installation(shop), "now", lang="en").tiles[tile][0]
    app = AppTest.from_string(SCRIPT.format(page="now"), default_timeout=60)
    app.query_params["lang"] = "en"
    app.session_state["now-state"] = chosen
    state.use(installation(shop))
    app.run()
    html = "".join(e.proto.body for e in app.get("html"))
    assert f'<span class="dc-n">{expected} turn' in html
    assert f" of {expected}</div>" in html


def test_what_was_set_apart_or_failed_is_not_right(shop: Path, tmp_path: Path) -> None:
    apart = (
        "insert into marts.mart_quarantine select 'kapso', 'demo', 'messages', p, 7, now(), now() "
        "from unnest(['no id', 'no time']) as reasons (p)"
    )
    shown = drawn(shop, tmp_path, "health", apart)
    assert shown.text("dc-lead").startswith("2 things are not right")
    (tmp_path / "dbt").mkdir()
    (tmp_path / "dbt" / "tests.json").write_text(
        '{"ended_at": "2026-11-20T21:00:00+00:00", "tests": ['
        '{"name": "a", "status": "fail", "rows": 3}, {"name": "b", "status": "warn", "rows": 3}]}'
    )
    shown = draw(installation(tmp_path), "health", lang="en")
    assert shown.text("dc-lead").startswith("3 things are not right")


def test_the_length_of_a_text_is_in_characters() -> None:
    told = {n: say("es", "conversation.length", count=n, n=n) for n in (1, 10)}
    assert told == {1: " · 1 carácter", 10: " · 10 caracteres"}
