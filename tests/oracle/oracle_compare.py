"""Mart rows against expected rows: every column of every row, and what a failure shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from math import isclose
from typing import Any

from metrics_oracle import Expected
from oracle_identity import Thread

Row = Mapping[str, Any]
Names = Mapping[str, Thread]
"""`thread_key`, whose form is the models' own, → the thread it stands for."""

KEYS: Mapping[str, Sequence[str]] = {
    "fct_messages": ("message_key",),
    "fct_turns": ("thread", "scope", "turn_number"),
    "fct_service_windows": ("thread", "episode_number"),
    "fct_calls": ("call_key",),
    "mart_backlog": ("thread", "scope", "turn_number"),
    "mart_daily_response_times": ("provider", "account", "channel_key", "scope", "day"),
    "fct_template_sends": ("message_key",),
    "fct_assignments": ("assignment_key",),
    "mart_daily_service_windows": ("provider", "account", "channel_key", "day"),
    "mart_daily_messages": (
        *("provider", "account", "channel_key", "day"),
        *("direction", "message_type"),
    ),
    "mart_daily_agents": ("agent_key", "day"),
    "mart_daily_templates": ("provider", "account", "template_key", "day"),
    "mart_daily_calls": ("provider", "account", "channel_key", "day"),
    "mart_hourly_load": ("provider", "account", "channel_key", "weekday", "hour"),
}

NOT_DEFINED: Mapping[str, frozenset[str]] = {
    "fct_messages": frozenset(
        [
            *("text_length", "error_code", "seen_in", "is_clock_skewed"),
            *("pricing_category", "pricing_type"),
        ]
    ),
    "fct_turns": frozenset(["turn_key"]),
    "fct_service_windows": frozenset(["window_key"]),
    "mart_backlog": frozenset(["turn_key"]),
}
"""Columns that are not a metric, or whose content is another test's subject."""


@dataclass(frozen=True)
class Difference:
    """One value that is not what it should be; `column` is `row` when a whole row is."""

    mart: str
    key: tuple[Any, ...]
    column: str
    expected: Any
    actual: Any

    @property
    def thread(self) -> Thread | None:
        """The thread it happened in, if the row is one thread's."""
        return next((part for part in self.key if isinstance(part, Thread)), None)

    def __str__(self) -> str:
        """One line."""
        where = " ".join(str(tuple(p) if isinstance(p, Thread) else p) for p in self.key)
        return f"{self.mart}.{self.column} [{where}]: {self.actual!r}, not {self.expected!r}"


@dataclass(frozen=True)
class Comparison:
    """How many rows and values were compared, and what was wrong."""

    rows: int
    values: int
    differences: Sequence[Difference]


def compare(expected: Expected, marts: Mapping[str, Sequence[Row]]) -> Comparison:
    """Compare every mart of the oracle, column by column."""
    names, differences = thread_names(expected, marts)
    rows = values = 0
    for mart in KEYS:
        wanted = getattr(expected, mart)
        actual = [with_thread(row, names) for row in marts[mart]]
        differences += compare_rows(mart, wanted, actual)
        rows += len(wanted)
        values += sum(len(row) for row in wanted)
    return Comparison(rows, values, differences)


def thread_names(
    expected: Expected, marts: Mapping[str, Sequence[Row]]
) -> tuple[Names, list[Difference]]:
    """Which `thread_key` stands for which thread; one name for two, or two for one, is wrong."""
    named: dict[str, Thread] = {}
    names_of: dict[Thread, str] = {}
    wrong = []
    for mart in ("fct_messages", "fct_calls"):
        key = KEYS[mart][0]
        threads = {row[key]: row["thread"] for row in getattr(expected, mart)}
        for row in marts[mart]:
            thread, name = threads.get(row[key]), row["thread_key"]
            if thread is None:
                continue
            known = (named.setdefault(name, thread), names_of.setdefault(thread, name))
            if known != (thread, name):
                wrong.append(Difference(mart, (row[key],), "thread_key", known, (thread, name)))
    return named, wrong


def with_thread(row: Row, names: Names) -> Row:
    """The row with its thread in place of the name."""
    if "thread_key" not in row:
        return row
    return {**row, "thread": names.get(row["thread_key"], row["thread_key"])}


