"""What a room hands out, and the shape of the tables it fills.

A provider is a room: everything that is true only of Kapso stands in `providers/kapso`, and so on.
The rest of the code meets it as one `Provider`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from datetime import datetime

    from dlt.extract import DltSource
    from starlette.applications import Starlette

    from pipelines.events import Reader
    from pipelines.reading.pull import Pull
    from pipelines.settings import Account
    from pipelines.simulation import Posted
    from pipelines.world import World

Row = dict[str, Any]
"""One record as the provider sent it, decoded from JSON. A room may add facts of the walk under
keys that start with `@`, such as `@position`."""


@dataclass(frozen=True)
class Table:
    """One raw table: `raw_<room>.<name>`, one row per `account` and `id`.

    Attributes:
        name: the table's and the resource's name, plural.
        fields: column → dotted path in the provider's row. Every column is text.
        secrets: dotted paths whose values never reach the warehouse.
        quotes: dotted paths of values that may quote one of those.
        links: dotted paths of texts in which the provider writes a media link as `URL: …`.
        holds_people: its rows may say who a customer is. Others are left alone by an erasure.
        former: where values of its rows are kept that their newest copies no longer tell: `id`, the
            id of the row, and one of its columns, named as here.
    """

    name: str
    fields: Mapping[str, str]
    secrets: tuple[str, ...] = ()
    quotes: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    holds_people: bool = True
    former: Table | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that hold the provider's fields, in order."""
        return tuple(self.fields)


def fields(*names: str, **paths: str) -> dict[str, str]:
    """Columns named as in the row, then columns with a path of their own."""
    return {name: name for name in names} | paths


COMMON_COLUMNS: Mapping[str, str] = {
    "account": "text",
    "payload": "text",  # JSON object: every field of the row that has no column
    "row_hash": "text",  # digest of what the provider sent: an unchanged row is not written again
    "fetched_at": "timestamptz",
    "_dlt_load_id": "text",
}
"""Columns every raw table has beside its fields, with their SQL types."""

REJECTED = Table("rejected", fields("id", resource="@resource", reason="@reason", body="@body"))
"""Rows that could not be landed, whole, with the reason."""

GONE = Table(
    "gone",
    fields(
        "id",  # `<resource>|<provider_id>`
        resource="@resource",
        provider_id="@provider_id",
        missed_since="@missed_since",  # null: it was gone, and came back
    ),
    holds_people=False,
)
"""Rows that the provider no longer has. They stay where they are: nothing is deleted from raw."""

SHARED_TABLES = (REJECTED, GONE)
"""Tables that every room has."""


@dataclass(frozen=True)
class Provider:
    """One provider, as the rest of doblecheck meets it.

    Its code is imported when it is used: a room's modules bring httpx, dlt and Starlette with
    them, and `doblecheck --help` needs none of those.

    Attributes:
        name: the word in settings, schema names and paths.
        title: the name people use.
        package: the room; its modules have the same names in every room.
        base_urls: settings key → default, `base_url` first.
        requests_per_minute: the smallest plan's quota.
        tables: the raw tables; each is a resource unless it only serves another.
        resources: what `resources` may name, in the order they are read.
        opt_in: resources that cost much, such as a request per parent: read only when named.
        resumed: resources that a full sync reads in several runs, if it must: their position tells
            how far it came.
        webhook_headers: what the receiver keeps of a delivery's headers, in lower case.
        ranged: resources of which a range can be read again; `backfill` reads them.
    """

    name: str
    title: str
    package: str
    base_urls: Mapping[str, str]
    requests_per_minute: int
    tables: tuple[Table, ...]
    resources: tuple[str, ...]
    opt_in: frozenset[str] = field(default_factory=frozenset)
    webhook_headers: tuple[str, ...] = ()
    ranged: tuple[str, ...] = ()
    resumed: frozenset[str] = field(default_factory=frozenset)

    @property
    def schema(self) -> str:
        """The schema of the raw tables."""
        return f"raw_{self.name}"

    def connect(self, account: Account) -> AbstractAsyncContextManager[Any]:
        """An account's client, as an async context manager.

        Raises:
            ConfigError: the account has no key.
        """
        client: AbstractAsyncContextManager[Any] = self._module("client").connect(account)
        return client

    async def probe(self, client: Any) -> None:
        """Make the cheapest request that tells whether the client's key is good.

        Raises:
            ProviderError: it is not, or nobody answers.
        """
        await self._module("client").probe(client)

    def scopes(self, client: Any) -> Mapping[str, Callable[[], Awaitable[object]]]:
        """Resource → one request that needs the key's right to read it."""
        told: Callable[[Any], Mapping[str, Callable[[], Awaitable[object]]]] | None
        told = getattr(self._module("client"), "scopes", None)
        return told(client) if told else {}

    def source(self, pull: Pull) -> DltSource:
        """The dlt source that reads one pull."""
        made: DltSource = getattr(self._module("source"), self.name)(pull)
        return made

    def backfill(self, pull: Pull) -> DltSource:
        """The dlt source that reads the range of a pull again."""
        made: DltSource = self._module("backfill").backfill(pull)
        return made

    @property
    def has_webhooks(self) -> bool:
        """Whether it can read the bodies of webhooks. Of one that can't, they are kept unread."""
        return find_spec(f"{self.package}.webhooks") is not None

    @property
    def webhooks(self) -> Reader:
        """How the bodies of its webhooks are read. Importing it imports no library but orjson."""
        return cast("Reader", self._module("webhooks"))

    def simulate(self, world: World, **settings: Any) -> Starlette:
        """The provider's API, telling a world, as an ASGI app."""
        app: Starlette = self._module("simulator").simulate(world, **settings)
        return app

    def simulated_webhooks(self, world: World, *, since: datetime, until: datetime) -> list[Posted]:
        """The webhooks that the provider would have sent of a world in [since, until)."""
        if not self.has_webhooks:
            return []
        sent = self._module("simulator_webhooks").webhooks(world, since=since, until=until)
        return cast("list[Posted]", sent)

    def _module(self, name: str) -> ModuleType:
        return import_module(f"{self.package}.{name}")
