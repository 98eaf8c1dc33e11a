"""The numbers of the pages about messages, calls, contacts, conversations, and the data."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from dashboard_stage import NOW, ZONE
from recount import (
    FIRST,
    LAST,
    Expected,
    Marts,
    Row,
    Says,
    by_day,
    days,
    percentile,
    said,
    turns_of,
)

from dashboards import formats

REACHED = {"delivered": ("delivered", "read", "played"), "read": ("read", "played")}


def delivery_page(marts: Marts, says: Says) -> Expected:
    sent = [
        r
        for r in marts.of_view("fct_messages", "occurred_at", direction="outbound")
        if r["message_type"] not in ("reaction", "edit", "revoke", "system")
    ]
    status = Counter(r["status"] for r in sent)
    delivered, read = (sum(status[s] for s in REACHED[k]) for k in ("delivered", "read"))
    failed = [r for r in sent if r["status"] == "failed"]
    whole = len(sent)

    def took(column: str) -> list[float]:
        return [max((r[column] - r["occurred_at"]).total_seconds(), 0) for r in sent if r[column]]

    arrival, reading = took("delivered_at"), took("read_at")
    costs = [r["estimated_cost_usd"] for r in sent if r["estimated_cost_usd"] is not None]
    codes = Counter(r["error_code"] or "" for r in failed)
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
         if r["started_at"] and FIRST <= r["started_at"].astimezone(ZoneInfo(ZONE)).date() <= LAST),
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
        "tile cost": said(
            says.usd(sum(costs) if costs else None), says.n(sum(cost > 0 for cost in costs))
        ),
        "n": said(says.n(whole), says.n(status["failed"])),
        "legend": said(says.n(min(len(broadcasts), 15)), says.n(len(broadcasts))),
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
    talks = [
        row["duration_seconds"]
        for row in calls
        if row["is_answered"] and row["duration_seconds"] is not None
    ]
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
    newest = LAST.year, LAST.month
    months_later = [
        ((year, month), 12 * (newest[0] - year) + newest[1] - month)
        for year, month in sorted({min(active) for active in months.values()})
    ]
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
        "legend": said(says.n(len(home)), says.n(len(home))),
        "table 0": said(
            *(
                text
                for _, group in sorted(home.items(), key=lambda item: (-len(item[1]), item[0]))
                for text in (says.n(len(group)), says.share(len(group), total))
            )
        ),
        "chart 0": daily,
        "chart 1": [
            f"{month[0]}-{month[1]:02d}-01-{later} "
            f"{100 * cohorts[month, later] / cohorts[month, 0]:.6g}"
            for month, age in months_later
            for later in range(1, age + 1)
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
    drifts = [r["window_drift_seconds"] for r in marts["fct_service_windows"]]
    compared = [abs(drift) for drift in drifts if drift is not None]
    odd = [
        sum(bool(r["is_clock_skewed"]) for r in messages),
        sum(bool(r["is_window_violation"]) for r in messages),
        sum(bool(r["is_window_mismatch"]) for r in messages),
        sum(drift > 60 for drift in compared),
        sum(bool(r["is_imported"]) for r in messages),
        sum(r["channel_key"] is None for r in messages),
    ]
    seen = Counter(
        (r["provider"], r["account"], r["seen_in"])
        for r in marts.of_view("fct_messages", "occurred_at")
    )
    bad = sum(r["is_complete"] is False or bool(r["last_error"]) for r in health)
    of_the_api = sum(r["seen_in"] != "webhook" for r in messages)
    wrong = (
        bad
        + len(marts["mart_quarantine"])
        + sum(
            one != other
            for one, other in (
                (of_the_api, synced),
                (in_turns[0], requests),
                (in_turns[1], requests),
                (sum(r["turns"] for r in days_), len(turns)),
            )
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
        "table 2": said(
            says.n(odd[0]), "131047", says.n(odd[1]), says.n(odd[2]),
            says.n(odd[3]), says.n(len(compared)), says.n(odd[4]), says.n(odd[5]),
        ),
        "table 3": said(*(says.n(seen[key]) for key in sorted(seen))),
    }  # fmt: skip
