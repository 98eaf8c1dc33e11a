"""Measure builds on made-up raw rows: `python -m benchmarks.build 545000`.

The rows are made by arithmetic in the warehouse itself, half of them of each room, as wide as true
ones: people, each with a contact and threads of some twenty messages over two years, the last of
them moments ago. One figure is one process (`doblecheck build`: models, tests, publication), but
for "warm", which is the second build of a process that has built before.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import duckdb

from benchmarks import report
from pipelines.providers import find
from pipelines.warehouse import at
from pipelines.warehouse.embedded import DuckDBWarehouse
from pipelines.warehouse.postgres import PostgresWarehouse

TARGETS = {
    ("DuckDB", 545_000): {"full": 25, "cold": 7, "warm": 2.5, "touched": 8},
    ("DuckDB", 5_450_000): {"full": 90, "memory": 4096, "touched": 10},
    ("PostgreSQL", 545_000): {"full": 60, "touched": 12},
}
"""Seconds and megabytes at most, by engine and messages."""

EACH = 20
"""Messages of a thread."""

TOUCHED = 500
CONFIG = """
data_dir = "."
[warehouse]
url = "duckdb:///warehouse.duckdb"
[business_hours.default]
timezone = "America/Argentina/Buenos_Aires"
monday = ["09:00-13:00", "14:00-18:00"]
tuesday = ["09:00-13:00", "14:00-18:00"]
wednesday = ["09:00-13:00", "14:00-18:00"]
thursday = ["09:00-13:00", "14:00-18:00"]
friday = ["09:00-18:00"]
[sla]
first_response_seconds = 900
response_seconds = 3600
clock = "business"
"""
WARM = """
import sys, time
from pathlib import Path
from pipelines import run
from pipelines.providers import find
from pipelines.settings import load
from pipelines.warehouse import open_warehouse
settings = load(Path(sys.argv[1]), find())
warehouse = open_warehouse(settings)
for _ in range(2):
    started = time.perf_counter()
    run.build(warehouse, find(), settings)
    took = time.perf_counter() - started
print(took)
"""

ROWS = """
create temp table made as
select
    t as thread, n, n % 2 = 1 as is_reply, t % 9 = 0 and n % 10 = 0 as is_template,
    timestamptz '{began}' + to_seconds(t * 7919 % {spread} + n * 1900 + (t * n) % 1300) as sent_at,
    substr(md5(t || '-' || n), 1, 22) as mark,
    '54911' || lpad((20000000 + t)::text, 8, '0') as phone
from range({first}, {last}) as threads (t), range({begin}, {end}) as numbers (n);

insert into raw_kapso.messages by name
select
    'default' as account, 'wamid.HBgN' || mark || 'AA==' as id,
    epoch(sent_at)::bigint::text as "timestamp",
    case when is_template then 'template' else 'text' end as type,
    case when not is_reply then phone end as "from", case when is_reply then phone end as "to",
    case when not is_template
        then json_object('body', repeat(mark || ' ', 1 + (thread % 5)::int)) end as text,
    case when is_template
        then '{{"name":"promo_' || thread % 12 || '","language":{{"code":"es"}}}}' end as template,
    case when is_reply then 'outbound' else 'inbound' end as kapso_direction,
    case when is_reply then 'read' else 'received' end as kapso_status,
    case when is_reply and n % 4 = 1 then 'business_app' else 'cloud_api' end as kapso_origin,
    phone as kapso_phone_number, (100200300 + thread % 4)::text as kapso_phone_number_id,
    'session-' || thread as kapso_whatsapp_conversation_id,
    'Contact ' || thread as kapso_contact_name,
    mark as kapso_content,
    case when is_reply then json_array(
        json_object('status', 'sent', 'timestamp', epoch(sent_at)::bigint::text),
        json_object('status', 'delivered', 'timestamp', (epoch(sent_at)::bigint + 2)::text),
        json_object('status', 'read', 'timestamp', (epoch(sent_at)::bigint + 60)::text))
        end as kapso_statuses,
    '{{"kapso":{{"media":null,"flow":"' || mark || '"}}}}' as payload,
    substr(md5(mark), 1, 24) as row_hash, sent_at as fetched_at, '{load}' as _dlt_load_id
from made where thread % 2 = 0;

insert into raw_waspy.messages by name
select
    'norte' as account, mark as id, 'conversation-' || thread as conversation_id,
    'contact-' || thread as contact_id, (100 + thread % 3)::text as phone_number_id,
    'wamid.' || mark as wa_message_id,
    case when is_reply then 'outbound' else 'inbound' end as direction,
    case when is_template then 'template' else 'text' end as type,
    json_object('text', repeat(mark || ' ', 1 + (thread % 5)::int)) as content,
    case when is_reply then 'delivered' else 'received' end as status,
    case when is_reply then 'agent' else 'inbound' end as origin,
    case when is_template then 'promo_' || thread % 12 end as template_name_snapshot,
    case when is_template then 'campaign-' || thread % 40 end as campaign_id,
    strftime(sent_at, '%Y-%m-%dT%H:%M:%S.000Z') as created_at, n::text as position,
    '{{"metadataVersion":"' || mark || '"}}' as payload,
    substr(md5(mark), 1, 24) as row_hash, sent_at as fetched_at, '{load}' as _dlt_load_id