def compare_rows(mart: str, expected: Sequence[Row], actual: Sequence[Row]) -> list[Difference]:
    """Rows by key: those that are missing, extra or double, then the values of the others."""
    wanted, found = _by_key(mart, expected), _by_key(mart, actual)
    differences = [
        Difference(mart, key, "row", len(wanted.get(key, [])), len(found.get(key, [])))
        for key in {**wanted, **found}
        if len(wanted.get(key, [])) != len(found.get(key, []))
    ]
    for key in (key for key in wanted if key in found):
        differences += _compare_row(mart, key, wanted[key][0], found[key][0])
    return differences


def _by_key(mart: str, rows: Sequence[Row]) -> dict[tuple[Any, ...], list[Row]]:
    found: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        found.setdefault(tuple(row[name] for name in KEYS[mart]), []).append(row)
    return found


def _compare_row(mart: str, key: tuple[Any, ...], wanted: Row, found: Row) -> list[Difference]:
    missing = object()
    return [
        Difference(mart, key, column, value, found.get(column, missing))
        for column, value in wanted.items()
        if not equal(value, found.get(column, missing))
    ]


def equal(expected: Any, actual: Any) -> bool:
    """Equal values; numbers may differ by what adding them in another order does."""
    numeric = isinstance(expected, float) and isinstance(actual, (int, float))
    if numeric and not isinstance(actual, bool):
        return isclose(expected, actual, rel_tol=1e-12, abs_tol=1e-6)
    return type(expected) is type(actual) and bool(expected == actual)


def doubled_keys(marts: Mapping[str, Sequence[Row]]) -> list[str]:
    """Keys of the models' own form that are null or stand for two rows."""
    names = {"fct_turns": "turn_key", "fct_service_windows": "window_key"}
    counts = {mart: Counter(row[name] for row in marts[mart]) for mart, name in names.items()}
    return [
        f"{mart}.{names[mart]}: {key} ({count} rows)"
        for mart, found in counts.items()
        for key, count in found.items()
        if count > 1 or key is None
    ]


def columns_without_oracle(mart: str, expected: Sequence[Row], columns: Iterable[str]) -> set[str]:
    """Columns of a mart that are neither compared nor left out on purpose."""
    compared = set().union(*(row.keys() for row in expected))
    return set(columns) - compared - NOT_DEFINED.get(mart, frozenset()) - {"thread_key"}


def marts() -> list[str]:
    """The marts that the oracle computes."""
    return [found.name for found in fields(Expected)]


def story(comparison: Comparison, expected: Expected, limit: int = 5) -> str:
    """How many differences each column has, and the first of some with what happened there."""
    columns = Counter((found.mart, found.column) for found in comparison.differences)
    lines = [f"{number} of {mart}.{column}" for (mart, column), number in columns.most_common()]
    firsts = {(found.mart, found.column): found for found in reversed(comparison.differences)}
    for difference in list(firsts.values())[-limit:]:
        lines += [str(difference), *events(_thread_of(difference, expected), expected)]
    return "\n".join(lines)


def _thread_of(difference: Difference, expected: Expected) -> Thread | None:
    """The thread of a difference; that of a message or a call by its key."""
    owners = {
        row[KEYS[mart][0]]: row["thread"]
        for mart in ("fct_messages", "fct_calls")
        for row in getattr(expected, mart)
    }
    return difference.thread or owners.get(difference.key[0])


def events(thread: Thread | None, expected: Expected) -> list[str]:
    """A thread's messages and calls in the order of time, one line each."""
    rows = [r for r in (*expected.fct_messages, *expected.fct_calls) if r["thread"] == thread]
    timed = sorted(rows, key=lambda row: str(_time(row)))
    return [f"    {_time(row)} {_description(row)}" for row in timed] if thread else []


def _time(row: Row) -> Any:
    return row["occurred_at"] if "occurred_at" in row else row["started_at"]


def _description(row: Row) -> str:
    if "call_key" in row:
        return f"{row['direction']} call, {row['status']} {row['call_key']}"
    flags = [name for name in ("is_request", "is_reply", "opens_window") if row[name]]
    names = ("direction", "message_type", "sender_kind", "status", "message_key")
    return " ".join([*(str(row[name]) for name in names), *flags])
