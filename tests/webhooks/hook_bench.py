"""A warehouse, a delivery log, and models that can be run again in a moment.

dbt compiles the models once; after that every run is their SQL, in order, on one connection. So a
property can build the marts hundreds of times.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import orjson

from pipelines.building import build as building
from pipelines.building.dbt_runner import Dbt
from pipelines.events import webhook_tables
from pipelines.providers import find
from pipelines.receiver.log import Arrival
from pipelines.receiver.sqlite_log import SqliteLog
from pipelines.warehouse import at
from pipelines.webhooks.ingest import Arrived, Ingested, ingest, ingest_arrived

T0 = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)  # a Monday
AS_OF = datetime(2026, 3, 20, tzinfo=UTC)
NUMBER = "600000000000001"


def iso(seconds: float) -> str:
    return (T0 + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def unix(seconds: float) -> str:
    return str(int((T0 + timedelta(seconds=seconds)).timestamp()))


def arrival(
    body: Any,
    *,
    provider: str = "kapso",
    account: str = "default",
    seconds: float = 0,
    **headers: Any,
) -> Arrival:
    """A body as the receiver puts it into its log."""
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    names = {name.replace("_", "-"): str(value) for name, value in headers.items()}
    return Arrival(provider, account, T0 + timedelta(seconds=seconds), names, raw)


def message(
    wamid: str,
    seconds: float,
    *,
    direction: str = "inbound",
    status: str | None = None,
    phone: str = "5491150000001",
    conversation: str = "conversation-1",
    statuses: Sequence[tuple[str, float]] = (),
    told_at: float | None = None,
    **row: Any,
) -> dict[str, Any]:
    """A v2 body of one message; `told_at` is the time a status event carries instead of its own."""
    kapso = {
        "direction": direction,
        "status": status or ("received" if direction == "inbound" else "sent"),
        "origin": "cloud_api" if direction == "inbound" else "business_app",
        "phone_number": f"+{phone}",
        "phone_number_id": NUMBER,
        "whatsapp_conversation_id": conversation,
        **row.pop("kapso", {}),
    }
    if statuses:
        kapso["statuses"] = [{"id": wamid, "status": s, "timestamp": unix(t)} for s, t in statuses]
    return {
        "message": {
            "id": wamid,
            "timestamp": unix(seconds if told_at is None else told_at),
            "type": "text",
            "text": {"body": "hola"},
            "from" if direction == "inbound" else "to": phone,
            "kapso": kapso,
            **row,
        },
        "conversation": {
            "id": conversation,
            "phone_number": f"+{phone}",
            "phone_number_id": NUMBER,
            "status": "active",
            "created_at": iso(0),
            "last_active_at": iso(seconds),
            "updated_at": iso(seconds),
        },
        "is_new_conversation": False,
        "phone_number_id": NUMBER,
    }


def ended(
    conversation: str,
    seconds: float,
    *,
    phone: str = "5491150000001",
    last_message: float | None = None,
) -> dict[str, Any]:
    """A v2 body of a conversation that ended."""
    row: dict[str, Any] = {
        "id": conversation,
        "phone_number": f"+{phone}",
        "phone_number_id": NUMBER,
        "status": "ended",
        "created_at": iso(0),
        "last_active_at": iso(seconds),
        "updated_at": iso(seconds),
    }
    if last_message is not None:
        row["kapso"] = {"last_message_timestamp": iso(last_message)}
    return {"conversation": row, "phone_number_id": NUMBER}


def meta(field: str, seconds: float | None = None, **value: Any) -> dict[str, Any]:
    """A body of Meta's, forwarded."""
    value = {"metadata": {"phone_number_id": NUMBER}, **value}
    entry: dict[str, Any] = {"id": "waba", "changes": [{"field": field, "value": value}]}
    if seconds is not None:
        entry["time"] = int(unix(seconds))
    return {"object": "whatsapp_business_account", "entry": [entry]}


def _kind(node: Any) -> str:
    return "view" if node.config.materialized == "view" else "table"


