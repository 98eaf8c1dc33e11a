"""Every number of every page is computed a second time: in Python, from the rows of the marts.

No query of the dashboard is used here, nor in the recounts. A number that a page shows and they do
not expect fails the test, so that none is left unchecked.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from dashboard_stage import Shown, draw, installation
from recount import Expected, Marts, Row, Says, numbers, percentile, said, seconds, turns_of
from recount_answers import now_page, response_page, team_page, windows_page
from recount_traffic import calls_page, contacts_page, conversation_page, delivery_page, health_page

from dashboards import formats

LANGUAGES = ("es", "en")


@pytest.fixture(scope="session")
def marts(shop: Path) -> Marts:
    return Marts(shop)


PAGES = {
    "now": now_page,
    "response": response_page,
    "windows": windows_page,
    "team": team_page,
    "delivery": delivery_page,
    "calls": calls_page,
    "contacts": contacts_page,
    "conversation": conversation_page,
    "health": health_page,
}

VIEWS: dict[str, tuple[dict[str, Any], Callable[[Row], bool]]] = {
    "people": ({"scope": "human"}, lambda r: r["scope"] == "human"),
    "first responses": (
        {"turns": "first"},
        lambda r: r["scope"] == "any" and r["is_first_response"],
    ),
    "opening hours": ({"clock": "business"}, lambda r: r["scope"] == "any"),
    "one provider": (
        {"provider": "waspy"},
        lambda r: (r["scope"], r["provider"]) == ("any", "waspy"),
    ),
    "an account": (
        {"account": "kapso:demo", "scope": "human"},
        lambda r: (r["scope"], r["provider"], r["account"]) == ("human", "kapso", "demo"),
    ),
    "ten days": (
        {"from_": "2026-11-01", "to": "2026-11-10"},
        lambda r: r["scope"] == "any" and date(2026, 11, 1) <= r["day"] <= date(2026, 11, 10),
    ),
}


@pytest.mark.parametrize("view", VIEWS)
def test_percentiles_are_over_the_turns_of_the_view(view: str, shop: Path, marts: Marts) -> None:
    query, belongs = VIEWS[view]
    shown = draw(installation(shop), "response", lang="en", **query)
    turns = [
        {**row, "day": marts.local(row, "started_at").date()}
        for row in marts.of_view("fct_turns", "started_at")
    ]
    column = "business_response_seconds" if "clock" in query else "response_seconds"
    taken = [r[column] for r in turns if belongs(r) and r[column] is not None]
    assert len(taken) > 50
    for tile, share in (("p50", 0.5), ("p90", 0.9)):
        assert shown.tiles[tile] == [
            formats.duration(percentile(taken, share)),
            f"n = {formats.number(len(taken), 'en')}",
        ]
    assert shown.query["lang"] == ["en"]
    assert {key.rstrip("_"): [value] for key, value in query.items()} | {
        "lang": ["en"]
    } == shown.query


def test_an_agent_and_a_channel_narrow_the_view(shop: Path, marts: Marts) -> None:
    turns = turns_of(marts)
    channel, agent = Counter(
        (r["channel_key"], r["agent_key"]) for r in turns if r["agent_key"]
    ).most_common()[-1][0]
    shown = draw(installation(shop), "response", lang="en", channel=channel, agent=agent)
    found = [r for r in turns if (r["channel_key"], r["agent_key"]) == (channel, agent)]
    assert (
        shown.tiles["answered"] == [str(len(found)), f"of {len(found)} turns"] or len(found) > 999
    )
    assert numbers(shown.tiles["answered"][0]) == [formats.number(len(found), "en")]
    # whoever waits was answered by nobody yet: that is not known of an agent, and no 0
    assert shown.tiles["still_waiting"] == ["–", "closed unanswered: –"]
    for page in ("team", "now"):  # they show it too
        draw(installation(shop), page, lang="en", agent=agent)


def test_waits_among_answers_of_business_hours_are_told_to_be_elapsed(shop: Path) -> None:
    told = "Those that still wait are shown in elapsed time"
    for clock, is_told in (("business", True), ("calendar", False)):
        shown = draw(installation(shop), "response", lang="en", clock=clock)
        assert (told in shown.text("dc-note-box")) == is_told


def test_the_period_before_stands_beside_the_numbers(shop: Path, marts: Marts) -> None:
    query = {"from_": "2026-11-11", "to": "2026-11-20", "compare": "1"}
    shown = draw(installation(shop), "response", lang="en", **query)
    before = [
        r["response_seconds"]
        for r in turns_of(marts)
        if date(2026, 11, 1) <= marts.local(r, "started_at").date() <= date(2026, 11, 10)
    ]
    assert shown.tiles["p50"][1].endswith(f"before {formats.duration(percentile(before, 0.5))}")
    lines = {row["line"] for row in shown.charts[0]["layer"][1]["data"]["values"]}
    assert "Median before" in lines


def test_an_empty_day_is_a_gap_and_not_a_zero(shop: Path, marts: Marts) -> None:
    thread = Counter(r["channel_key"] for r in turns_of(marts)).most_common()[-1][0]
    shown = draw(installation(shop), "response", channel=thread, scope="human", turns="first")
    rows = shown.charts[0]["layer"][1]["data"]["values"]
    gaps = [row for row in rows if row["p50"] is None]
    assert gaps
    assert all(row["seconds"] is None and row["tip1"] == "–" for row in gaps)


AT_LEAST = {
    "now": 150,
    "response": 350,
    "windows": 250,
    "team": 45,
    "delivery": 250,
    "calls": 90,
    "contacts": 75,
    "conversation": 110,
    "health": 110,
}
"""Page → numbers on it that are compared: fewer, and something was not looked at."""

OF_THE_MACHINE = {"tile published", "tile tests"}
"""The clock of this computer, and what dbt told: tested elsewhere."""


def displayed(shown: Shown) -> Expected:
    """Every number of a page, by where it stands."""
    found: Expected = {}
    for kind in ("lead", "more", "n", "legend"):
        if numbers_ := numbers(shown.text(f"dc-{kind}")):
            found[kind] = numbers_
    for key, texts in shown.tiles.items():
        found[f"tile {key}"] = numbers(" ".join(texts))
    for i, table in enumerate(shown.tables):
        # A customer's code is no number of the marts.
        cells = [re.sub(r"^(Contacto|Contact) \w+$", "", cell) for row in table[1:] for cell in row]
        found[f"table {i}"] = said(*cells)
    if "dc-funnel" in shown.html:
        found["funnel"] = said(*re.findall(r'class="val">([^<]*)<', shown.html))
    for i, spec in enumerate(shown.charts):
        found[f"chart {i}"] = plotted(spec)
    return {key: values for key, values in found.items() if values and key not in OF_THE_MACHINE}


def plotted(spec: dict[str, Any]) -> list[str]:
    """The values that a chart draws."""
    found = []
    [layer] = [layer for layer in spec["layer"] if "tooltip" in layer["encoding"]][:1]
    layer = next((la for la in spec["layer"] if la["mark"]["type"] == "line"), layer)
    for row in layer["data"]["values"]:
        if "line" in row:
            found.append(f"{row['bucket']} {seconds(row['seconds'])}")
        elif "low" in row:
            found.append(f"{row['bucket']} {row['high'] - row['low']}")
        elif "cell" in row:
            found.append(f"{row['cell']} {row['value']:.6g}")
        else:
            part = "" if "part" in row else f" {row['label']}"
            found.append(f"{row['bucket']} {row['count']}{part}")
    return found


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("page", PAGES)
def test_every_number_of_a_page_is_that_of_the_marts(
    page: str, language: str, shop: Path, marts: Marts
) -> None:
    shown = displayed(draw(installation(shop), page, lang=language))
    expected = PAGES[page](marts, Says(language))
    assert shown.keys() == {key for key, values in expected.items() if values}
    for place, values in expected.items():
        assert shown.get(place, []) == values, place
    assert sum(len(values) for values in shown.values()) >= AT_LEAST[page]