from made where thread % 2 = 1;

delete from raw_kapso.conversations where id in (select 'session-' || thread from made);
delete from raw_waspy.conversations where id in (select 'conversation-' || thread from made);

insert into raw_kapso.conversations by name
select
    'default' as account, 'session-' || thread as id, max(phone) as phone_number,
    (100200300 + thread % 4)::text as phone_number_id, 'active' as status,
    strftime(min(sent_at), '%Y-%m-%dT%H:%M:%SZ') as created_at,
    strftime(max(sent_at), '%Y-%m-%dT%H:%M:%SZ') as last_active_at,
    '{{}}' as payload, substr(md5(max(mark)), 1, 24) as row_hash, max(sent_at) as fetched_at,
    '{load}' as _dlt_load_id
from made where thread % 2 = 0 group by thread;

insert into raw_waspy.conversations by name
select
    'norte' as account, 'conversation-' || thread as id, 'contact-' || thread as contact_id,
    json_object('id', 'contact-' || thread, 'phoneNumber', max(phone), 'name', 'Contact')
        as contact,
    (100 + thread % 3)::text as phone_number_id, 'open' as status,
    strftime(min(sent_at), '%Y-%m-%dT%H:%M:%SZ') as created_at,
    strftime(max(sent_at), '%Y-%m-%dT%H:%M:%SZ') as last_message_at,
    '{{}}' as payload, substr(md5(max(mark)), 1, 24) as row_hash, max(sent_at) as fetched_at,
    '{load}' as _dlt_load_id
from made where thread % 2 = 1 group by thread;

drop table made;
"""

CONTACTS = """
insert into raw_kapso.contacts by name
select
    'default' as account, 'contact-' || t as id,
    '54911' || lpad((20000000 + t)::text, 8, '0') as wa_id,
    'Contact ' || t as profile_name, '2025-01-01T00:00:00Z' as created_at, '{{}}' as payload,
    now() as fetched_at, '1' as _dlt_load_id
from range(0, {last}, 2) as threads (t);
insert into raw_waspy.contacts by name
select
    'norte' as account, 'contact-' || t as id,
    '+54911' || lpad((20000000 + t)::text, 8, '0') as phone_number, 'Contact ' || t as name,
    '2025-01-01T00:00:00Z' as created_at, '{{}}' as payload,
    now() as fetched_at, '1' as _dlt_load_id
from range(1, {last}, 2) as threads (t);
insert into raw_kapso.templates by name
select 'default' as account, t::text as id, 'promo_' || t as name, 'es' as language,
    'MARKETING' as category, 'APPROVED' as status, '{{}}' as payload, now() as fetched_at
