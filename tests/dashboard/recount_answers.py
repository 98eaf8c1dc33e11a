"""The numbers of the pages about answers: now, response, windows, team."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime

from dashboard_stage import NOW
from recount import (
    FIRST,
    LAST,
    Expected,
    Marts,
    Row,
    Says,
    bucket,
    by_day,
    days,
    percentile,
    said,
    seconds,
    turns_of,
    waiting_of,
)


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
    oldest = says.long(max(r["waiting_seconds"] for r in expired))
    late = sum(r["sla_status"] == "breached" for r in opened)
    first = sorted(opened, key=lambda r: (r not in risk, r["window_seconds_left"]))
    rest = sorted(expired, key=lambda r: (r["waiting_seconds"], r["turn_key"]))
    rest.sort(key=lambda r: r["window_closes_at"], reverse=True)
    newest: dict[tuple[str, str], datetime] = {}
    for row in marts["fct_messages"]:
        key = row["provider"], row["account"]
        newest[key] = max(newest.get(key, row["occurred_at"]), row["occurred_at"])
    synced = {
        (r["provider"], r["account"]): r["last_synced_at"]
        for r in marts["mart_sync_health"]
        if r["resource"] == "messages"
    }
    return {
        "lead": said(p50, says.n(len(opened)), says.n(len(risk)), "2"),
        "more": said(says.n(len(expired)), says.at(NOW)),
        "tile waiting_open": said(says.n(len(opened)), longest),
        "tile at_risk": said(says.n(len(risk))),
        "tile breached_open": said(says.n(late)),
        "tile waiting_expired": said(says.n(len(expired)), oldest),
        "tile median_period": said(p50, says.n(len(taken)), says.n(still)),
        "n": said(says.n(len(waiting)), says.n(len(waiting))),
        "legend": said(says.n(min(len(waiting), 15)), says.n(len(waiting))),
        "table 0": said(
            *(
                text
                for r in [*first, *rest][:15]
                for text in (
                    says.at(r["started_at"]),
                    says.long(r["waiting_seconds"]),
                    says.left(r["window_seconds_left"] or None),
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


def windows_page(marts: Marts, says: Says) -> Expected:
    windows = marts.of_view("fct_service_windows", "opened_at")
    answered = [r for r in windows if r["is_answered"]]
    expired = [r for r in windows if r["is_expired_unanswered"]]
    still = len(windows) - len(answered) - len(expired)
    reopened = [r for r in windows if r["is_reopened_by_template"]]
    left = [r["seconds_left_at_first_response"] for r in windows]
    whole = says.n(len(windows))
    p50, p10 = says.left(percentile(left, 0.5)), says.left(percentile(left, 0.1))
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
                    says.left(percentile((r["seconds_left_at_first_response"] for r in rows), 0.5)),
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
    wrote_only = sorted(
        (key for key, written in messages.items() if written and key not in agents),
        key=lambda key: (-messages[key], key),
    )
    ranked += [(key, []) for key in wrote_only]
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
            says.n(sum(messages[key] for key, _ in ranked)),
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
