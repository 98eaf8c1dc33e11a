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
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlencode

import aiohttp
import duckdb
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from benchmarks.dashboard import Served, make, served
from benchmarks.report import Figure, Run, tell

PAGES = ("", "response-time", "windows", "team", "delivery", "calls", "contacts", "conversation",
         "health")  # fmt: skip
PERIODS = ("7d", "30d", "30d", "90d", "365d")
SCOPES = ("any", "human")
THINKS = 10.0
"""Seconds between two pages of one viewer, on average."""

LASTS = 60.0
"""Seconds of the second load."""

SMALL = 7_000
"""Messages of a warehouse as large as the demo's."""

LONGEST = 60.0
FAILED = ("stExceptionTitle", "can't be read", "took more than")

ENDLESS = """
alter table marts.fct_calls rename to calls;
create view marts.fct_calls as
select calls.* from marts.calls as calls
where (select count(*) from range(100000000) a, range(100000000) b where a.range % 7 = b.range) > 0
"""


@dataclass(frozen=True)
class Opened:
    """A page that a viewer opened."""

    page: str
    seconds: float
    is_good: bool
    was_stopped: bool


class Viewer:
    """One session: opens pages and waits until each is whole."""

    def __init__(self, connection: aiohttp.ClientWebSocketResponse, luck: random.Random) -> None:
        self._connection, self._luck = connection, luck

    async def any_page(self) -> Opened:
        """Open a page with a view, as it comes."""
        view = {"period": self._luck.choice(PERIODS), "scope": self._luck.choice(SCOPES)}
        return await self.page(self._luck.choice(PAGES), view)

    async def page(self, name: str, view: dict[str, str]) -> Opened:
        """Open a page and read all of it."""
        asked = BackMsg()
        asked.rerun_script.page_name = name
        asked.rerun_script.query_string = urlencode({**view, "lang": "en"})
        begun = time.perf_counter()
        await self._connection.send_bytes(asked.SerializeToString())
        is_good, was_stopped = await asyncio.wait_for(self._read(), LONGEST)
        return Opened(name or "now", time.perf_counter() - begun, is_good, was_stopped)

    async def _read(self) -> tuple[bool, bool]:
        has_lead = was_stopped = False
        while True:
            told = ForwardMsg()
            told.ParseFromString(await self._connection.receive_bytes())
            kind = told.WhichOneof("type")
            if kind == "delta":
                element = told.delta.new_element
                has_lead |= 'data-testid="lead"' in element.html.body
                was_stopped |= "took more than" in element.html.body
                if element.WhichOneof("type") == "exception":
                    return False, was_stopped
            elif kind == "ref_hash":  # it was sent before: a browser has kept it
                has_lead = True
            elif kind == "script_finished":
                status = told.script_finished
                if status != ForwardMsg.FINISHED_EARLY_FOR_RERUN:
                    return has_lead and status == ForwardMsg.FINISHED_SUCCESSFULLY, was_stopped