from range(12) as templates (t);
"""


@dataclass(frozen=True)
class Figure:
    """What one process took."""

    what: str
    seconds: float
    megabytes: float


class Bench:
    """A warehouse with so many messages, in a folder of its own.

    With the URL of an empty PostgreSQL database the rows are made here and copied there.
    """

    def __init__(self, folder: Path, messages: int, url: str | None = None) -> None:
        self.url = url
        self.folder, self.messages = folder, messages
        self.path, self.config = folder / "warehouse.duckdb", folder / "doblecheck.toml"
        self.threads, self.each = messages // EACH, EACH
        self.config.write_text(CONFIG)
        if url:
            os.environ["DOBLECHECK_WAREHOUSE__URL"] = url

    def make(self) -> None:
        """The raw rows, thread by thread in blocks: the memory of it stays small."""
        at(self.path, self.folder).ensure_raw_tables(find())
        for first in range(0, self.threads, 50_000):
            self._add(first, min(first + 50_000, self.threads), 0, EACH, load="1")
        self._run(CONTACTS.format(last=self.threads))
        if self.url:
            from pipelines.care.moving import move

            here = DuckDBWarehouse(self.path, self.folder)
            move(here, PostgresWarehouse(self.url, self.folder), find())

    def touch(self) -> None:
        """One more message in some threads all over the table."""
        step = self.threads // TOUCHED
        self.each += 1
        self._add(0, self.threads, self.each - 1, self.each, load=str(self.each), step=step)
        if self.url:
            self._copy(PostgresWarehouse(self.url, self.folder), str(self.each))

    def _copy(self, target: PostgresWarehouse, load: str) -> None:
        """Take the rows of one load over, as a sync's merge would leave them."""
        names = [
            f"raw_{room}.{t}" for room in ("kapso", "waspy") for t in ("messages", "conversations")
        ]
        with duckdb.connect(str(self.path)) as here, target.connect() as there:
            for name in names:
                cursor = here.execute(f"select * from {name} where _dlt_load_id = ?", [load])
                columns = [column[0] for column in cursor.description or []]
                rows = cursor.fetchall()
                ids = [row[columns.index("id")] for row in rows]
                there.execute(f"delete from {name} where id in (select unnest($1::text[]))", [ids])
                quoted = ", ".join(f'"{column}"' for column in columns)
                target.insert(there, f"{name} ({quoted})", rows)

    def build(self, what: str, *options: str) -> Figure:
        """One `doblecheck build` in a process of its own."""
        command = [sys.executable, "-m", "pipelines.cli", "--config", str(self.config), "build"]
        _, seconds, megabytes = _measured([*command, "--json", *options])
        return Figure(what, seconds, megabytes)

    def warm(self) -> Figure:
        """The second build of one process."""
        told, _, megabytes = _measured([sys.executable, "-c", WARM, str(self.config)])
        # DuckDB draws a progress bar for `python -c`, which it takes for a person.
        return Figure("nothing new, warm", float(told.splitlines()[-1]), megabytes)

    def size(self) -> float:
        return self.path.stat().st_size / 1e6

    def _add(
        self, first: int, last: int, begin: int, end: int, *, load: str, step: int = 1
    ) -> None:
        sql = ROWS.format(
            first=first,
            last=last if step == 1 else f"{last}, {step}",
            begin=begin,
            end=end,
            began="2024-11-01 00:00:00+00",
            spread=730 * 86400,
            load=load,
        )
        self._run(sql)

    def _run(self, sql: str) -> None:
        with duckdb.connect(str(self.path)) as connection:
            connection.execute("set TimeZone = 'UTC'; set preserve_insertion_order = false")
            connection.execute(sql)


def _measured(command: list[str]) -> tuple[str, float, float]:
    """Run a command to its end: what it told, its seconds, and the most megabytes it held."""
    started, megabytes = time.perf_counter(), 0.0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            megabytes = max(megabytes, report.most_megabytes(process.pid))  # not a number: no more
            time.sleep(0.02)
        took = time.perf_counter() - started
        told = process.stdout.read() if process.stdout else ""
    if process.returncode:
        raise SystemExit("a build failed")
    return told, took, megabytes


def figures(bench: Bench) -> list[Figure]:
    """All figures of one size."""
    found = [bench.build("full, the first", "--full")]
    found.append(bench.build("nothing new, cold"))
    found.append(bench.warm())
    for _ in range(3):
        bench.touch()
        found.append(bench.build(f"{TOUCHED} touched threads, cold"))
    found.append(bench.build("full, again", "--full"))
    return found


def wanted(engine: str, messages: int) -> dict[str, str]:
    """The target of each figure, by its name."""
    targets = TARGETS.get((engine, messages), {})
    names = {
        "full, the first": "full",
        "full, again": "full",
        "nothing new, cold": "cold",
        "nothing new, warm": "warm",
        f"{TOUCHED} touched threads, cold": "touched",
        "memory at most": "memory",
    }
    return {name: f"<= {targets[key]}" for name, key in names.items() if key in targets}


def told(bench: Bench, found: list[Figure]) -> list[report.Figure]:
    """The figures as they stand on the page: of what was done several times, the median."""
    engine = "PostgreSQL" if bench.url else "DuckDB"
    targets, named = wanted(engine, bench.messages), {figure.what: figure for figure in found}
    subject = f"{engine}, {bench.messages:,} messages"
    lines = []
    for what in named:
        seconds = median(figure.seconds for figure in found if figure.what == what)
        lines.append(report.Figure(f"{subject}: {what}", seconds, "s", targets.get(what, "")))
    most = max(figure.megabytes for figure in found)
    target = targets.get("memory at most", "")
    return [*lines, report.Figure(f"{subject}: memory at most", most, "MB", target)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("messages", type=int)
    parser.add_argument("--note", default="", help="what the reader should know of the machine")
    parser.add_argument("--postgres", metavar="URL", help="measure an empty database")
    parser.add_argument("--folder", type=Path, help="where the warehouse goes; default: a new one")
    parser.add_argument("--keep", action="store_true", help="put the figures on the page")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        bench = Bench(Path(folder), given.messages, given.postgres)
        bench.make()
        raw = bench.size()
        found = told(bench, figures(bench))
        sizes = "" if given.postgres else f" {raw:.0f} MB of raw rows, {bench.size():.0f} MB after."
    command = f"python -m benchmarks.build {given.messages}{' --postgres …' * bool(given.postgres)}"
    note = f"One process from its start to its end: models, tests, publication.{sizes} {given.note}"
    report.tell(report.Run("Build", command, found, note.strip()), is_kept=given.keep)


if __name__ == "__main__":
    main()
