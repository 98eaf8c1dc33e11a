"""Numbers as people write them, and files that spreadsheets take for data."""

from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime
from importlib.resources import files
from string import Formatter
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards import axes, charts, formats, parts
from dashboards.filters import Filters
from dashboards.frame import VARIABLES
from dashboards.sheet import Sheet, word, words
from pipelines.providers import find

DURATIONS = {
    None: "–",
    0: "0 s",
    0.4: "0 s",
    59.4: "59 s",
    59.5: "1 min",
    60: "1 min",
    89.9: "1 min",
    90: "2 min",
    3569: "59 min",
    3570: "1 h 00 min",
    7500: "2 h 05 min",
    86399: "24 h 00 min",
    86400: "24 h 00 min",
    90000: "1 d 01 h",
    2559600: "29 d 15 h",
}


@pytest.mark.parametrize(("seconds", "text"), DURATIONS.items())
def test_a_duration_has_two_units_at_most(seconds: float | None, text: str) -> None:
    assert formats.duration(seconds).replace("\xa0", " ") == text


def test_time_that_is_left_is_not_rounded_up() -> None:
    told = [formats.left(seconds) for seconds in (None, 59, 61, 3599, 86399)]
    assert [text.replace("\xa0", " ") for text in told] == [
        "–", "59 s", "1 min", "59 min", "23 h 59 min",
    ]  # fmt: skip


def test_numbers_follow_the_language() -> None:
    assert formats.number(1234567.891, "es", 2) == "1.234.567,89"
    assert formats.number(1234567.891, "en", 2) == "1,234,567.89"
    assert formats.percent(1, 3, "es").replace("\xa0", " ") == "33,3 %"
    assert formats.percent(1, 3, "en") == "33.3%"
    assert formats.percent(0, 0, "en") == formats.percent(None, 3, "es") == "–"


def test_money_has_cents_where_they_matter() -> None:
    for value, es, en in (
        (12.5, "12,50", "12.50"), (999.994, "999,99", "999.99"), (49965.78, "49.966", "49,966"),
    ):  # fmt: skip
        assert formats.money(value, "es").replace("\xa0", " ") == f"US$ {es}"
        assert formats.money(value, "en").replace("\xa0", " ") == f"US$ {en}"
    assert formats.money(None, "es") == "–"


def test_times_are_the_channels_own() -> None:
    instant = datetime(2026, 11, 21, 2, 5, tzinfo=UTC)
    shown = formats.moment(instant, "America/Argentina/Buenos_Aires", "es")
    assert shown.replace("\xa0", " ") == "20 nov 2026 23:05"
    assert formats.day(date(2026, 1, 2), "en").replace("\xa0", " ") == "2 Jan 2026"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", " =", "  @"])
def test_what_a_spreadsheet_would_run_is_quoted(start: str) -> None:
    assert formats.cell(f"{start}cmd|' /C calc'!A0").startswith("'")


def test_numbers_of_a_file_are_numbers() -> None:
    assert formats.cell(-1.5) == -1.5
    assert formats.cell(None) == ""


@given(
    st.lists(st.lists(st.text() | st.none() | st.floats(allow_nan=False), min_size=2, max_size=2))
)
def test_a_file_is_read_back_as_it_was_written(rows: list[list[Any]]) -> None:
    text = formats.csv(("a", "b"), rows).decode("utf-8-sig")
    found = list(csv.reader(io.StringIO(text, newline="")))
    assert found[0] == ["a", "b"]
    assert found[1:] == [[str(formats.cell(value)) for value in row] for row in rows]


def texts(entry: Any, path: str = "") -> list[tuple[str, dict[str, str]]]:
    if set(entry) == {"es", "en"}:
        return [(path, entry)]
    return [found for key, value in entry.items() for found in texts(value, f"{path}.{key}")]


def test_every_text_is_there_in_both_languages_with_the_same_places() -> None:
    found = texts(words())
    assert len(found) > 250
    for path, entry in found:
        places = [
            {name for _, name, _, _ in Formatter().parse(text) if name} for text in entry.values()
        ]
        assert places[0] == places[1], path
        assert all(text.strip() for text in entry.values()), path
        assert all(text.count("**") % 2 == 0 for text in entry.values()), path


