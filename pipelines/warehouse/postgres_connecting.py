"""How PostgreSQL is reached: the options of a URL, and what its errors mean to a reader."""

from __future__ import annotations

import getpass
import os
from ipaddress import ip_address

import psycopg
from psycopg.conninfo import conninfo_to_dict

from pipelines.errors import ConfigError, DiskFull, WarehouseAway, WarehouseError

OLDEST = 150_000
"""The oldest version that will do, as in `server_version_num`."""

AWAY = ("08", "57P", "53300")
"""SQLSTATEs, or how they begin, of a server that is gone, starts or takes no more connections."""

NOT_OPENED = (
    ("password authentication failed", "the password is refused", "look at warehouse.url"),
    ("does not exist", "there is no such database or role", "make it, then: doblecheck init-db"),
    (
        "does not match host name",
        "its certificate is for another host",
        "write the host in the URL as the certificate has it; if it should be that, do not go on",
    ),
    (
        "certificate",
        "its certificate can't be verified",
        "add sslrootcert=FILE with the server's own authority to the URL (Supabase: Database "
        "settings, SSL); sslmode=require goes without verification",
    ),
    (
        "does not support SSL",
        "it does not speak TLS",
        "on a network that you trust: sslmode=disable in the URL",
    ),
    ("remaining connection slots", "it takes no more connections", "use its pooler"),
    ("too many", "it takes no more connections", "use its pooler, or close some"),
)
"""What libpq says, what it means, and what to do."""


def connection_options(url: str, *, key: str = "warehouse.url") -> dict[str, str]:
    """libpq's options of a URL, with defaults; a server that is not on this machine is verified."""
    try:
        given = conninfo_to_dict(url)
    except psycopg.Error:  # it quotes the URL
        raise ConfigError(
            f"{key} can't be read",
            hint="postgresql://user:password@host:5432/database; %-encode what is special in it",
        ) from None
    options = {name: str(value) for name, value in given.items() if value not in (None, "")}
    options.setdefault("host", os.environ.get("PGHOST", "localhost"))
    options.setdefault("port", os.environ.get("PGPORT", "5432"))
    options.setdefault("user", os.environ.get("PGUSER") or getpass.getuser())
    options.setdefault("dbname", options["user"])
    if password := os.environ.get("PGPASSWORD"):  # libpq's own way; dlt and dbt are told
        options.setdefault("password", password)
    if not _is_here(options["host"]):
        options.setdefault("sslmode", "verify-full")
    if options.get("sslmode") == "verify-full":
        options.setdefault("sslrootcert", "system")
    return options


def in_url(host: str) -> str:
    """A host as URLs have it: an IPv6 address stands in brackets."""
    return f"[{host}]" if ":" in host else host


def _is_here(host: str) -> bool:
    try:
        return host.startswith("/") or host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def explained(error: BaseException, name: str) -> WarehouseError | None:
    """Our error for a server that is away, full or says no; None for others.

    Args:
        error: of psycopg, or of dlt's psycopg2.
        name: the database's, without a password.
    """
    state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if state == "53100":
        return DiskFull(
            "there is no room left on the database's disk",
            hint="make room there, then run again: nothing is lost",
        )
    if state == "42501":
        return WarehouseError(
            "the database's role may not do this", hint="give it the rights: doblecheck init-db"
        )
    if state == "25006":
        return WarehouseAway(
            "the database takes no writes",
            hint="a full disk, a standby, or a role that only reads: look which one it is",
        )
    is_cut = state is None and bool(kinds & {"OperationalError", "InterfaceError"})
    if is_cut or (state or "").startswith(AWAY):
        return WarehouseAway(
            f"the database at {name} went away",
            hint="when it is back, run again: nothing is lost",
        )
    return None


def check_version(version: int, name: str) -> None:
    """See that a server is new enough for what is asked of it: views with the reader's rights, and
    MERGE.

    Raises:
        WarehouseError: it is not.
    """
    if version < OLDEST:
        raise WarehouseError(
            f"{name} is PostgreSQL {version // 10_000}",
            hint=f"doblecheck needs {OLDEST // 10_000} or newer",
        )


def not_opened(error: psycopg.Error, name: str) -> WarehouseError:
    """What kept a connection from being made; libpq's own words may quote the URL."""
    told = str(error)
    for sign, problem, hint in NOT_OPENED:
        if sign in told:
            return WarehouseError(f"{name}: {problem}", hint=hint)
    return WarehouseAway(
        f"the database at {name} does not answer", hint="is it running? is the host right?"
    )
