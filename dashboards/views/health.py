"""Data health: how fresh and how complete the numbers are, and what they were checked against."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import streamlit as st

from dashboards import formats, parts
from dashboards.last_build import LastBuild, last_build
from dashboards.parts import Tile
from dashboards.reading import QueryFailed, Row
from dashboards.sheet import Sheet

SAME = (
    ("messages", "synced_messages", "messages"),
    ("requests_any", "requests", "requests_any"),
    ("requests_human", "requests", "requests_human"),
    ("turns_by_day", "turns", "turns_by_day"),
)
KNOWN = (
    "clock_skewed",
    "window_violations",
    "window_mismatches",
    "windows_drifting",
    "imported",
    "without_channel",
)


def show(sheet: Sheet) -> None:
    resources = sheet.rows("health_resources")
    checks = sheet.row("health_checks")
    build = last_build(sheet.site.data_path)
    incomplete = [r for r in resources if r["is_complete"] is False or r["last_error"]]
    differing = [name for left, right, name in SAME if checks[left] != checks[right]]
    quarantined = _quarantined(sheet)
    broken = [f for f in build.failures if f.status in ("fail", "error")] if build else []
    _lead(sheet, len(incomplete) + len(differing) + len(quarantined or ()) + len(broken))
    parts.tiles(
        sheet,
        [
            Tile("published", _age(sheet), sheet.moment(sheet.version.published_at)),
            Tile("as_of", formats.clock(sheet.as_of, sheet.zone), sheet.day(_local_day(sheet))),
            Tile(
                "incomplete",
                sheet.number(len(incomplete)),
                sheet.t("of_resources", count=len(resources), whole=sheet.number(len(resources))),
                tone="bad" if incomplete else "",
            ),
            Tile(
                "quarantine",
                formats.NOTHING
                if quarantined is None
                else sheet.number(sum(r["rows"] for r in quarantined)),
                tone="warn" if quarantined else "",
            ),
            Tile("tests", _tests(sheet, build), _tests_note(sheet, build)),
        ],
    )
    left, right = st.columns([3, 2])
    with left:
        _resources(sheet, resources)
    with right:
        _reconciled(sheet, checks)
        _known(sheet, checks)
        _seen_in(sheet)
        _quarantine(sheet)
        _failures(sheet, build)


def _lead(sheet: Sheet, count: int) -> None:
    sentence = sheet.t("health.good") if not count else sheet.t("health.bad", count=count, n=count)
    parts.lead(sentence, sheet.t("health.more", at=sheet.moment(sheet.as_of)))


def _local_day(sheet: Sheet) -> date:
    return sheet.as_of.astimezone(ZoneInfo(sheet.zone)).date()


def _age(sheet: Sheet) -> str:
    return formats.duration((datetime.now(UTC) - sheet.version.published_at).total_seconds())


def _resources(sheet: Sheet, rows: list[Row]) -> None:
    with parts.card(sheet, "health_resources", csv="health_resources"):
        parts.table(
            {
                "account": sheet.t("column.account"),
                "resource": sheet.t("column.resource"),
                "rows#": sheet.t("column.rows"),
                "synced": sheet.t("column.last_synced"),
                "state": sheet.t("column.state"),
            },
            [
                {
                    "account": f"{row['provider']} · {row['account']}",
                    "resource": sheet.word("resource", row["resource"]),
                    "rows": sheet.number(row["rows"]),
                    "synced": sheet.moment(row["last_synced_at"]),
                    "state": _state(sheet, row),
                }
                for row in rows
            ],
            empty=sheet.t("nothing"),
        )


def _state(sheet: Sheet, row: Row) -> str:
    if row["last_error"]:
        return parts.badge(str(row["last_error"])[:120], "bad")
    if row["is_complete"] is None:  # webhooks are no list that could be read to its end
        return formats.NOTHING
    if not row["is_complete"]:
        return parts.badge(sheet.t("health.incomplete"), "bad")
    return parts.badge(sheet.t("health.complete"), "good")


def _reconciled(sheet: Sheet, checks: Row) -> None:
    with parts.card(sheet, "health_checks"):
        parts.table(
            {
                "what": sheet.t("column.check"),
                "left#": sheet.t("column.found"),
                "right#": sheet.t("column.expected"),
                "state": sheet.t("column.state"),
            },
            [
                {
                    "what": sheet.t(f"health.same_{name}"),
                    "left": sheet.number(checks[left]),
                    "right": sheet.number(checks[right]),
                    "state": parts.badge(
                        *(
                            (sheet.t("health.agrees"), "good")
                            if checks[left] == checks[right]
                            else (sheet.t("health.differs"), "bad")
                        )
                    ),
                }
                for left, right, name in SAME
            ],
            empty="",
        )


def _known(sheet: Sheet, checks: Row) -> None:
    with parts.card(sheet, "health_known"):
        parts.table(
            {"what": sheet.t("column.check"), "count#": sheet.t("column.rows")},
            [
                {"what": sheet.t(f"health.{name}"), "count": _count(sheet, checks, name)}
                for name in KNOWN
            ],
            empty="",
        )


def _count(sheet: Sheet, checks: Row, name: str) -> str:
    found = sheet.number(checks[name])
    if name != "windows_drifting":
        return found
    # None of none that could be compared is no good news.
    return sheet.t("health.of_compared", n=found, whole=sheet.number(checks["windows_compared"]))


def _seen_in(sheet: Sheet) -> None:
    with parts.card(sheet, "health_seen_in"):
        parts.table(
            {
                "account": sheet.t("column.account"),
                "seen": sheet.t("column.seen_in"),
                "messages#": sheet.t("column.messages"),
            },
            [
                {
                    "account": f"{row['provider']} · {row['account']}",
                    "seen": sheet.t(f"health.seen_{row['seen_in']}"),
                    "messages": sheet.number(row["messages"]),
                }
                for row in sheet.rows("health_seen_in")
            ],
            empty=sheet.t("nothing"),
        )


def _quarantined(sheet: Sheet) -> list[Row] | None:
    try:
        return sheet.rows("health_quarantine")
    except QueryFailed:
        return None


def _quarantine(sheet: Sheet) -> None:
    with parts.card(sheet, "health_quarantine"):
        rows = sheet.rows("health_quarantine")
        parts.table(
            {
                "account": sheet.t("column.account"),
                "resource": sheet.t("column.resource"),
                "reason": sheet.t("column.reason"),
                "rows#": sheet.t("column.rows"),
                "last": sheet.t("column.last_time"),
            },
            [
                {
                    "account": f"{row['provider']} · {row['account']}",
                    "resource": sheet.word("resource", row["resource"]),
                    "reason": row["reason"],
                    "rows": sheet.number(row["rows"]),
                    "last": sheet.moment(row["last_rejected_at"]),
                }
                for row in rows
            ],
            empty=sheet.t("health.no_quarantine"),
        )


def _tests(sheet: Sheet, build: LastBuild | None) -> str:
    if build is None:
        return formats.NOTHING
    return f"{sheet.number(build.passed)} / {sheet.number(build.tests)}"


def _tests_note(sheet: Sheet, build: LastBuild | None) -> str:
    return sheet.moment(build.ended_at) if build else sheet.t("health.no_build")


def _failures(sheet: Sheet, build: LastBuild | None) -> None:
    if build is None or not build.failures:
        return
    with parts.card(sheet, "health_tests"):
        parts.table(
            {
                "test": sheet.t("column.test"),
                "state": sheet.t("column.state"),
                "rows#": sheet.t("column.rows"),
            },
            [
                {
                    "test": failure.name,
                    "state": parts.badge(
                        sheet.t(f"health.test_{failure.status}"),
                        "quiet" if failure.status == "warn" else "bad",
                    ),
                    "rows": sheet.number(failure.rows),
                }
                for failure in build.failures
            ],
            empty="",
        )
