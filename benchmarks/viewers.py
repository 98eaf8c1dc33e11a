"""Measure the dashboard with many viewers at once: how long pages take, and that a query which
never ends is stopped and holds up nobody.

    python -m benchmarks.viewers [--viewers 50] [--messages 5000000] [--folder FOLDER]

Each viewer is a session of a real server, over the WebSocket that browsers use, in Streamlit's own
messages; a page is done when the server says that its script ended. What a browser then draws is
measured by `benchmarks.dashboard`, for one. Two loads: all of them open a page at one moment, with
nothing in the server's cache, and then each opens another every ten seconds or so.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from urllib.parse import urlencode

import aiohttp
import duckdb
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from benchmarks.dashboard import Served, make, served
from benchmarks.report import Figure, Run, most_megabytes, tell
from dashboards.reading import SECONDS

PAGES = ("", "response-time", "windows", "team", "delivery", "calls", "contacts", "conversation",
         "health")  # fmt: skip
ENDLESS_PAGE = "calls"
PERIODS = ("7d", "30d", "30d", "90d", "365d")
SCOPES = ("any", "human")
THINKS = 10.0
"""Seconds between two pages of one viewer, on average."""

LASTS = 60.0
"""Seconds of the second load."""

SMALL = 7_000
"""Messages of a warehouse as large as the demo's."""

LONGEST = 60.0
LEAD, STOPPED = 'data-testid="lead"', "took more than"

ENDLESS = """
alter table marts.fct_calls rename to calls;
create view marts.fct_calls as
select calls.* from marts.calls as calls
where (
    select count(*) from range(10000000) a, range(10000000) b
    where md5(a.range || '-' || b.range) = 'none'
) > 0
"""
"""A hundred million million digests: nothing that a fast machine comes to the end of."""


@dataclass(frozen=True)
class Opened:
    """A page that a viewer opened."""

    page: str
    seconds: float
    is_good: bool
    was_stopped: bool


class Viewer:
    """One session: opens pages and waits until each is whole."""

    def __init__(
        self, connection: aiohttp.ClientWebSocketResponse, luck: random.Random, pages: Sequence[str]
    ) -> None:
        self._connection, self._luck, self._pages = connection, luck, pages

    async def any_page(self) -> Opened:
        """Open a page with a view, as it comes."""
        view = {"period": self._luck.choice(PERIODS), "scope": self._luck.choice(SCOPES)}
        return await self.page(self._luck.choice(self._pages), view)

    async def page(self, name: str, view: dict[str, str]) -> Opened:
        """Open a page and read all of it."""
        asked = BackMsg()
        asked.rerun_script.page_name = name
        asked.rerun_script.query_string = urlencode({**view, "lang": "en"})
        begun = time.perf_counter()
        await self._connection.send_bytes(asked.SerializeToString())
        is_good, was_stopped = await asyncio.wait_for(self._read(), LONGEST)
        return Opened(name or "now", time.perf_counter() - begun, is_good, was_stopped)

    async def rest(self, seconds: float) -> None:
        """Look at the page. Who reads nothing answers no ping either, and the server hangs up."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    await self._connection.receive()

    async def _read(self) -> tuple[bool, bool]:
        """Whether the page came whole, and whether it says that a query was stopped."""
        shown, has_failed = "", False
        while True:
            told = ForwardMsg()
            told.ParseFromString(await self._connection.receive_bytes())
            kind = told.WhichOneof("type")
            if kind == "delta":
                element = told.delta.new_element
                shown += element.html.body
                has_failed |= element.WhichOneof("type") == "exception"
            elif kind == "script_finished":
                if told.script_finished == ForwardMsg.FINISHED_EARLY_FOR_RERUN:
                    continue
                is_whole = told.script_finished == ForwardMsg.FINISHED_SUCCESSFULLY
                return is_whole and LEAD in shown and not has_failed, STOPPED in shown


@asynccontextmanager
async def viewers(
    url: str, count: int, pages: Sequence[str] = PAGES
) -> AsyncIterator[list[Viewer]]:
    """So many sessions, connected, who look at these pages."""
    stream = f"{url.replace('http', 'ws', 1)}/_stcore/stream"
    async with aiohttp.ClientSession() as client, AsyncExitStack() as stack:
        found = []
        for i in range(count):
            opening = client.ws_connect(stream, protocols=("streamlit",), max_msg_size=0)
            connection = await stack.enter_async_context(opening)
            found.append(Viewer(connection, random.Random(i), pages))  # noqa: S311 - repeatable
        yield found


async def browses(viewer: Viewer, luck: random.Random, seconds: float) -> list[Opened]:
    """Open a page, read it for a while, open another."""
    until, found = time.perf_counter() + seconds, []
    while True:
        await viewer.rest(luck.expovariate(1 / THINKS))
        if time.perf_counter() > until:
            return found
        found.append(await viewer.any_page())


async def browse(there: Sequence[Viewer], seconds: float) -> list[Opened]:
    """All of them, each at its own pace."""
    lucks = [random.Random(1000 + i) for i in range(len(there))]  # noqa: S311 - repeatable
    found = await asyncio.gather(
        *(browses(viewer, luck, seconds) for viewer, luck in zip(there, lucks, strict=True))
    )
    return [opened for each in found for opened in each]


async def loads(server: Served, count: int) -> tuple[list[Opened], list[Opened], float]:
    """What came of both loads, and the server's CPU seconds per page of the second."""
    async with viewers(server.url, count) as there:
        at_once = list(await asyncio.gather(*(viewer.any_page() for viewer in there)))
        before = cpu_seconds(server.pid)
        paced = await browse(there, LASTS)
        return at_once, paced, (cpu_seconds(server.pid) - before) / max(len(paced), 1)


