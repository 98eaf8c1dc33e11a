"""Measure a sync of a large shop against a bare client.

    python -m benchmarks.sync                          20,000 conversations × 10 messages
    python -m benchmarks.sync --conversations 200000   memory at two million messages

The shop is served by a process of its own (`endless.py`), 20 ms after each request and without a
quota, 32 requests at once. Each measurement runs in a new process, whose imports count. The bare
client is plain httpx and orjson: it follows the same lists, decodes the same pages and keeps
nothing. For scale, dlt's own `rest_api` source reads the same lists into a DuckDB file, its lists
side by side, without child tables, merged by id from Parquet: what its settings can do.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from benchmarks.endless import EVERY, KEY, PAGE, Served, Shop, served
from benchmarks.report import Figure, Run, tell

CONCURRENCY = 32
CORE = ("conversations", "messages", "contacts")
PLAIN = "dlt's rest_api"
NEWS = f"news in 1 of {EVERY} conversations"


def syncing(room_name: str, url: str, folder: str) -> dict[str, Any]:
    """One sync of all default resources, as the command does it."""
    from pipelines.loading.sync import Order, sync_account
    from pipelines.providers import find
    from pipelines.settings import Account
    from pipelines.warehouse import at

    room = next(room for room in find() if room.name == room_name)
    account = Account.model_validate(
        {
            "provider": room_name,
            "name": "shop",
            "api_key": KEY,
            "base_url": url,
            "requests_per_minute": 100_000_000,
            "concurrency": CONCURRENCY,
        }
    )
    warehouse = at(Path(folder) / "warehouse.duckdb", Path(folder))
    wanted = frozenset(name for name in room.resources if name not in room.opt_in)
    with warehouse.lock():
        warehouse.ensure_raw_tables([room])
        report = sync_account(warehouse, room, account, Order(resources=wanted))
    if not report.is_ok:
        raise SystemExit(f"the sync failed: {report}")
    return {"requests": report.requests, "rows": report.changed, "resources": len(wanted)}


def bare(room_name: str, url: str, _: str) -> dict[str, Any]:
    """The same lists, fetched and decoded."""
    import httpx
    import orjson

    limits = httpx.Limits(max_connections=CONCURRENCY, max_keepalive_connections=CONCURRENCY)
    seen = {"requests": 0, "rows": 0}

    async def read() -> None:
        async with httpx.AsyncClient(
            base_url=url, limits=limits, trust_env=False, timeout=60
        ) as client:

            async def get(path: str, **params: Any) -> Any:
                body = orjson.loads((await client.get(path, params=params)).content)
                seen["requests"] += 1
                seen["rows"] += len(body["data"])
                return body

            await (_kapso(get) if room_name == "kapso" else _waspy(get))

    asyncio.run(read())
    return seen


Get = Callable[..., Awaitable[Any]]


async def _kapso(get: Get) -> None:
    async def follow(name: str) -> None:
        after: dict[str, str] = {}
        while True:
            body = await get(f"/platform/v1/whatsapp/{name}", limit=PAGE, **after)
            cursor = body["paging"]["cursors"]["after"]
            if not cursor:
                return
            after = {"after": cursor}

    await asyncio.gather(*map(follow, CORE))


async def _waspy(get: Get) -> None:
    ids: list[str] = []
    after: dict[str, str] = {}
    while True:
        body = await get("/api/v2/conversations", limit=PAGE, **after)
        ids += [row["id"] for row in body["data"]]
        if not body["meta"]["hasMore"]:
            break
        after = {"cursor": body["meta"]["cursor"]}
    todo = iter(ids)
    pages = iter(range(1, -(-len(ids) // PAGE) + 1))

    async def work() -> None:
        for identity in todo:
            await get(f"/api/v2/conversations/{identity}/messages", limit=PAGE)
        for page in pages:
            await get("/api/v2/contacts", page=page, pageSize=PAGE)

    await asyncio.gather(*(work() for _ in range(CONCURRENCY)))


def rest_api(room_name: str, url: str, folder: str) -> dict[str, Any]:
    """The same lists, read by dlt's own source."""
    os.environ |= {"RUNTIME__DLTHUB_TELEMETRY": "false", "RUNTIME__LOG_LEVEL": "ERROR"}
    import dlt
    from dlt.sources.rest_api import rest_api_source

    dlt.config["extract.workers"] = CONCURRENCY
    config: Any = _kapso_config() if room_name == "kapso" else _waspy_config()
    config["client"] = {"base_url": url}
    pipeline = dlt.pipeline(
        "plain",
        pipelines_dir=folder,
        destination=dlt.destinations.duckdb(f"{folder}/rest_api.duckdb"),
        dataset_name="plain",
    )
    source = rest_api_source(config, max_table_nesting=0, parallelized=True)
    pipeline.run(source, loader_file_format="parquet")
    counts = pipeline.last_trace.last_normalize_info.row_counts
    return {"requests": 0, "rows": sum(counts.get(name, 0) for name in CORE)}


