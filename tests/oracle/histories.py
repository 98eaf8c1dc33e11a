"""Nasty raw histories: threads as lists of steps, at random or as hypothesis thinks of them.

A thread is a few `Step`s: wait so long, then this happens. Both draw from the same lists.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from history_kinds import KINDS
from history_people import person
from history_rows import AS_OF, TABLES, Rows, digest, row
from history_stage import DAY, Stage, Step, Thread

__all__ = ["AS_OF", "TABLES", "Rows", "Step", "Thread", "play", "random_threads", "thread"]

ACCOUNTS = (
    ("kapso", "default"),
    ("kapso", "tienda"),
    ("waspy", "default"),  # the same name in both rooms, and the same ids in all accounts
    ("waspy", "norte"),
)
CHANNELS = ("100200300", "100200301", "removed", None)
"""The third is on no list of numbers, the last is a row without a channel."""

MINUTE, HOUR = 60, 3600
GAPS = (0, 1, 2, 59, MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 4 * HOUR, 12 * HOUR)
EDGES = (DAY - 1, DAY, DAY + 1, 2 * DAY, 3 * DAY - 1, 3 * DAY, 3 * DAY + 1, 9 * DAY)
STARTS = (-26 * DAY, -24 * DAY + 11, -8 * DAY, -7 * DAY, -3 * DAY, -DAY, -DAY - 1, -HOUR, 0, DAY)
"""Seconds from `AS_OF`: some threads end at its very instant, some begin in the future."""


def random_threads(seed: int, messages: int) -> Iterator[Thread]:
    """Threads until they hold that many steps."""
    rng = random.Random(seed)
    made = number = 0
    while made < messages:
        steps = [_random_step(rng) for _ in range(rng.choice((1, 1, 2, 3, 5, 8, 16, 32, 64)))]
        shift = rng.choice((0, 0, rng.randrange(14 * DAY)))
        yield thread(number, rng.choice(STARTS) - shift, steps)
        made, number = made + len(steps), number + 1


def thread(number: int, start: int, steps: Sequence[Step]) -> Thread:
    """The n-th thread: its number decides account, channel and person, so threads never merge.

    Each person writes to two channels of an account; every account has the same people.
    """
    provider, account = ACCOUNTS[number % len(ACCOUNTS)]
    place = number // len(ACCOUNTS)
    channel = CHANNELS[(0, 1, 0, 1, 2, 0, 1, 3)[place % 8]]
    return Thread(provider, account, channel, person(place // 2), start, steps)


def _random_step(rng: random.Random) -> Step:
    if rng.random() < 0.3:
        return Step(0, rng.choice(tuple(KINDS)))
    gap = rng.choice(EDGES) if rng.random() < 0.12 else rng.choice(GAPS)
    common = ("in_text", "in_text", "in_image", "out_human", "out_bot", "out_api", "out_template")
    return Step(gap, rng.choice(common if rng.random() < 0.5 else tuple(KINDS)))


def play(threads: Sequence[Thread]) -> Rows:
    """The raw rows of all threads, in an order that tells nothing."""
    rows: Rows = {name: [] for name in TABLES}
    counters: dict[str, int] = {}
    for played in threads:
        stage = Stage(played, rows, counters)
        for step in played.steps:
            stage.take(step)
        stage.leave()
    for name in ("raw_kapso.phone_numbers", "raw_waspy.channels"):
        rows[name] = list(_channels(name))
    for name, values in _shelves():
        rows[name].append(row(name, **values))
    for found in rows.values():
        found.sort(key=lambda row: digest(row["account"], row["id"]))
    return rows


def _shelves() -> Iterator[tuple[str, dict[str, Any]]]:
    """Templates of every account, what they were before, and Kapso's broadcasts."""
    categories = {"promo": "MARKETING", "notice": "utility", "code": "AUTHENTICATION"}
    turned = (AS_OF - timedelta(days=6)).isoformat()
    for provider, account in ACCOUNTS:
        for number, (name, category) in enumerate(categories.items()):
            for language in ("es", "en"):
                identity = f"{number}{language == 'en':d}"
                values = {"account": account, "name": name, "language": language}
                yield f"raw_{provider}.templates", values | {"id": identity, "category": category}
                seen = values | {"template_id": identity, "category": category}
                if account == "default":
                    since = "2026-03-01T00:00:00+00:00"
                    yield (
                        f"raw_{provider}.template_states",
                        seen | {"id": f"{identity}|1", "observed_from": since},
                    )
                    yield (
                        f"raw_{provider}.template_states",
                        seen
                        | {"id": f"{identity}|2", "observed_from": turned, "category": "utility"},
                    )
        if provider == "kapso":
            for number in range(2):
                yield (
                    "raw_kapso.broadcasts",
                    {
                        "account": account,
                        "id": f"broadcast-{number}",
                        "whatsapp_template": json.dumps({"name": "promo", "language_code": "es"}),
                    },
                )


def _channels(name: str) -> Iterator[dict[str, Any]]:
    for provider, account in ACCOUNTS:
        for channel in CHANNELS[:2]:
            if name.startswith(f"raw_{provider}."):
                yield row(name, account=account, id=channel, phone_number_id=channel)
