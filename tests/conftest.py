"""What every test shares: no network but loopback, and a project folder of its own."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from place import Place
    from real_postgres import Server

# Two cores do several things at once: how long an example takes says nothing.
settings.register_profile(
    "quiet", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("quiet")


@pytest.fixture(autouse=True)
def only_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail loudly when a test would leave this machine."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        if isinstance(address, tuple) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise AssertionError(f"a test asked for {address[0]}")
        connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(autouse=True)
def own_umask() -> Iterator[None]:
    """Commands that run in this process close its files to others: the next test's are as usual."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where `CI` is set, what could not run was not checked, and does not pass."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = len(reporter.stats.get("skipped", [])) if reporter else 0
    if os.environ.get("CI") and skipped:
        reporter.write_line(f"error: {skipped} skipped, and CI skips none: see what is missing")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment without a setting of doblecheck's or a provider's key."""
    for name in list(os.environ):
        if name.startswith(("DOBLECHECK_", "KAPSO_", "WASPY_")):
            monkeypatch.delenv(name)
    return monkeypatch


@pytest.fixture(scope="session")
def postgres() -> Server:
    """A real PostgreSQL that all tests share."""
    from real_postgres import new_server

    return new_server()


@pytest.fixture(scope="session")
def older_postgres() -> Server:
    """One of an older version, which is the system's own."""
    from real_postgres import SYSTEMS_OWN, new_server

    if not SYSTEMS_OWN:
        pytest.skip("the system has no PostgreSQL of its own that is new enough")
    return new_server(SYSTEMS_OWN[0])


ENGINES = ("duckdb", "postgres")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests of a warehouse run on both engines: those marked `both_engines` by default, the others
    on PostgreSQL in the matrix only."""
    if "engine" in metafunc.fixturenames:
        by_default = metafunc.definition.get_closest_marker("both_engines")
        marks = () if by_default else (pytest.mark.matrix,)
        engines = [ENGINES[0], pytest.param(ENGINES[1], marks=marks)]
        metafunc.parametrize("engine", engines, indirect=True, scope="session")


@pytest.fixture(scope="session")
def engine(request: pytest.FixtureRequest) -> str:
    """duckdb or postgres."""
    return str(request.param)


@pytest.fixture(scope="session")
def engine_url(engine: str, request: pytest.FixtureRequest) -> str | None:
    """The URL of an empty database that the session shares; None for DuckDB."""
    return request.getfixturevalue("postgres").database() if engine == "postgres" else None


@pytest.fixture(scope="session")
def new_place(engine: str, request: pytest.FixtureRequest) -> Callable[[Path], Place]:
    """Makes warehouses of the engine, with all raw tables and nothing in them."""
    from place import Place

    def make(folder: Path) -> Place:
        if engine == "duckdb":
            return Place(folder).ready()
        return Place(folder, request.getfixturevalue("postgres").database()).ready()

    return make


@pytest.fixture
def postgres_url(postgres: Server) -> str:
    """The URL of an empty database of the test's own."""
    return postgres.database()