def test_the_providers_words_have_a_translation() -> None:
    with (files("models") / "seeds" / "message_types.csv").open(encoding="utf-8") as seed:
        types = {row["message_type"] for row in csv.DictReader(seed)}
    resources = {name for room in find() for name in room.resources} | {"deliveries"}
    known = words()["word"]
    assert types <= known["message_type"].keys()
    assert resources <= known["resource"].keys()
    assert {"marketing", "utility", "authentication"} <= known["template_category"].keys()


def test_a_word_that_nobody_knows_is_shown_as_it_is() -> None:
    assert word("es", "template_category", "UTILITY") == "utilidad"
    assert word("en", "country", "BR") == "Brazil"
    for name in ("Something new", "<script>", "", "word.country"):
        assert word("es", "broadcast_status", name) == name


def test_counts_on_an_axis_are_whole_and_have_no_foreign_comma() -> None:
    axis = {language: axes.counts_axis(language) for language in ("es", "en")}
    assert axis["es"]["tickMinStep"] == axis["en"]["tickMinStep"] == 1
    assert "replace" in axis["es"]["labelExpr"]
    assert "replace" not in axis["en"]["labelExpr"]


def test_an_axis_of_few_days_names_each_of_them_once() -> None:
    def ticks(last: date) -> object:
        rows = [{"at": "2026-11-14T00:00:00+00:00", "until": f"{last}T00:00:00+00:00"}]
        return axes.days_axis("es", rows)["tickCount"]

    assert ticks(date(2026, 11, 15)) == ticks(date(2026, 11, 22)) == {"interval": "day", "step": 1}
    assert ticks(date(2026, 11, 23)) == axes.TICKS


@pytest.mark.parametrize(
    ("start", "end", "with_year"),
    [
        (date(2026, 1, 1), date(2026, 11, 20), False),
        (date(2025, 12, 31), date(2026, 11, 20), True),
        (date(2025, 11, 1), date(2025, 11, 20), True),
    ],
)
def test_days_of_another_year_are_named_with_it(start: date, end: date, with_year: bool) -> None:
    view = Filters(last=date(2026, 11, 20), period="custom", start=start, end=end, grain="month")
    sheet: Any = SimpleNamespace(filters=view, bucket=str)
    axis = axes.days_axis("es", parts.timeline(sheet, []))
    assert ("utcyear" in axis["labelExpr"]) is with_year


@pytest.mark.parametrize(
    ("grain", "first", "is_cut"),
    [
        ("day", date(2026, 11, 4), False),
        ("week", date(2026, 11, 2), True),
        ("week", date(2026, 11, 9), False),
        ("week", date(2026, 11, 16), True),
        ("month", date(2026, 11, 1), True),
    ],
)
def test_a_week_that_the_view_shows_a_part_of_is_not_named_as_a_whole_one(
    grain: str, first: date, is_cut: bool
) -> None:
    view = Filters(
        last=date(2026, 11, 20),
        period="custom",
        start=date(2026, 11, 4),
        end=date(2026, 11, 20),
        grain=grain,
    )
    none: Any = None
    sheet = Sheet(*[none] * 3, "en", view, *[none] * 3, {}, {}, ())
    assert sheet.bucket(first).endswith(" (incomplete)") is is_cut


def test_bars_have_a_label_each_or_an_axis() -> None:
    def axis(label: str) -> object:
        rows = [{"name": "1–5 min", "bucket": 1, "count": 3, "label": label}]
        spec = charts.bars(charts.PALETTES["light"], "es", rows)
        return spec["layer"][0]["encoding"]["y"]["axis"]

    assert axis("60 %") is None
    assert axis("") is not None


def test_nothing_in_a_heat_map_looks_like_no_value() -> None:
    def light(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    for theme, card in (("light", VARIABLES["card"][0]), ("dark", VARIABLES["card"][1])):
        low, high = sorted((light(charts.PALETTES[theme]["heat"][0]), light(card)))
        assert (high + 0.05) / (low + 0.05) > 1.25, theme


def test_a_heat_map_says_what_its_colours_stand_for() -> None:
    def labels(*seconds: float) -> list[float]:
        rows = [{"x": i, "day": "lun", "value": s, "cell": f"1-{i}"} for i, s in enumerate(seconds)]
        spec = charts.hours(charts.PALETTES["dark"], "es", rows, ["lun"], is_seconds=True)
        found: list[float] = spec["layer"][0]["encoding"]["color"]["legend"]["values"]
        return found

    assert labels(400, 700) == [400, 700]
    assert labels(5, 4000) == [10, 60, 300, 900, 3600]