class Bench:
    """One data folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.warehouse = at(folder / "warehouse.duckdb", folder)
        self.log = SqliteLog(folder / "deliveries.db")
        self.warehouse.ensure_raw_tables(find())
        self._models: list[tuple[str, str, str]] = []

    def receive(self, *arrivals: Arrival) -> None:
        """Put deliveries into the log, as the receiver does."""
        self.log.append(arrivals)

    def ingest(self, **options: Any) -> Ingested:
        return ingest(self.warehouse, find(), self.log, **options)

    def load(self, *portions: Iterable[Arrival]) -> Ingested:
        """Put deliveries into the warehouse as from files: without a log."""
        arrived = [
            [Arrived(a.provider, a.account, a.received_at, a.headers, a.body) for a in portion]
            for portion in portions
        ]
        return ingest_arrived(self.warehouse, find(), arrived)

    def tell(self, *bodies: Any) -> Ingested:
        """Receive bodies a second apart, and ingest them."""
        self.receive(*(arrival(body, seconds=i) for i, body in enumerate(bodies)))
        return self.ingest()

    def add(self, table: str, **row: Any) -> None:
        """Insert a raw row."""
        defaults = {"account": "default", "fetched_at": AS_OF, "payload": "{}"}
        values = {
            name: json.dumps(value) if isinstance(value, dict | list) else value
            for name, value in (defaults | row).items()
        }
        names = ", ".join(f'"{name}"' for name in values)
        marks = ", ".join("?" for _ in values)
        with self.warehouse.connect() as connection:
            connection.execute(
                f"insert into {table} ({names}) values ({marks})", [*values.values()]
            )

    def pulled(self, wamid: str, seconds: float, direction: str = "inbound", **row: Any) -> None:
        """A message as the API lists it."""
        defaults = {
            "id": wamid,
            "timestamp": unix(seconds),
            "type": "text",
            "kapso_direction": direction,
            "kapso_status": "delivered",
            "kapso_phone_number": "+5491150000001",
            "kapso_phone_number_id": NUMBER,
            "kapso_whatsapp_conversation_id": "conversation-1",
            "kapso_origin": "cloud_api" if direction == "inbound" else "business_app",
        }
        self.add("raw_kapso.messages", **(defaults | row))

    def build(self, **options: Any) -> None:
        building.build(self.warehouse, **({"as_of": AS_OF} | options))

    def compile(self) -> None:
        """Build once with dbt, and keep the SQL of every model above staging."""
        dbt = Dbt(self.warehouse.dbt_output(), self.folder, threads=1)
        runs = dbt.run("compile", "--full-refresh").result.results
        nodes = {
            run.node.unique_id: run.node
            for run in runs
            if run.node.resource_type == "model" and run.node.schema != "staging"
        }
        done: dict[str, Any] = {}
        while len(done) < len(nodes):
            ready = {
                name: node
                for name, node in nodes.items()
                if name not in done
                and not (set(node.depends_on.nodes) & nodes.keys() - done.keys())
            }
            done |= ready
        self._models = [
            (_kind(node), f'"{node.schema}"."{node.name}"', node.compiled_code)
            for node in done.values()
        ]
        self.build()

    def rebuild(self) -> None:
        """Run the compiled models again."""
        with self.warehouse.connect() as connection:
            for kind, name, sql in self._models:
                connection.execute(f"create or replace {kind} {name} as {sql}")

    def forget(self) -> None:
        """Empty `raw_webhooks`."""
        with self.warehouse.connect() as connection:
            for table in webhook_tables.COLUMNS:
                connection.execute(f"delete from {webhook_tables.SCHEMA}.{table}")

    def rows(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        with duckdb.connect(str(self.folder / "warehouse.duckdb")) as connection:
            connection.execute("set TimeZone = 'UTC'")
            cursor = connection.execute(sql, list(values))
            names = [column[0] for column in cursor.description or []]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def one(self, sql: str, *values: Any) -> dict[str, Any]:
        [row] = self.rows(sql, *values)
        return row

    def message(self, wamid: str) -> dict[str, Any]:
        return self.one("select * from marts.fct_messages where message_id = ?", wamid)

    def digests(self, schema: str = "marts", *, like: str = "%") -> Mapping[str, str]:
        """Table or view → a digest of its content, whatever the order of its rows."""
        with duckdb.connect(str(self.folder / "warehouse.duckdb")) as connection:
            names = connection.execute(
                "select table_name from information_schema.tables"
                " where table_schema = $1 and table_name like $2",
                [schema, like],
            ).fetchall()
            return {
                name: str(
                    connection.execute(
                        f"select count(*), sum(hash(t)::hugeint) from {schema}.{name} as t"
                    ).fetchone()
                )
                for (name,) in names
            }
