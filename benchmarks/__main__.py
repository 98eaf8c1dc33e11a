"""Run every benchmark, one after the other, and write `README.md`: `make bench`.

`--small` runs them on little, to see that they work, and keeps nothing.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

FULL = [
    ["start"],
    ["sync"],
    ["growth"],
    ["build", "545000"],
    ["build", "5450000"],
    ["build", "545000", "--postgres"],
    ["build", "5450000", "--postgres"],
    ["publish"],
    ["receiver"],
    ["serve"],
    ["dashboard"],
    ["viewers"],
]
SMALL = [
    ["start"],
    ["sync", "--conversations", "1000"],
    ["growth", "--messages", "2000", "4000"],
    ["build", "20000"],
    ["build", "20000", "--postgres"],
    ["publish", "--gigabytes", "0.05"],
    ["receiver", "--seconds", "2"],
    ["serve", "--days", "3", "--cycles", "1"],
    ["dashboard", "--messages", "20000"],
    ["viewers", "--viewers", "5", "--messages", "20000"],
]


@contextmanager
def postgres() -> Iterator[str]:
    """An empty database of a server that keeps what it says it kept."""
    from tests.real_postgres import new_server

    server = new_server()
    server.stop("fast")
    server.start("fsync=on", "full_page_writes=on", "autovacuum=on")
    try:
        yield server.database()
    finally:
        server.stop("fast")


def run(name: str, *options: str) -> int:
    """Run one; its exit code. An option `--postgres` that ends a list gets a database."""
    if options[-1:] == ("--postgres",):
        with postgres() as url:
            return run(name, *options, url)
    command = [sys.executable, "-m", f"benchmarks.{name}", *options]
    return subprocess.run(command, check=False).returncode


def main() -> int:
    """One that fails does not stop the others."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true")
    given = parser.parse_args()
    failed = []
    for name, *options in SMALL if given.small else FULL:
        sys.stderr.write(f"{time.strftime('%H:%M:%S')} {name} {' '.join(options)}\n")
        if run(name, *([] if given.small else ["--keep"]), *options):
            failed.append(name)
    for name in failed:
        sys.stderr.write(f"failed: {name}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
