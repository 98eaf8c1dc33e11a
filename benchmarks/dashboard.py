"""Measure the dashboard on marts of millions of messages: each query, the first page, the others.

    python -m benchmarks.dashboard [--messages 5000000] [--folder FOLDER]

The marts are made up in SQL, in the shape that the models promise; pages are timed in a browser.
A query should take 1 s at most, a first page 4 s cold, later ones 1.5 s.
"""

from __future__ import annotations

import argparse
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

import duckdb
import yaml

import models
from benchmarks.report import Figure, Run, tell
from dashboards import reading
from dashboards.filters import Filters
from dashboards.serve import site
from pipelines.settings import Dashboard, Settings
from pipelines.warehouse import at

LAST = date(2026, 11, 20)
AS_OF = "timestamptz '2026-11-20 21:00:00+00'"
VIEWS = {"30 days": "30d", "365 days": "365d"}
ROUNDS = 3
FIRST = "first page, cold"
SLOWEST = 12
PAGES = (
    "Response",
    "Windows",
    "Team",
    "Delivery",
    "Calls",
    "Contacts",
    "Conversation",
    "Data",
    "Now",
)

MADE = """
create temp table m as
select
    i,
    -- a thread's messages are spread over the year; newest last
    1 + (hash(i) % $people)::bigint as person,
    to_timestamp(epoch({as_of}) - (($n - i) * 31536000.0 / $n)) as moment,
    hash(i, 'd') % 2 = 0 as is_in,
    hash(i, 's') % 1000 as luck
from range($n) as r(i);

insert into marts.dim_channels by name
select 'kapso:demo:c' || i as channel_key, 'kapso' as provider, 'demo' as account,
    'c' || i as channel_id, 'Channel ' || i as name,
    'America/Argentina/Buenos_Aires' as timezone
from range(8) as r(i);

insert into marts.dim_accounts by name
select 'kapso' as provider, 'demo' as account, {as_of} as last_synced_at, 0.7 as author_coverage;

insert into marts.dim_agents by name
select 'kapso:demo:a' || i as agent_key, 'kapso' as provider, 'demo' as account,
    'a' || i as agent_id, 'Agent ' || i as name
from range(20) as r(i);

insert into marts.dim_templates by name
select 'kapso:demo:t' || i as template_key, 'kapso' as provider, 'demo' as account,
    't' || i as template_id, 'template_' || i as name, 'es' as language, 'marketing' as category,
    true as is_current
from range(30) as r(i);

insert into marts.dim_contacts by name
select 'kapso:demo:p' || i as contact_key, 'kapso' as provider, 'demo' as account,
    'person:' || (i - i % 20 % 2) as person_key, 'Person ' || i as display_name,
    '+54911' || i as phone_e164, ['AR', 'UY', 'MX'][1 + i % 3] as country_code, false as is_deleted
from range(1, $people + 1) as r(i);

insert into marts.fct_messages by name
select 'kapso:demo:m' || i as message_key, 'kapso' as provider, 'demo' as account,
    'm' || i as message_id,
    'kapso:demo:c' || person % 8 || ':p' || person as thread_key,
    'kapso:demo:c' || person % 8 as channel_key, 'kapso:demo:p' || person as contact_key,
    if(is_in, 'inbound', 'outbound') as direction,
    if(is_in, 'customer', if(luck % 3 = 0, 'unknown', 'human')) as sender_kind,
    if(luck < 60 and not is_in, 'template', 'text') as message_type, 40 as text_length,
    if(luck < 60 and not is_in, 'kapso:demo:t' || luck % 30, null) as template_key,
    moment as occurred_at,
    case when luck < 20 and not is_in then 'failed' when luck < 300 then 'delivered' else 'read' end
        as status,
    moment as sent_at, moment + to_seconds(luck % 9) as delivered_at,
    if(luck >= 300, moment + to_seconds(luck * 3), null) as read_at,
    if(luck < 20 and not is_in, ['131049', '131047', '131026'][1 + luck::bigint % 3], null)
        as error_code,
    is_in as is_request, not is_in as is_reply, is_in as opens_window, false as is_imported,
    false as is_window_violation, false as is_window_mismatch, false as is_clock_skewed,
    0.02 as estimated_cost_usd, 'both' as seen_in
from m;

insert into marts.fct_turns by name
with t as (
    select *, row_number() over (partition by person order by moment) as turn_number,
        exp(2 + 9 * luck / 1000.0) as secs
    from m where is_in and hash(i, 't') % 10 < 5
)
select thread_key || ':' || scope || ':' || turn_number as turn_key, * exclude (thread_key),
    thread_key
from (
    select scope, 'kapso' as provider, 'demo' as account,
        'kapso:demo:c' || person % 8 || ':p' || person as thread_key,
        'kapso:demo:c' || person % 8 as channel_key, 'kapso:demo:p' || person as contact_key,
        turn_number, 1 as session_number, luck % 3 = 0 as is_first_in_session,
        luck % 3 = 0 as is_first_response,
        moment as started_at, moment as last_request_at, 1 as requests,
        if(luck < 10, 'waiting', 'answered') as outcome,
        if(luck >= 10, moment + to_seconds(secs), null) as responded_at,
        if(luck >= 10, if(luck % 3 = 0, 'unknown', 'human'), null) as responder_kind,
        if(luck >= 10, 'kapso:demo:a' || luck % 20, null) as agent_key,
        if(luck >= 10, secs, null) as response_seconds,
        if(luck >= 10, secs / 3, null) as business_response_seconds,
        if(luck < 10, epoch({as_of}) - epoch(moment), null) as waiting_seconds,
        moment + interval '24 hours' as window_closes_at,
        if(luck >= 10, secs < 86400, null) as is_answered_in_window, luck >= 10 as is_mature,
        if(secs < 3600 and luck >= 10, 'met', 'breached') as sla_status,
        moment > {as_of} - interval '7 days' as is_provisional
    from t cross join (values ('any'), ('human')) as s(scope)
);

insert into marts.mart_backlog by name
select turn_key, scope, provider, account, thread_key, channel_key, contact_key, turn_number,
    session_number, is_first_in_session, is_first_response, started_at, last_request_at, requests,
    outcome, waiting_seconds, window_closes_at, is_mature, sla_status, is_provisional,
    greatest(epoch(window_closes_at) - epoch({as_of}), 0) as window_seconds_left
from marts.fct_turns where outcome = 'waiting';

insert into marts.fct_service_windows by name
select 'w' || i as window_key, 'kapso' as provider, 'demo' as account,
    'kapso:demo:c' || person % 8 || ':p' || person as thread_key,
    'kapso:demo:c' || person % 8 as channel_key, 'kapso:demo:p' || person as contact_key,
    row_number() over (partition by person order by moment) as episode_number, moment as opened_at,
    moment + interval '24 hours' as closes_at, 0 as refreshes, 1 as requests, 0 as calls,
    if(luck >= 80, moment + to_seconds(luck * 60), null) as first_response_at,
    luck >= 80 as is_answered, moment > {as_of} - interval '24 hours' as is_open,
    luck < 80 and moment <= {as_of} - interval '24 hours' as is_expired_unanswered,
    if(luck >= 80, 86400 - luck * 60, null) as seconds_left_at_first_response,
    1 as free_form_messages, 0 as template_messages, luck > 950 as is_reopened_by_template
from m where is_in and hash(i, 'w') % 10 < 3;

insert into marts.fct_calls by name
select 'call' || i as call_key, 'kapso' as provider, 'demo' as account, 'call' || i as call_id,
    'kapso:demo:c' || person % 8 as channel_key, 'kapso:demo:p' || person as contact_key,
    'kapso:demo:c' || person % 8 || ':p' || person as thread_key,
    if(luck % 4 = 0, 'outbound', 'inbound') as direction, moment as started_at,
    moment + interval '1 minute' as ended_at, if(luck % 3 = 0, 60.0, null) as duration_seconds,
    luck % 3 = 0 as is_answered, luck % 4 > 0 and luck % 3 > 0 as is_missed,
    if(luck % 4 > 0 and luck % 3 > 0 and luck < 700, luck * 10.0, null) as callback_seconds
from m where hash(i, 'c') % 100 = 0;

insert into marts.fct_template_sends by name
select message_key, provider, account, template_key, thread_key, channel_key, contact_key,
    occurred_at, status <> 'failed' as is_delivered, status = 'read' as is_read,
    status = 'failed' as is_failed,
    if(hash(message_key) % 5 = 0, occurred_at + interval '2 hours', null) as replied_at,
    estimated_cost_usd
from marts.fct_messages where template_key is not null;

insert into marts.mart_sync_health by name
select 'kapso' as provider, 'demo' as account, 'messages' as resource, $n as rows,
    {as_of} as last_synced_at, true as is_complete;

insert into marts.mart_daily_response_times by name
select cast(timezone('America/Argentina/Buenos_Aires', started_at) as date) as day, provider,
    account, channel_key, scope, count(*) as turns
from marts.fct_turns group by all;
"""