async def beside_an_endless_query(server: Served, count: int) -> tuple[Opened, list[Opened]]:
    """The page whose query never ends, and those that the others opened meanwhile."""
    pages = [page for page in PAGES if page != ENDLESS_PAGE]
    async with viewers(server.url, count, pages) as there:
        first, *others = there
        await asyncio.gather(*(viewer.any_page() for viewer in others))  # a server that has begun
        endless = asyncio.create_task(first.page(ENDLESS_PAGE, {}))
        around = await browse(others, SECONDS)
        return await endless, around


def cpu_seconds(pid: int) -> float:
    """Of a process, until now."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def p95(opened: Sequence[Opened]) -> float:
    """Of 20 pages one takes longer."""
    return quantiles([page.seconds for page in opened], n=20, method="inclusive")[-1]


def measured(folder: Path, name: str, count: int) -> Iterator[Figure]:
    """Both loads on one warehouse."""
    with served(folder) as server:
        at_once, paced, cpu = asyncio.run(loads(server, count))
        memory = most_megabytes(server.pid)
    failed = sum(not page.is_good for page in [*at_once, *paced])
    slowest = max(paced, key=lambda page: page.seconds)
    half = median(page.seconds for page in at_once)
    yield Figure(f"{name}: all at once, nothing cached, p50", half, "s")
    yield Figure(f"{name}: all at once, nothing cached, p95", p95(at_once), "s")
    half = median(page.seconds for page in paced)
    yield Figure(f"{name}: each at its pace, p50", half, "s", note=f"{len(paced)} pages")
    note = f"slowest: {slowest.page}, {slowest.seconds:.1f} s"
    yield Figure(f"{name}: each at its pace, p95", p95(paced), "s", "<= 2", note)
    yield Figure(f"{name}: CPU of the server per page", cpu, "s")
    yield Figure(f"{name}: pages that failed", failed, "", "<= 0", f"of {len(at_once + paced)}")
    yield Figure(f"{name}: memory of the server at most", memory, "MB", "<= 1024")


def stopped(folder: Path, count: int) -> Iterator[Figure]:
    """A warehouse in which one query never ends."""
    make(folder, SMALL)
    with duckdb.connect(str((folder / "analytics.duckdb").resolve())) as db:
        db.execute(ENDLESS)
    with served(folder) as server:
        endless, others = asyncio.run(beside_an_endless_query(server, count))
        memory = most_megabytes(server.pid)
    told = "the page says so" if endless.was_stopped else "**the page does not say so**"
    yield Figure(
        "a query that never ends: until it is stopped", endless.seconds, "s", "<= 12", told
    )
    yield Figure("pages of the others meanwhile, p95", p95(others), "s", "<= 2",
                 f"{len(others)} pages")  # fmt: skip
    failed = sum(not page.is_good for page in others)
    yield Figure("pages of the others that failed", failed, "", "<= 0")
    yield Figure("memory of the server at most", memory, "MB", "<= 3072")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--viewers", type=int, default=50)
    parser.add_argument("--messages", type=int, default=5_000_000)
    parser.add_argument("--folder", type=Path, help="where the large marts are made, once")
    parser.add_argument("--keep", action="store_true", help="put the figures on the page")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        small, endless = Path(name) / "small", Path(name) / "endless"
        large = (given.folder or Path(name) / "large").absolute()
        make(small, SMALL)
        if not (large / "analytics.duckdb").exists():
            make(large, given.messages)
        found = [
            *measured(small, f"{SMALL:,} messages", given.viewers),
            *measured(large, f"{given.messages:,} messages", given.viewers),
            *stopped(endless, given.viewers),
        ]
    command = f"python -m benchmarks.viewers --viewers {given.viewers} --messages {given.messages}"
    note = (
        f"{given.viewers} sessions of a real server over WebSockets, pages and views at random; a "
        f"page is done when its script has ended. At its pace: {LASTS:.0f} s, each another page "
        f"every {THINKS:.0f} s on average. The load runs on the same cores."
    )
    tell(Run("Dashboard", command, found, note), is_kept=given.keep)


if __name__ == "__main__":
    main()
