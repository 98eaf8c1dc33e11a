"""Measure how the cost of a sync grows with what is there: `python -m benchmarks.growth`.

A first sync has to read everything. What follows must not: the same hundred news in a warehouse of
twenty thousand messages and of two million should cost about the same.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator

from benchmarks.endless import Shop, served
from benchmarks.report import Figure, Run, tell
from benchmarks.sync import measured
from pipelines.provider import Provider
from pipelines.providers import find

EACH = 10
"""Messages of a conversation."""

SIZES = (20_000, 200_000, 2_000_000)
MOST_MEGABYTES = "<= 300"


def figures(room: Provider, messages: int, latency: float) -> Iterator[Figure]:
    """A first sync and one without news, of so many messages."""
    shop = Shop(messages // EACH, EACH)
    with served(room, shop, latency=latency) as here, tempfile.TemporaryDirectory() as folder:
        for what in ("first sync", "without news"):
            cost = measured("sync", here, folder)
            subject = f"{room.title}, {messages:,} messages, {what}"
            note = f"{cost['requests']:,} requests, {cost['rows']:,} rows, {cost['wall']:.1f} s"
            yield Figure(f"{subject}: CPU", cost["cpu"], "s", note=note)
            yield Figure(f"{subject}: memory at most", cost["mb"], "MB", MOST_MEGABYTES)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", nargs="+", type=int, default=SIZES)
    names = [room.name for room in find()]
    parser.add_argument("--rooms", nargs="+", default=names, choices=names)
    parser.add_argument("--latency", type=float, default=0.02, help="seconds")
    parser.add_argument("--keep", action="store_true", help="put the figures on the page")
    given = parser.parse_args()
    found = []
    for room in find():
        for messages in given.messages if room.name in given.rooms else ():
            for figure in figures(room, messages, given.latency):
                sys.stderr.write(f"{figure.row()}\n")  # the largest take minutes each
                found.append(figure)
    sizes = " ".join(str(messages) for messages in given.messages)
    command = f"python -m benchmarks.growth --messages {sizes} --rooms {' '.join(given.rooms)}"
    command += f" --latency {given.latency:g}"
    note = "Each in a process of its own."
    tell(Run("Growth", command, found, note), is_kept=given.keep)


if __name__ == "__main__":
    main()