def make(folder: Path, messages: int) -> None:
    """A published snapshot with so many messages."""
    (folder / "published").mkdir(parents=True, exist_ok=True)
    target = folder / "published" / "analytics-20261120T210000000000.duckdb"
    with duckdb.connect(str(target)) as db:
        db.execute("set TimeZone = 'UTC'")
        db.execute("create schema marts")
        for path in sorted(Path(models.__file__).parent.glob("marts/*.yml")):
            for model in yaml.safe_load(path.read_text("utf-8")).get("models", []):
                columns = ", ".join(f'"{c["name"]}" {c["data_type"]}' for c in model["columns"])
                db.execute(f"create table marts.{model['name']} ({columns})")
        for statement in MADE.format(as_of=AS_OF).split(";\n"):
            names = {"n": messages, "people": max(messages // 60, 1)}
            used = {k: v for k, v in names.items() if f"${k}" in statement}
            if statement.strip():
                db.execute(statement, used) if used else db.execute(statement)
        db.execute("checkpoint")
    link = folder / "analytics.duckdb"
    link.unlink(missing_ok=True)
    link.symlink_to(target)


def values(period: str, place: Any) -> dict[str, Any]:
    """A value for every name that a query binds."""
    picks = ("pick_from", "pick_to", "pick_low", "pick_high", "pick_weekday", "pick_hour")
    return {
        **Filters(last=LAST, period=period).values(),
        **dict.fromkeys(picks),
        "timezone": place.timezone,
        "pepper": place.pepper,
        "personal": False,
        "limit": 25,
        "window_state": None,
        "thread": "0" * 32,
        "thread_key": "kapso:demo:c1:p1",
    }


def queries(place: Any) -> Iterator[tuple[str, str, float, float, int]]:
    """Name, view, median wall and CPU seconds, and rows of every query that draws something."""
    reader = reading.Reader(place)
    version = reader.version()
    names = sorted(p.stem for p in Path(reading.__file__).parent.glob("queries/*.sql"))
    for name in names:
        if name.endswith("_raw") or name == "thread_texts":
            continue  # files are made when they are asked for; texts are not in marts
        for view, period in VIEWS.items():
            took, worked = [], []
            for _ in range(ROUNDS):
                begun, cpu = time.perf_counter(), time.process_time()
                answer = reader.answer(version, name, values(period, place))
                took.append(time.perf_counter() - begun)
                worked.append(time.process_time() - cpu)
            yield name, view, median(took), median(worked), len(answer.rows)


@dataclass(frozen=True)
class Served:
    """A dashboard in a process of its own."""

    url: str
    pid: int


@contextmanager
def served(folder: Path) -> Iterator[Served]:
    """The dashboard in a process of its own."""
    config = folder / "doblecheck.toml"
    config.write_text(f'data_dir = "{folder}"\n[dashboard]\nstale_after_minutes = 1e9\n')
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "pipelines.cli", "--config", str(config), "dashboard"]
    process = subprocess.Popen([*command, "--port", str(port)], stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(f"{url}/_stcore/health", timeout=5).close()  # noqa: S310
                break
            except OSError:
                time.sleep(0.1)
        yield Served(url, process.pid)
    finally:
        process.terminate()
        process.wait(10)


def pages(folder: Path, period: str) -> Iterator[tuple[str, float]]:
    """Seconds until each page has been drawn whole: the first in a fresh server and browser."""
    from playwright.sync_api import sync_playwright

    done = (
        "document.querySelector('[data-testid=stApp]').dataset.testScriptState === 'notRunning'"
        " && !document.querySelector('[data-stale=true]')"
    )
    chromium = shutil.which("chromium")
    with served(folder) as server, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1440, "height": 900}, locale="en-US")
        begun = time.perf_counter()
        page.goto(f"{server.url}/?period={period}")
        page.wait_for_selector("[data-testid=lead]", timeout=60_000)
        page.wait_for_function(done, timeout=60_000)
        yield FIRST, time.perf_counter() - begun
        for name in PAGES:
            before = page.locator("[data-testid=lead]").inner_text()
            begun = time.perf_counter()
            page.get_by_text(name, exact=True).first.click()
            page.wait_for_function(
                "old => { const l = document.querySelector('[data-testid=lead]');"
                " return l && l.innerText !== old; }",
                arg=before,
                timeout=60_000,
            )
            page.wait_for_function(done, timeout=60_000)
            yield name, time.perf_counter() - begun
        browser.close()


