"""A warehouse in which one customer has a name, a phone and a text to look for, byte by byte."""

from __future__ import annotations

import gzip
import itertools
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipelines.building.build import build
from pipelines.building.dbt_runner import release
from pipelines.care import erasure
from pipelines.loading.sync import Order, sync_account
from pipelines.providers import find
from pipelines.receiver.sqlite_log import SqliteLog
from pipelines.settings import Account
from pipelines.simulation import Clock, serve
from pipelines.warehouse import Warehouse
from pipelines.webhooks.ingest import ingest
from pipelines.world import World

NOW = datetime(2026, 3, 20, 21, 0, tzinfo=UTC)
NAME, TEXT = "Canaria Amarilla", "la clave es mirlo-4711"

TOTALS = """
select
    (select count(*) from marts.fct_messages),
    (select count(*) from marts.fct_messages where is_request),
    (select count(*) from marts.fct_messages where is_reply),
    (select count(*) from marts.fct_turns),
    (select sum(response_seconds) from marts.fct_turns),
    (select count(*) from marts.fct_service_windows),
    (select count(*) from marts.fct_conversations),
    (select count(*) from marts.fct_calls),
    (select count(template_key) from marts.fct_template_sends),
    (select count(agent_key) from marts.fct_turns),
    (select sum(estimated_cost_usd) from marts.fct_messages),
    (select count(*) from marts.fct_messages where sender_kind = 'campaign'),
    (select count(distinct country_code) from marts.dim_contacts),
    (select count(country_code) from marts.dim_contacts),
    (select count(*) from marts.dim_contacts)
"""


@dataclass
class Place:
    """A warehouse with a shop in it, its receiver's log, and where the bytes are."""

    warehouse: Warehouse
    world: World
    phone: str
    files: Path
    before: tuple[Any, ...] = ()
    after: tuple[Any, ...] = ()

    @property
    def canaries(self) -> tuple[str, ...]:
        return (self.phone, NAME, TEXT)

    @property
    def log(self) -> SqliteLog:
        return SqliteLog(self.warehouse.data_dir / "deliveries.db")

    def sync(self, *, is_full: bool = False) -> int:
        """One sync of both rooms; rows new or changed."""
        changed = 0
        for room in find():
            with serve(room.simulate(self.world, api_key="k", clock=Clock(now=NOW))) as url:
                account = Account.model_validate(
                    {
                        "provider": room.name,
                        "name": "shop",
                        "api_key": "k",
                        **dict.fromkeys(room.base_urls, url),
                        "requests_per_minute": 1_000_000,
                    }
                )
                order = Order(resources=frozenset(room.resources), now=NOW, is_full=is_full)
                report = sync_account(self.warehouse, room, account, order)
                assert report.is_ok, (report.error, report.problems)
                changed += report.changed
        return changed

    def ingest(self) -> None:
        with closing(self.log) as log:
            assert ingest(self.warehouse, find(), log, now=NOW).is_ok

    def build(self) -> tuple[Any, ...]:
        """Build from scratch, publish; what the marts add up to."""
        build(self.warehouse, as_of=NOW, full=True)
        release()  # as a run does: a sync's small memory would stay with the open file
        self.warehouse.publish()
        with self.warehouse.reader() as connection:
            (row,) = connection.execute(TOTALS).fetchall()
        return tuple(round(float(value), 3) for value in row)

    def found_in_tables(self) -> dict[str, set[str]]:
        """Canary → the tables in which it stands, in whichever column."""
        marks = range(1, len(self.canaries) + 1)
        has = ", ".join(f"coalesce(bool_or(position(${n} in line) > 0), false)" for n in marks)
        tables = (
            "select table_schema, table_name from information_schema.tables "
            "where table_schema not in ('information_schema', 'pg_catalog')"
        )
        found: dict[str, set[str]] = {canary: set() for canary in self.canaries}
        with self.warehouse.connect() as connection:
            for schema, table in connection.execute(tables).fetchall():
                rows = f'select cast(t as text) as line from {schema}."{table}" t'
                sql = f"select {has} from ({rows}) as rows"
                (seen,) = connection.execute(sql, [*self.canaries]).fetchall()
                for canary in itertools.compress(self.canaries, seen):
                    found[canary].add(f"{schema}.{table}")
        return found

    def found_in_files(self) -> list[tuple[str, Path]]:
        """Canaries in the bytes of every file, compressed ones too."""
        folders = {self.files, self.warehouse.data_dir}
        return [
            (canary, path)
            for folder in folders
            for path in folder.rglob("*")
            if path.is_file()
            for text in contents(path)
            for canary in self.canaries
            if canary.encode() in text
        ]

    def erase(self, **who: str) -> erasure.Report:
        with self.warehouse.lock(), closing(self.log) as log:
            report = erasure.erase(self.warehouse, find(), log, **who)
            self.after = self.build()
            self.warehouse.compact()
        return report


def contents(path: Path) -> Iterator[bytes]:
    raw = path.read_bytes()
    yield raw
    if raw[:2] == b"\x1f\x8b":
        yield gzip.decompress(raw)


def with_a_canary(world: World) -> tuple[World, str, str]:
    """The world with one customer who has a name and a text to look for, and was sent a campaign if
    there is one; their phone and id."""
    campaign = next((message for message in world.messages if message.campaign_id), None)
    there = {
        thread.contact_id
        for thread in world.threads
        if campaign is None or thread.channel_id == campaign.channel_id
    }
    counts = {contact.id: 0 for contact in world.contacts if contact.phone and contact.id in there}
    for message in world.messages:
        if message.contact_id in counts and message.direction == "inbound" and message.text:
            counts[message.contact_id] += 1
    chosen = max(counts, key=lambda id_: counts[id_])
    contacts = tuple(
        replace(contact, name=NAME) if contact.id == chosen else contact
        for contact in world.contacts
    )
    messages = tuple(
        replace(message, contact_id=chosen)
        if message is campaign
        else replace(message, text=TEXT)
        if message.contact_id == chosen and message.direction == "inbound" and message.text
        else message
        for message in world.messages
    )
    (phone,) = [str(contact.phone).lstrip("+") for contact in contacts if contact.id == chosen]
    return replace(world, contacts=contacts, messages=messages), phone, chosen


def webhook(phone: str, text: str, number: int) -> dict[str, Any]:
    """A message that the receiver took in."""
    return {
        "message": {
            "id": f"wamid.hook{number}",
            "timestamp": str(int(NOW.timestamp()) - 60 * number),
            "type": "text",
            "from": phone,
            "text": {"body": text},
            "kapso": {"direction": "inbound", "status": "received", "origin": "cloud_api"},
        },
        "conversation": {
            "id": f"session-{phone}",
            "phone_number": f"+{phone}",
            "status": "active",
            "kapso": {"contact_name": NAME if text == TEXT else "Otra"},
        },
        "is_new_conversation": True,
        "phone_number_id": "none",
    }
