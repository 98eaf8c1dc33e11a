"""A provider's bad days, and one room's yard to meet them in."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fault_bench import ENDS_AT, KEY, Difference, account, small_world, warehouse

from pipelines.loading.sync import Order, Report, sync_account
from pipelines.provider import Provider
from pipelines.providers import find
from pipelines.providers.kapso.per_number import FROM_LEGACY
from pipelines.simulation import (
    Change,
    Clock,
    Fault,
    broken,
    cut_off,
    empty,
    expired_cursor,
    html,
    instead,
    repeated_cursor,
    serve,
    too_many,
    truncated,
    with_rows,
)
from pipelines.world import World

logging.getLogger("uvicorn").setLevel(logging.CRITICAL)  # a cut connection is meant


@dataclass(frozen=True)
class Kind:
    """A fault: what happens, how often in a row, and whether the run it meets ends well."""

    change: Change
    times: int | None = 1
    passes: bool = True


KINDS: dict[str, Kind] = {
    "429 with seconds": Kind(too_many(retry_after=0), times=3),
    "429 with a date": Kind(too_many(retry_after="Wed, 21 Oct 2015 07:28:00 GMT")),
    "503 with nonsense to wait for": Kind(
        lambda asked, answer: replace(broken(503)(asked, answer), headers={"Retry-After": "soon"})
    ),
    "a burst of five 500": Kind(broken(500), times=5),
    "a burst of five 504": Kind(broken(504), times=5),
    "502 for ever": Kind(broken(502), times=None, passes=False),
    "half of the body": Kind(truncated),
    "half of the body for ever": Kind(truncated, times=None, passes=False),
    "a reset in the middle": Kind(cut_off, times=2),
    "a web page with 200": Kind(html(200), times=2),
    "nothing with 200": Kind(empty, times=2),
    "{} for ever": Kind(instead({}), times=None, passes=False),
    "null": Kind(instead(None), times=2),
    "an error with 200 for ever": Kind(instead({"error": "oops"}), times=None, passes=False),
    "a cursor that expired": Kind(expired_cursor),
    "cursors that always expire": Kind(expired_cursor, times=None, passes=False),
    "a cursor that repeats": Kind(repeated_cursor, times=None, passes=False),
    "403": Kind(broken(403), times=None, passes=False),
    "404": Kind(broken(404), times=None, passes=False),
    "a key that is revoked": Kind(broken(401), times=None, passes=False),
    "a row that is not JSON": Kind(with_rows(b'{"id":NaN}'), times=3),
}


@dataclass
class Yard:
    """One room of a warehouse that is two days behind, and its simulator."""

    room: Provider
    world: World
    folder: Path
    clock: Clock

    def sync(self, faults: Any = ()) -> tuple[Report, Any]:
        app = self.room.simulate(self.world, api_key=KEY, clock=self.clock, faults=faults)
        place = warehouse(self.folder)
        with serve(app) as url, place.lock():
            place.ensure_raw_tables(find())
            order = Order(resources=frozenset(self.room.resources), now=ENDS_AT)
            return sync_account(place, self.room, account(self.room.name, url), order), app

    def compared_with(self, expected: Any, *, but: str = "rejected") -> Difference:
        mine = {
            name: rows
            for name, rows in expected.items()
            if name.startswith(self.room.schema) and not name.endswith(but)
        }
        return Difference.between(self.folder, mine)


def meet(folder: Path, room_name: str, kind_name: str, path: str) -> int:
    """A run that meets the fault and, unless that was whole, one that does not. In the
    forked process."""
    kind = KINDS[kind_name]
    room = next(room for room in find() if room.name == room_name)
    yard = Yard(room, small_world(), folder, Clock(now=ENDS_AT))
    report, _ = yard.sync([Fault(kind.change, path=f"/{path}", request=1, times=kind.times)])
    if not report.is_ok or _read_instead(report):
        assert not kind.passes or kind.change is expired_cursor, str(report)
        report, _ = yard.sync()
    assert report.is_ok, (path, report)
    return 0


def _read_instead(report: Report) -> bool:
    """Whether an older list stood in for the refused one: its rows say less, until the next run."""
    return any(outcome.note == FROM_LEGACY for outcome in report.outcomes.values())


if os.environ.get("FAULTS_WARM"):  # in the server of forks: made once for all of them
    small_world()
