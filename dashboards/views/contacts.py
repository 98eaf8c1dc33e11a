"""Contacts: how many people write, new and returning, and how many come back."""

from __future__ import annotations

import streamlit as st

from dashboards import charts, formats, parts
from dashboards.parts import Tile
from dashboards.reading import Row
from dashboards.sheet import Sheet

PARTS = {"returning_people": "blue", "new_people": "orange"}
LISTED = 12


def show(sheet: Sheet) -> None:
    now = sheet.row("contacts_summary")
    before = sheet.row_before("contacts_summary") or {}
    if not now["people"]:
        parts.lead(sheet.t("contacts.nothing"))
        return
    parts.lead(
        sheet.t(
            "contacts.lead",
            count=now["people"],
            n=sheet.number(now["people"]),
            new=sheet.percent(now["new_people"], now["people"]),
        ),
        sheet.t("contacts.more", n=sheet.number(now["requests"])),
    )
    parts.tiles(
        sheet,
        [
            Tile(
                key,
                sheet.number(now[key]),
                sheet.percent(now[key], now["people"]) if key.endswith("_people") else "",
                parts.compared(sheet, now[key], before.get(key)),
            )
            for key in ("people", "new_people", "returning_people", "requests")
        ],
    )
    n = sheet.t("people_n", count=now["people"], n=sheet.number(now["people"]))
    left, right = st.columns([2, 1])
    with left:
        _trend(sheet, n)
    with right:
        _countries(sheet, n)
    _cohorts(sheet)


def _trend(sheet: Sheet, n: str) -> None:
    with parts.card(sheet, "contacts_trend", n=n, csv="contacts_raw"):
        values = [
            charts.tipped(
                parts.chartable([row])[0],
                {
                    sheet.t(f"grain.{sheet.filters.grain}"): row["name"],
                    **{
                        sheet.t(f"tile.{key}.name"): sheet.number(row.get(key))
                        for key in ("people", *PARTS)
                    },
                },
            )
            for row in parts.timeline(sheet, sheet.rows("contacts_trend"))
        ]
        names = {key: (sheet.t(f"tile.{key}.name"), colour) for key, colour in PARTS.items()}
        parts.legend(dict(names.values()), first=sheet.t("bottom_up"))
        spec = charts.stacked(
            parts.palette(), sheet.language, values, names, height=240, is_clickable=False
        )
        parts.draw(spec, "contacts-trend", sheet.t("chart.contacts_trend.name"))


def _countries(sheet: Sheet, n: str) -> None:
    with parts.card(sheet, "contacts_countries", n=n):
        rows = sheet.rows("contacts_countries")
        total = sum(row["people"] for row in rows)
        parts.listed(sheet, len(rows[:LISTED]), len(rows))
        parts.table(
            {
                "country": sheet.t("column.country"),
                "people#": sheet.t("column.people"),
                "share#": sheet.t("column.share"),
            },
            [
                {
                    "country": sheet.word("country", row["country"])
                    if row["country"] != formats.NOTHING
                    else sheet.t("unknown"),
                    "people": sheet.number(row["people"]),
                    "share": sheet.percent(row["people"], total),
                }
                for row in rows[:LISTED]
            ],
            empty=sheet.t("nothing"),
        )


def _cohorts(sheet: Sheet) -> None:
    with parts.card(sheet, "contacts_cohorts", csv="contacts_raw"):
        # A view may end after the data do: months that have not come are no zeros.
        end = min(sheet.filters.days[1], sheet.filters.last)
        rows = sheet.rows("contacts_cohorts", to_day=end)
        sizes = {row["cohort"]: row["people"] for row in rows if row["months_later"] == 0}
        names = {
            row["cohort"]: f"{_month(sheet, row)} ({sheet.t('n', n=sheet.number(row['people']))})"
            for row in rows
            if row["months_later"] == 0
        }
        values = [
            charts.tipped(
                {
                    "x": row["months_later"],
                    "day": names[row["cohort"]],
                    "value": 100 * row["people"] / sizes[row["cohort"]],
                    # short: a year of them stands side by side on a phone
                    "label": sheet.number(100 * row["people"] / sizes[row["cohort"]])
                    + ("" if row["is_over"] else "+"),
                    "cell": f"{row['cohort']}-{row['months_later']}",
                },
                {
                    sheet.t("column.cohort"): _month(sheet, row),
                    sheet.t("column.months_later"): str(row["months_later"]),
                    sheet.t("column.people"): sheet.t(
                        "of",
                        part=sheet.number(row["people"]),
                        whole=sheet.number(sizes[row["cohort"]]),
                    ),
                    sheet.t("column.share"): sheet.percent(row["people"], sizes[row["cohort"]]),
                },
            )
            for row in rows
            if row["months_later"] > 0
        ]
        if not values:
            parts.note(sheet.t("contacts.too_young"))
            return
        # The newest have had no later month yet: a row of theirs would be empty.
        cohorts = list(dict.fromkeys(value["day"] for value in values))
        spec = charts.shares(
            parts.palette(), values, cohorts, x_title=sheet.t("column.months_later")
        )  # fmt: skip
        parts.draw(spec, "contacts-cohorts", sheet.t("chart.contacts_cohorts.name"))


def _month(sheet: Sheet, row: Row) -> str:
    return f"{formats.MONTHS[sheet.language][row['cohort'].month - 1]} {row['cohort'].year}"
