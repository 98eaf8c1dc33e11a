"""Every number of every page is computed a second time: in Python, from the rows of the marts.

No query of the dashboard is used here. A number that a page shows and this file does not expect
fails the test, so that none is left unchecked.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from dashboard_stage import NOW, ZONE, Shown, draw, installation

from dashboards import formats
from pipelines.warehouse import at

FIRST, LAST = date(2026, 10, 22), date(2026, 11, 20)
EDGES = (60, 300, 900, 3600, 14400, 28800, 86400)
LANGUAGES = ("es", "en")
Row = dict[str, Any]


def percentile(values: Iterable[float | None], share: float) -> float | None:
    """Linear interpolation between the two nearest ranks."""
    known = sorted(value for value in values if value is not None)
    if not known:
        return None
    place = (len(known) - 1) * share
    low = int(place)
    high = min(low + 1, len(known) - 1)
    return known[low] + (known[high] - known[low]) * (place - low)


def bucket(seconds: float) -> int:
    return sum(seconds >= edge for edge in EDGES)


class Marts:
    """The rows of the marts, read whole."""

    def __init__(self, folder: Path) -> None:
        self.rows: dict[str, list[Row]] = {}
        with at(folder / "warehouse.duckdb", folder).reader() as db:
            tables = db.execute(
                "select table_name from information_schema.tables where table_schema = 'marts'"
            ).fetchall()
            for (name,) in tables:
                cursor = db.execute(f"select * from marts.{name}")
                columns = [column[0] for column in cursor.description or []]
                self.rows[name] = [
                    dict(zip(columns, row, strict=True)) for row in cursor.fetchall()
                ]
        self.zones = {r["channel_key"]: r["timezone"] for r in self["dim_channels"]}
        self.channels = {r["channel_key"]: r["name"] for r in self["dim_channels"]}

    def __getitem__(self, name: str) -> list[Row]:
        return self.rows[name]

    def local(self, row: Row, column: str) -> datetime:
        zone = self.zones.get(row["channel_key"], ZONE)
        found: datetime = row[column]
        return found.astimezone(ZoneInfo(zone)).replace(tzinfo=None)

    def of_view(self, name: str, column: str, **equal: Any) -> list[Row]:
        """The rows that begin on a local day of the view."""
        return [
            row
            for row in self[name]
            if row[column] is not None
            and FIRST <= self.local(row, column).date() <= LAST
            and all(row[key] == value for key, value in equal.items())
        ]


@pytest.fixture(scope="session")
def marts(shop: Path) -> Marts:
    return Marts(shop)


class Says:
    """How a reader of a language writes numbers."""

    def __init__(self, language: str) -> None:
        self.language = language

    def n(self, value: float | None) -> str:
        return formats.number(value, self.language)

    def share(self, part: float, whole: float) -> str:
        return formats.percent(part, whole, self.language)

    def long(self, seconds: float | None) -> str:
        return formats.duration(seconds)

    def at(self, value: datetime | None) -> str:
        return formats.moment(value, ZONE, self.language)

    def usd(self, value: float | None) -> str:
        return formats.money(value, self.language)


def numbers(text: str) -> list[str]:
    """The numbers of a text, in order, with their signs of thousands and decimals."""
    return re.findall(r"\d[\d.,]*\d|\d", text)


def said(*texts: str) -> list[str]:
    return [number for text in texts for number in numbers(text)]


Expected = dict[str, list[str]]


def waiting_of(marts: Marts) -> list[Row]:
    return [r for r in marts["mart_backlog"] if r["scope"] == "any"]


def turns_of(marts: Marts) -> list[Row]:
    return marts.of_view("fct_turns", "started_at", scope="any")


def now_page(marts: Marts, says: Says) -> Expected:
    waiting = waiting_of(marts)
    opened = [r for r in waiting if (r["window_seconds_left"] or 0) > 0]
    risk = [r for r in opened if r["window_seconds_left"] <= 7200]
    expired = [r for r in waiting if r not in opened]
    week = turns_of(marts)
    taken = [r["response_seconds"] for r in week if r["outcome"] == "answered"]
    still = sum(r["outcome"] == "waiting" for r in week)
    p50 = says.long(percentile(taken, 0.5))
    longest = says.long(max(r["waiting_seconds"] for r in opened))
    oldest = says.long(max(r["waiting_seconds"] for r in waiting))
    late = sum(r["sla_status"] == "breached" for r in opened)
    first = sorted(opened, key=lambda r: (r not in risk, r["window_seconds_left"]))
    rest = sorted(expired, key=lambda r: (r["waiting_seconds"], r["turn_key"]))
    newest: dict[tuple[str, str], datetime] = {}
    for row in marts["fct_messages"]:
        key = row["provider"], row["account"]
        newest[key] = max(newest.get(key, row["occurred_at"]), row["occurred_at"])
    synced = {(r["provider"], r["account"]): r["last_synced_at"] for r in marts["dim_accounts"]}
    return {
        "lead": said(p50, says.n(len(opened)), says.n(len(risk)), "2"),
        "more": said(says.n(len(expired)), says.at(NOW)),
        "tile waiting_open": said(says.n(len(opened)), longest),
        "tile at_risk": said(says.n(len(risk))),
        "tile breached_open": said(says.n(late)),
        "tile waiting_expired": said(says.n(len(expired)), oldest),
        "tile median_period": said(p50, says.n(len(taken)), says.n(still)),
        "n": said(says.n(len(waiting)), says.n(len(waiting))),
        "table 0": said(
            *(
                text
                for r in [*first, *rest][:15]
                for text in (
                    says.at(r["started_at"]),
                    says.long(r["waiting_seconds"]),
                    says.long(r["window_seconds_left"] or None),
                    says.n(r["requests"]),
                    "2" if r in risk else "",
                )
            )
        ),
        "table 1": said(
            *(text for key in sorted(newest) for text in (says.at(newest[key]),
                                                          says.at(synced[key])))
        ),
        "chart 0": [
            f"{place} {len([r for r in rows if bucket(r['waiting_seconds']) == place])}"
            for place in range(8)
            for rows in (expired, [r for r in opened if r not in risk], risk)
        ],
    }  # fmt: skip


def by_day(rows: Iterable[Row], day: Callable[[Row], date]) -> dict[date, list[Row]]:
    found = defaultdict(list)
    for row in rows:
        found[day(row)].append(row)
    return found


def days() -> list[date]:
    return [FIRST + timedelta(days=i) for i in range((LAST - FIRST).days + 1)]


def response_page(marts: Marts, says: Says) -> Expected:
    turns = turns_of(marts)
    taken = [r["response_seconds"] for r in turns if r["response_seconds"] is not None]
    waiting = [r for r in turns if r["outcome"] == "waiting"]
    closed = [r for r in turns if r["outcome"] == "closed_unanswered"]
    judged = Counter(r["sla_status"] for r in turns)
    met, whole = judged["met"], judged["met"] + judged["breached"]
    mature = [r for r in turns if r["is_mature"]]
    in_time = [r for r in turns if r["is_answered_in_window"]]
    p50, p90 = (says.long(percentile(taken, share)) for share in (0.5, 0.9))
    beside = said(says.n(len(taken)), says.n(len(waiting)))
    slowest = sorted(
        turns,
        key=lambda r: (-(r["waiting_seconds"] or r["response_seconds"] or -1), r["turn_key"]),
    )
    grouped = by_day(turns, lambda r: marts.local(r, "started_at").date())
    hours = defaultdict(list)
    for row in turns:
        local = marts.local(row, "started_at")
        hours[local.isoweekday(), local.hour].append(row["response_seconds"])
    counts = Counter(bucket(seconds) for seconds in taken)
    return {
        "lead": said(p50, "9", "10", p90),
        "more": said(says.n(len(taken)), says.n(len(turns)), says.n(len(waiting)),
                     says.n(len(closed))),
        "tile p50": said(p50, says.n(len(taken))),
        "tile p90": said(p90, says.n(len(taken))),
        "tile sla": said(says.share(met, whole), says.n(met), says.n(whole)),
        "tile in_window": said(says.share(len(in_time), len(mature)), says.n(len(in_time)),
                               says.n(len(mature))),
        "tile answered": said(says.n(len(taken)), says.n(len(turns))),
        "tile still_waiting": said(says.n(len(waiting)), says.n(len(closed))),
        "n": beside * 3,
        "legend": ["7", "15", says.n(len(turns))],
        "table 0": said(
            *(
                text
                for r in slowest[:15]
                for text in (
                    says.at(r["started_at"]),
                    says.at(r["responded_at"]),
                    says.long(r["waiting_seconds"] or r["response_seconds"]),
                )
            )
        ),
        "chart 0": [
            f"{day} {seconds(percentile((r['response_seconds'] for r in grouped[day]), share))}"
            for share in (0.5, 0.9)
            for day in days()
        ],
        "chart 1": [
            f"{day} {count}"
            for day in days()
            for count in (
                sum(r["response_seconds"] is not None for r in grouped[day]),
                sum(r["outcome"] == "waiting" for r in grouped[day]),
            )
            if count
        ],
        "chart 2": [f"{place} {counts[place]} {says.share(counts[place], len(taken))}"
                    for place in range(8)],
        "chart 3": [
            f"{weekday}-{hour} {seconds(percentile(hours[weekday, hour], 0.5))}"
            for weekday, hour in sorted(hours)
            if percentile(hours[weekday, hour], 0.5) is not None
        ],
    }  # fmt: skip


def seconds(value: float | None) -> str:
    return "gap" if value is None else f"{max(value, 1):.6g}"


def windows_page(marts: Marts, says: Says) -> Expected:
    windows = marts.of_view("fct_service_windows", "opened_at")
    answered = [r for r in windows if r["is_answered"]]
    expired = [r for r in windows if r["is_expired_unanswered"]]
    still = len(windows) - len(answered) - len(expired)
    reopened = [r for r in windows if r["is_reopened_by_template"]]
    left = [r["seconds_left_at_first_response"] for r in windows]
    whole = says.n(len(windows))
    p50, p10 = says.long(percentile(left, 0.5)), says.long(percentile(left, 0.1))
    by_channel = defaultdict(list)
    for row in windows:
        by_channel[row["channel_key"]].append(row)
    ranked = sorted(
        by_channel.items(),
        key=lambda item: (
            -sum(r["is_expired_unanswered"] for r in item[1]),
            marts.channels[item[0]],
        ),
    )
    ended = sorted(expired, key=lambda r: r["window_key"])
    ended.sort(key=lambda r: r["closes_at"], reverse=True)
    hours = Counter(min(int(s // 3600), 23) for s in left if s is not None)
    grouped = by_day(windows, lambda r: marts.local(r, "opened_at").date())
    return {
        "lead": said(says.share(len(answered), len(windows) - still), says.n(len(expired))),
        "more": said(whole, says.n(still), p50, "24"),
        "tile opened": said(whole, says.n(still)),
        "tile windows_answered": said(says.n(len(answered)),
                                      says.share(len(answered), len(windows))),
        "tile expired_unanswered": said(says.n(len(expired)),
                                        says.share(len(expired), len(windows))),
        "tile left_p50": said(p50, "1", "10", p10),
        "tile reopened": said(says.n(len(reopened)), says.share(len(reopened), len(windows))),
        "n": [whole, says.n(len(answered)), whole],
        "legend": ["15", says.n(len(expired))],
        "table 0": said(
            *(
                text
                for _, rows in ranked
                for text in (
                    says.n(len(rows)),
                    says.n(sum(r["is_answered"] for r in rows)),
                    says.share(sum(r["is_answered"] for r in rows), len(rows)),
                    says.n(sum(r["is_expired_unanswered"] for r in rows)),
                    says.n(sum(r["is_reopened_by_template"] for r in rows)),
                    says.long(percentile((r["seconds_left_at_first_response"] for r in rows), 0.5)),
                )
            )
        ),
        "table 1": said(
            *(
                text
                for r in ended[:15]
                for text in (says.at(r["opened_at"]), says.at(r["closes_at"]),
                             says.n(r["requests"]), says.n(r["calls"]))
            )
        ),
        "chart 0": [
            f"{day} {count}"
            for day in days()
            for count in (
                sum(r["is_answered"] for r in grouped[day]),
                sum(not r["is_answered"] and not r["is_expired_unanswered"] for r in grouped[day]),
                sum(r["is_expired_unanswered"] for r in grouped[day]),
            )
            if count
        ],
        "chart 1": [f"{hour} {hours[hour]} " for hour in range(23, -1, -1)],
    }  # fmt: skip


def team_page(marts: Marts, says: Says) -> Expected:
    turns = turns_of(marts)
    answered = [r for r in turns if r["outcome"] == "answered"]
    waiting = sum(r["outcome"] == "waiting" for r in turns)
    kinds = defaultdict(list)
    agents = defaultdict(list)
    for row in answered:
        kinds[row["responder_kind"] or "unknown"].append(row["response_seconds"])
        agents[row["agent_key"]].append(row)
    messages: Counter[str] = Counter()
    for row in marts["mart_daily_agents"]:
        if FIRST <= row["day"] <= LAST:
            messages[row["agent_key"]] += row["messages"]
    names = {r["agent_key"]: r["name"] for r in marts["dim_agents"]}
    ranked = sorted(agents.items(), key=lambda item: (-len(item[1]), item[0]))
    people = kinds["human"]

    def judged(rows: Sequence[Row]) -> str:
        found = Counter(r["sla_status"] for r in rows)
        return says.share(found["met"], found["met"] + found["breached"])

    def timed(rows: Sequence[Row]) -> list[str]:
        taken = [r["response_seconds"] for r in rows]
        return [says.long(percentile(taken, 0.5)), says.long(percentile(taken, 0.9))]

    assigned = defaultdict(list)
    for row in marts["fct_assignments"]:
        assigned[row["agent_key"]].append(row["is_active"])
    return {
        "lead": said(says.share(len(people), len(answered)), says.long(percentile(people, 0.5))),
        "more": said(says.n(len(answered))),
        "tile by_people": said(says.n(len(people)), says.share(len(people), len(answered))),
        **{
            f"tile by_{kind}": said(says.n(len(kinds[kind])),
                                    says.share(len(kinds[kind]), len(answered)))
            for kind in ("bot", "unknown")
        },
        **{
            f"tile author_coverage{'+' * i}": said(says.share(r["author_coverage"], 1))
            for i, r in enumerate(sorted(marts["dim_accounts"], key=lambda r: r["provider"]))
        },
        "n": said(says.n(len(answered)), says.n(waiting)),
        "table 0": said(
            *(
                text
                for key, rows in ranked
                for text in (
                    "" if names[key] or key.endswith("unattributed") else key.split(":")[2][:8],
                    says.n(len(rows)),
                    says.share(len(rows), len(answered)),
                    *timed(rows),
                    judged(rows),
                    says.n(len({r["thread_key"] for r in rows})),
                    says.n(messages[key]),
                )
            ),
            says.n(len(answered)),
            says.share(1, 1),
            *timed(answered),
            judged(answered),
            says.n(sum(messages.values())),
        ),
        "table 1": said(
            *(
                text
                for key, active in sorted(
                    assigned.items(), key=lambda item: (-sum(item[1]), item[0] or "")
                )
                for text in (
                    "" if names.get(key) else str(key).split(":")[2][:8],
                    says.n(sum(active)),
                    says.n(len(active)),
                )
            )
        ),
    }  # fmt: skip


REACHED = {"delivered": ("delivered", "read", "played"), "read": ("read", "played")}


def delivery_page(marts: Marts, says: Says) -> Expected:
    sent = [
        r
        for r in marts.of_view("fct_messages", "occurred_at", direction="outbound")
        if r["message_type"] != "reaction"
    ]
    status = Counter(r["status"] for r in sent)
    delivered, read = (sum(status[s] for s in REACHED[k]) for k in ("delivered", "read"))
    failed = [r for r in marts.of_view("fct_messages", "occurred_at", direction="outbound")
              if r["status"] == "failed"]  # fmt: skip
    whole = len(sent)

    def took(column: str) -> list[float]:
        return [
            max((r[column] - r["sent_at"]).total_seconds(), 0)
            for r in sent
            if r[column] and r["sent_at"]
        ]

    arrival, reading = took("delivered_at"), took("read_at")
    costs = [r["estimated_cost_usd"] for r in sent if r["estimated_cost_usd"] is not None]
    codes = Counter(r["error_code"] or "unknown" for r in failed)
    sends = marts.of_view("fct_template_sends", "occurred_at")
    steps = [
        len(sends),
        sum(bool(r["is_delivered"]) for r in sends),
        sum(bool(r["is_read"]) for r in sends),
        sum(r["replied_at"] is not None for r in sends),
        sum(bool(r["is_failed"]) for r in sends),
    ]
    templates = {r["template_key"]: r for r in marts["dim_templates"] if r["is_current"]}
    by_template = defaultdict(list)
    for row in sends:
        found = templates.get(row["template_key"])
        by_template[(found["name"], found["language"]) if found else ("unknown", "")].append(row)
    broadcasts = sorted(
        (r for r in marts["fct_broadcasts"]
         if r["started_at"] and FIRST <= r["started_at"].astimezone(UTC).date() <= LAST),
        key=lambda r: (-r["started_at"].timestamp(), r["broadcast_key"]),
    )  # fmt: skip
    means = dict(_errors(says.language))
    grouped = by_day(sent, lambda r: marts.local(r, "occurred_at").date())
    return {
        "lead": said(says.share(delivered, whole), says.share(read, delivered)),
        "more": said(says.n(whole), says.n(status["failed"])),
        "tile outbound": said(says.n(whole), says.n(status["pending"] + status["sent"])),
        "tile delivered": said(says.share(delivered, whole), says.n(delivered), says.n(whole)),
        "tile read": said(says.share(read, delivered), says.n(read), says.n(delivered)),
        "tile failed": said(says.n(status["failed"]), says.share(status["failed"], whole)),
        "tile to_delivery": said(says.long(percentile(arrival, 0.5)), says.n(len(arrival))),
        "tile to_read": said(says.long(percentile(reading, 0.5)), says.n(len(reading))),
        "tile cost": said(says.usd(sum(costs) if costs else None), says.n(len(costs))),
        "n": said(says.n(whole), says.n(status["failed"])),
        "funnel": said(*(t for s in steps for t in (says.n(s), says.share(s, steps[0])))),
        "table 0": said(
            *(
                text
                for code, count in sorted(codes.items(), key=lambda item: (-item[1], item[0]))
                for text in (code, means.get(code, ""), says.n(count),
                             says.share(count, status["failed"]))
            )
        ),
        "table 1": said(
            *(
                text
                for _, rows in sorted(by_template.items(), key=lambda i: (-len(i[1]), *i[0]))
                for text in _template(rows, says)
            )
        ),
        "table 2": said(
            *(
                text
                for r in broadcasts[:15]
                for text in (
                    r["name"] or "",
                    says.at(r["started_at"]),
                    *(says.n(r[k]) for k in ("recipients", "delivered", "read", "responded",
                                             "failed")),
                )
            )
        ),
        "chart 0": [
            f"{day} {count}"
            for day in days()
            for count in _split(Counter(r["status"] for r in grouped[day]))
            if count
        ],
    }  # fmt: skip


def _errors(language: str) -> list[tuple[str, str]]:
    from dashboards.sheet import say

    lines = say(language, "error").strip().splitlines()
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1]) for line in lines]


def _template(rows: Sequence[Row], says: Says) -> list[str]:
    delivered = sum(bool(r["is_delivered"]) for r in rows)
    replies = [
        (r["replied_at"] - r["occurred_at"]).total_seconds() for r in rows if r["replied_at"]
    ]
    costs = [r["estimated_cost_usd"] for r in rows if r["estimated_cost_usd"] is not None]
    return [
        says.n(len(rows)),
        says.share(delivered, len(rows)),
        says.share(sum(bool(r["is_read"]) for r in rows), delivered),
        says.share(len(replies), len(rows)),
        says.long(percentile(replies, 0.5)),
        says.n(sum(bool(r["is_failed"]) for r in rows)),
        says.usd(sum(costs) if costs else None),
    ]


def _split(status: Counter[str]) -> list[int]:
    read = status["read"] + status["played"]
    return [read, status["delivered"], status["pending"] + status["sent"], status["failed"]]


def calls_page(marts: Marts, says: Says) -> Expected:
    calls = marts.of_view("fct_calls", "started_at")
    inbound = [r for r in calls if r["direction"] == "inbound"]
    outbound = [r for r in calls if r["direction"] == "outbound"]
    picked = sum(r["is_answered"] for r in inbound)
    missed = [r for r in calls if r["is_missed"]]
    back = [r["callback_seconds"] for r in calls if r["callback_seconds"] is not None]
    talks = [r["duration_seconds"] for r in calls if r["duration_seconds"] is not None]
    p50 = says.long(percentile(back, 0.5))
    listed = sorted(missed, key=lambda r: r["call_key"])
    listed.sort(key=lambda r: r["started_at"], reverse=True)
    listed.sort(key=lambda r: r["callback_seconds"] is not None)
    grouped = by_day(calls, lambda r: marts.local(r, "started_at").date())
    return {
        "lead": said(says.share(picked, len(inbound))),
        "more": said(says.n(len(missed)), says.n(len(back)), p50),
        "tile calls_inbound": said(says.n(len(inbound)), says.n(len(outbound))),
        "tile calls_answered": said(says.share(picked, len(inbound)), says.n(picked),
                                    says.n(len(inbound))),
        "tile calls_missed": said(says.n(len(missed)), says.n(len(missed) - len(back))),
        "tile callback": said(p50, says.n(len(back))),
        "tile talk": said(says.long(percentile(talks, 0.5)), says.n(len(talks))),
        "n": said(says.n(len(calls))),
        "legend": said(says.n(min(len(missed), 15)), says.n(len(missed))),
        "table 0": said(
            *(
                text
                for r in listed[:15]
                for text in (says.at(r["started_at"]), says.long(r["callback_seconds"]))
            )
        ),
        "chart 0": [
            f"{day} {count}"
            for day in days()
            for count in (
                sum(r["direction"] == "inbound" and r["is_answered"] for r in grouped[day]),
                sum(r["is_missed"] for r in grouped[day]),
                sum(r["direction"] == "outbound" for r in grouped[day]),
            )
            if count
        ],
    }  # fmt: skip


def contacts_page(marts: Marts, says: Says) -> Expected:
    people = {r["contact_key"]: r["person_key"] for r in marts["dim_contacts"]}
    countries = {r["contact_key"]: r["country_code"] for r in marts["dim_contacts"]}
    asked = [r for r in marts["fct_messages"] if r["is_request"] and r["contact_key"]]
    firsts: dict[str, datetime] = {}
    months: dict[str, set[tuple[int, int]]] = defaultdict(set)
    for row in asked:
        person = people[row["contact_key"]]
        firsts[person] = min(firsts.get(person, row["occurred_at"]), row["occurred_at"])
        local = marts.local(row, "occurred_at")
        months[person].add((local.year, local.month))
    shown = [r for r in marts.of_view("fct_messages", "occurred_at", is_request=True)
             if r["contact_key"]]  # fmt: skip
    writers = {people[r["contact_key"]] for r in shown}
    begun = min(r["occurred_at"] for r in shown)
    new = {p for p in writers if firsts[p] >= begun}
    home = defaultdict(set)
    for row in shown:
        home[countries[row["contact_key"]] or "–"].add(people[row["contact_key"]])
    total = sum(len(group) for group in home.values())
    grouped = by_day(shown, lambda r: marts.local(r, "occurred_at").date())
    cohorts = Counter(
        (min(active), 12 * (month[0] - min(active)[0]) + month[1] - min(active)[1])
        for active in months.values()
        for month in active
    )
    daily = []
    for day in days():
        first_of_day: dict[str, datetime] = {}
        for row in grouped[day]:
            person = people[row["contact_key"]]
            first_of_day[person] = min(
                first_of_day.get(person, row["occurred_at"]), row["occurred_at"]
            )
        fresh = sum(at == firsts[person] for person, at in first_of_day.items())
        daily += [f"{day} {count}" for count in (len(first_of_day) - fresh, fresh) if count]
    return {
        "lead": said(says.n(len(writers)), says.share(len(new), len(writers))),
        "more": said(says.n(len(shown))),
        "tile people": said(says.n(len(writers))),
        "tile new_people": said(says.n(len(new)), says.share(len(new), len(writers))),
        "tile returning_people": said(
            says.n(len(writers) - len(new)),
            says.share(len(writers) - len(new), len(writers)),
        ),
        "tile requests": said(says.n(len(shown))),
        "n": [says.n(len(writers))] * 2,
        "table 0": said(
            *(
                text
                for _, group in sorted(home.items(), key=lambda item: (-len(item[1]), item[0]))
                for text in (says.n(len(group)), says.share(len(group), total))
            )
        ),
        "chart 0": daily,
        "chart 1": [
            f"{month[0]}-{month[1]:02d}-01-{later} {100 * n / cohorts[month, 0]:.6g}"
            for (month, later), n in sorted(cohorts.items())
            if later > 0
        ],
    }


def conversation_page(marts: Marts, says: Says) -> Expected:
    threads = defaultdict(list)
    for row in turns_of(marts):
        threads[row["thread_key"]].append(row)
    latest = sorted(
        ((max(r["last_request_at"] for r in rows), key, rows) for key, rows in threads.items()),
        key=lambda item: (-item[0].timestamp(), item[1]),
    )[:25]
    return {
        "table 0": said(
            *(text for at, _, rows in latest for text in (says.at(at), says.n(len(rows))))
        )
    }


def health_page(marts: Marts, says: Says) -> Expected:
    health = sorted(
        marts["mart_sync_health"], key=lambda r: (r["provider"], r["account"], r["resource"])
    )
    messages = marts["fct_messages"]
    requests = sum(bool(r["is_request"]) for r in messages)
    turns = [r for r in marts["fct_turns"] if r["scope"] == "any"]
    days_ = [r for r in marts["mart_daily_response_times"] if r["scope"] == "any"]
    in_turns = [sum(r["requests"] for r in marts["fct_turns"] if r["scope"] == scope)
                for scope in ("any", "human")]  # fmt: skip
    synced = sum(r["rows"] for r in health if r["resource"] == "messages")
    drifts = [r for r in marts["fct_service_windows"] if abs(r["window_drift_seconds"] or 0) > 60]
    odd = [
        sum(bool(r["is_clock_skewed"]) for r in messages),
        sum(bool(r["is_window_violation"]) for r in messages),
        sum(bool(r["is_window_mismatch"]) for r in messages),
        len(drifts),
        sum(bool(r["is_imported"]) for r in messages),
        sum(r["channel_key"] is None for r in messages),
    ]
    seen = Counter(
        (r["provider"], r["account"], r["seen_in"])
        for r in marts.of_view("fct_messages", "occurred_at")
    )
    bad = sum(r["is_complete"] is False or bool(r["last_error"]) for r in health)
    of_the_api = sum(r["seen_in"] != "webhook" for r in messages)
    wrong = bad + sum(
        one != other
        for one, other in (
            (of_the_api, synced),
            (in_turns[0], requests),
            (in_turns[1], requests),
            (sum(r["turns"] for r in days_), len(turns)),
        )
    )
    return {
        "lead": said(says.n(wrong)) if wrong else [],
        "more": said(says.at(NOW)),
        "tile as_of": said(formats.clock(NOW, ZONE), "20", "2026"),
        "tile incomplete": said(says.n(bad), says.n(len(health))),
        "tile quarantine": said(says.n(sum(r["rows"] for r in marts["mart_quarantine"]))),
        "table 0": said(
            *(t for r in health for t in (says.n(r["rows"]), says.at(r["last_synced_at"])))
        ),
        "table 1": said(
            says.n(of_the_api), says.n(synced),
            says.n(in_turns[0]), says.n(requests),
            says.n(in_turns[1]), says.n(requests),
            says.n(sum(r["turns"] for r in days_)), says.n(len(turns)),
        ),
        "table 2": said(*(text for label, n in zip(("", "131047", "", "", "", ""), odd, strict=True)
                          for text in (label, says.n(n)))),
        "table 3": said(*(says.n(seen[key]) for key in sorted(seen))),
    }  # fmt: skip


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