def figures(asked: list[Any], drawn: dict[str, list[tuple[str, float]]]) -> Iterator[Figure]:
    """The slowest queries, and every page."""
    for name, view, took, cpu, rows in sorted(asked, key=lambda row: -row[2])[:SLOWEST]:
        note = f"{cpu:.2f} s CPU, {rows:,} rows"
        yield Figure(f"query `{name}`, {view}", took, "s", "<= 1", note)
    for view, pages_drawn in drawn.items():
        for name, took in pages_drawn:
            target = "<= 4" if name == FIRST else "<= 1.5"
            yield Figure(f"page {name}, {view}", took, "s", target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=5_000_000)
    parser.add_argument("--folder", type=Path, help="where the marts are made, once")
    parser.add_argument("--keep", action="store_true", help="put the figures on the page")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = (given.folder or Path(name)).absolute()
        if not (folder / "analytics.duckdb").exists():
            make(folder, given.messages)
        settings = Settings.model_construct(
            folder=folder, data_dir=folder, timezone="UTC", dashboard=Dashboard()
        )
        place = site(settings, at(folder / "warehouse.duckdb", folder))
        asked = list(queries(place))
        drawn = {}
        if shutil.which("chromium"):
            drawn = {view: list(pages(folder, period)) for view, period in VIEWS.items()}
    command = f"python -m benchmarks.dashboard --messages {given.messages}"
    note = (
        f"{given.messages:,} messages over a year, made up. The slowest {SLOWEST} of {len(asked)} "
        f"queries and views, medians of {ROUNDS}; pages in a browser, until they are drawn whole."
    )
    tell(Run("Dashboard", command, list(figures(asked, drawn)), note), is_kept=given.keep)


if __name__ == "__main__":
    main()