def _merged(name: str, path: str, **endpoint: Any) -> dict[str, Any]:
    given = {"path": path, "data_selector": "data", "params": {"limit": PAGE}, **endpoint}
    merge = {"disposition": "merge", "strategy": "upsert"}
    return {"name": name, "endpoint": given, "primary_key": "id", "write_disposition": merge}


def _kapso_config() -> dict[str, Any]:
    pages = {"type": "cursor", "cursor_path": "paging.cursors.after", "cursor_param": "after"}
    path = "/platform/v1/whatsapp"
    return {"resources": [_merged(name, f"{path}/{name}", paginator=pages) for name in CORE]}


def _waspy_config() -> dict[str, Any]:
    pages = {
        "type": "cursor",
        "cursor_path": "meta.cursor",
        "cursor_param": "cursor",
        "has_more_path": "meta.hasMore",
    }
    numbers = {"type": "page_number", "base_page": 1, "page_param": "page", "total_path": None}
    path = "/api/v2/conversations"
    each = f"{path}/{{resources.conversations.id}}/messages"
    return {
        "resources": [
            _merged("conversations", path, paginator=pages),
            _merged("messages", each, paginator=pages),
            _merged("contacts", "/api/v2/contacts", paginator=numbers, params={"pageSize": PAGE}),
        ]
    }


WORKS = {"sync": syncing, "bare": bare, "rest_api": rest_api}


def measured(work: str, shop: Served, folder: str) -> dict[str, Any]:
    """What a process of its own says of itself."""
    command = [sys.executable, "-m", "benchmarks.sync", "--do", work]
    command += [shop.room.name, shop.url, folder]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def do(work: str, room: str, url: str, folder: str) -> None:
    """Do it, and print what it cost."""
    began = time.perf_counter()
    found = WORKS[work](room, url, folder)
    wall = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    cost = {"wall": wall, "cpu": time.process_time(), "mb": peak}
    sys.stdout.write(json.dumps(cost | found))


def figures(room: Any, shop: Shop, latency: float) -> list[Figure]:
    """What one room costs."""
    with served(room, shop, latency=latency) as here, tempfile.TemporaryDirectory() as folder:
        runs = {"bare client": measured("bare", here, folder)}
        before = here.requests
        runs[PLAIN] = measured("rest_api", here, folder)
        runs[PLAIN]["requests"] = here.requests - before
        runs["first sync"] = measured("sync", here, folder)
        runs["without news"] = measured("sync", here, folder)
        here.happen()
        runs[NEWS] = measured("sync", here, folder)
    targets = wanted(shop, runs["first sync"]["resources"])
    found = []
    for what, run in runs.items():
        values = {
            "wall": (run["wall"], "s"),
            "wall of the bare client's": (run["wall"] / runs["bare client"]["wall"], "×"),
            "CPU": (run["cpu"], "s"),
            "memory at most": (run["mb"], "MB"),
            "requests": (run["requests"], ""),
        }
        for name, (value, unit) in values.items():
            if what == "bare client" and unit == "×":
                continue
            target = targets.get((what, name), "")
            note = f"{run['rows']:,} rows" if name == "requests" else ""
            found.append(Figure(f"{room.title}, {what}: {name}", value, unit, target, note))
    return found


def wanted(shop: Shop, resources: int) -> dict[tuple[str, str], str]:
    """The targets, by run and quantity."""
    changed = shop.conversations // EVERY
    pages = 2 * -(-changed // PAGE)  # of conversations and of messages
    return {
        ("first sync", "wall of the bare client's"): "<= 1.5",
        ("first sync", "CPU"): "<= 10",
        ("first sync", "memory at most"): "<= 300",
        ("without news", "requests"): f"<= {2 * resources}",
        (NEWS, "requests"): f"<= {pages + changed + 12}",
    }


def main() -> None:
    """Measure both rooms."""
    from pipelines.providers import find

    parser = argparse.ArgumentParser(prog="benchmarks.sync", description=__doc__)
    parser.add_argument("--conversations", type=int, default=20_000)
    parser.add_argument("--messages", type=int, default=10, help="in each conversation")
    parser.add_argument("--latency", type=float, default=0.02, help="seconds")
    parser.add_argument("--keep", action="store_true", help="put the figures on the page")
    parser.add_argument("--do", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.do:
        do(*given.do)
        return
    shop = Shop(given.conversations, given.messages)
    found = [figure for room in find() for figure in figures(room, shop, given.latency)]
    command = f"python -m benchmarks.sync --conversations {given.conversations}"
    note = (
        f"{shop.conversations:,} conversations, {shop.messages:,} messages, "
        f"{given.latency * 1000:.0f} ms, {CONCURRENCY} at once."
    )
    tell(Run("Sync", command, found, note), is_kept=given.keep)


if __name__ == "__main__":
    main()
