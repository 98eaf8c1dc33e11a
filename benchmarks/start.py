"""Measure what a command costs before it does anything: `python -m benchmarks.start`."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from statistics import median

from benchmarks.report import Figure, Run, tell

ROUNDS = 7
COMMANDS = {"doblecheck --help": ["--help"], "doblecheck sync --help": ["sync", "--help"]}


def seconds(arguments: list[str], folder: str) -> float:
    """How long one process takes from its start to its end."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "pipelines.cli", *arguments]
    subprocess.run(command, capture_output=True, check=True, cwd=folder)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true", help="put the figures on the page")
    given = parser.parse_args()
    took: dict[str, list[float]] = {what: [] for what in COMMANDS}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(ROUNDS):
            for what, arguments in COMMANDS.items():
                took[what].append(seconds(arguments, folder))
    figures = [Figure(what, median(found), "s", "<= 0.5") for what, found in took.items()]
    note = f"Medians of {ROUNDS}, in turns; the first imports everything from disk."
    tell(Run("Start", "python -m benchmarks.start", figures, note), is_kept=given.keep)


if __name__ == "__main__":
    main()
