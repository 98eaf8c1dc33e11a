"""A room, its simulator on real HTTP, and a warehouse: what the contract suite works with."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from place import Place
from starlette.applications import Starlette

from pipelines.loading.sync import Order, Report, sync_account
from pipelines.provider import Provider
from pipelines.providers import find
from pipelines.settings import Account
from pipelines.simulation import Clock, serve
from pipelines.warehouse import Warehouse
from pipelines.world import World, make_world

# A third room that only tests know: a folder on the path, and nothing else.
sys.path.append(str(Path(__file__).parent / "rooms"))
ROOMS = (*find(), *(import_module(name).PROVIDER for name in ("toy",)))

KEY = "CANARY-key-of-the-shop"
ENDS_AT = datetime(2026, 3, 20, 21, 0, tzinfo=UTC)


@dataclass
class Shop:
    """One account of one room, syncing from a simulator into a warehouse of its own."""

    room: Provider
    world: World
    place: Place
    clock: Clock = field(default_factory=lambda: Clock(now=ENDS_AT))
    asked: Starlette | None = None
    """The simulator of the last sync."""

    @property
    def folder(self) -> Path:
        return self.place.folder

    @property
    def warehouse(self) -> Warehouse:
        return self.place.warehouse

    def app(self, **settings: Any) -> Starlette:
        return self.room.simulate(self.world, api_key=KEY, clock=self.clock, **settings)

    def sync(
        self,
        app: Starlette | None = None,
        *,
        key: str = KEY,
        resources: frozenset[str] | None = None,
        after: timedelta = timedelta(0),
        **order: Any,
    ) -> Report:
        """One sync over HTTP, `after` the clock's time."""
        self.asked = app or self.app()
        with serve(self.asked) as url:
            self.warehouse.ensure_raw_tables(ROOMS)
            wanted = resources or frozenset(self.room.resources)
            chosen = Order(resources=wanted, now=self.clock.now + after, **order)
            return sync_account(self.warehouse, self.room, self.account(url, key), chosen)

    def account(self, url: str, key: str = KEY) -> Account:
        """The account, at a simulator's address."""
        return Account.model_validate(
            {
                "provider": self.room.name,
                "name": "shop",
                "api_key": key,
                **dict.fromkeys(self.room.base_urls, url),
                "resources": list(self.room.resources),
                "requests_per_minute": 1_000_000,
                "concurrency": 4,
                "retry_seconds": 0.01,
            }
        )

    def rows(self, table: str, *, but: tuple[str, ...] = ()) -> dict[str, dict[str, Any]]:
        """id → row of a raw table, without what tells only when it was read."""
        left_out = ("fetched_at", "_dlt_load_id", *but)
        with self.warehouse.connect() as connection:
            cursor = connection.execute(f'select * from {self.room.schema}."{table}"')
            names = [entry[0] for entry in cursor.description or []]
            found = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        assert len({row["id"] for row in found}) == len(found)
        kept = [name for name in names if name not in left_out]
        return {row["id"]: {name: row[name] for name in kept} for row in found}

    def rows_after_sync(self, table: str) -> dict[str, dict[str, Any]]:
        """A raw table after a first sync of everything."""
        self.sync()
        return self.rows(table)

    def loads(self) -> list[tuple[Any, ...]]:
        """What changes whenever a row is written: every row's load, in every table."""
        with self.warehouse.connect() as connection:
            return [
                row
                for table in self.room.tables
                for row in connection.execute(
                    f'select id, fetched_at, _dlt_load_id from {self.room.schema}."{table.name}" '
                    "order by id"
                ).fetchall()
            ]


def whole(report: Report) -> None:
    """Nothing failed, and everything was read."""
    assert report.error is None
    assert {name: str(o.error) for name, o in report.outcomes.items() if o.error} == {}
    assert all(outcome.is_complete for outcome in report.outcomes.values())


@pytest.fixture(autouse=True)
def _unwatched(monkeypatch: pytest.MonkeyPatch) -> None:
    """The watch over a stop asks once: what a test counts must not depend on a machine's speed."""
    monkeypatch.setattr("pipelines.loading.sync.WATCH_SECONDS", 1000.0)


@pytest.fixture(scope="session")
def small_world() -> World:
    return make_world(seed=11, ends_at=ENDS_AT, days=14, conversations_per_day=12)


@pytest.fixture(params=ROOMS, ids=lambda room: room.name)
def room(request: pytest.FixtureRequest) -> Provider:
    found: Provider = request.param
    return found


@pytest.fixture
def shops(
    room: Provider, small_world: World, tmp_path: Path, new_place: Callable[[Path], Place]
) -> Callable[[], Shop]:
    """Makes shops of the same world, each with a warehouse of its own."""
    count = iter(range(100))
    return lambda: Shop(room, small_world, new_place(tmp_path / f"shop{next(count)}"))


@pytest.fixture
def shop(shops: Callable[[], Shop]) -> Shop:
    return shops()


@pytest.fixture(scope="session")
def first_syncs(
    small_world: World, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Provider], Shop]:
    """Shops after a first sync of everything, on DuckDB: each made once, to be looked at."""
    made: dict[str, Shop] = {}

    def of(room: Provider) -> Shop:
        if room.name not in made:
            shop = Shop(room, small_world, Place(tmp_path_factory.mktemp(room.name)).ready())
            whole(shop.sync())
            made[room.name] = shop
        return made[room.name]

    return of


@pytest.fixture
def first(room: Provider, first_syncs: Callable[[Provider], Shop]) -> Shop:
    """A shop after a first sync of everything: for looking, others look at it too."""
    return first_syncs(room)


@pytest.fixture
def synced(
    room: Provider,
    engine: str,
    shops: Callable[[], Shop],
    first_syncs: Callable[[Provider], Shop],
    tmp_path: Path,
) -> Shop:
    """A shop of the test's own after a first sync of everything."""
    if engine == "duckdb":
        first = first_syncs(room)
        shutil.copytree(first.folder, tmp_path / "synced")
        return Shop(room, first.world, Place(tmp_path / "synced"))
    shop = shops()
    shop.sync()
    return shop
