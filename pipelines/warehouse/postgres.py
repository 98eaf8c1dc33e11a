"""PostgreSQL: one database for writers and readers, on a server of one's own or on Supabase.

Everything works through a transaction pooler too, where a session is only a transaction long: no
statement is prepared under a name, nothing is set for a session, and the lock is a transaction's.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast
from urllib.parse import quote, urlencode

import psycopg

from pipelines.errors import (
    ConfigError,
    NotPublished,
    WarehouseAway,
    WarehouseBusy,
    WarehouseError,
)
from pipelines.failpoint import failpoint
from pipelines.provider import Provider
from pipelines.warehouse.base import (
    BUILT_SCHEMAS,
    Connection,
    Published,
    SyncState,
    Warehouse,
    Watched,
    make_schema,
)
from pipelines.warehouse.postgres_asking import look_at_text, refused
from pipelines.warehouse.postgres_connecting import (
    check_version,
    connection_options,
    explained,
    in_url,
    not_opened,
)
from pipelines.warehouse.postgres_publishing import (
    NEXT,
    NOTES,
    PAUSE,
    PUBLISHING,
    SECONDS,
    Waited,
    publish,
)
from pipelines.warehouse.postgres_roles import HAND_OVER, READER, secure, statements

if TYPE_CHECKING:
    from polars import DataFrame

LOCK = 0x646F626C65  # "doble": one run per database
READER_SECONDS = 60
INSERTED_ROWS = 1000
"""Rows of one insert: their texts are one message to the server, of a gigabyte at most."""

TLS = ("sslmode", "sslcert", "sslkey", "sslrootcert")
"""What a profile of dbt's says of TLS. None of it is secret."""

SECRET = "DBT_ENV_SECRET_DOBLECHECK"  # noqa: S105 - dbt hides the values of such names in its logs

OPENED = {"application_name": "doblecheck", "connect_timeout": "15", "keepalives_idle": "30"}
"""How connections are opened where the URL does not say it otherwise."""

BUILD_OPTIONS = (
    "-c TimeZone=UTC -c jit=off -c work_mem=64MB -c random_page_cost=1.1"
    " -c default_statistics_target=30 -c statement_timeout=0"
)
"""A time without a zone is UTC; compiling takes longer than it saves on statements as these. No
disk has a head to move: with the default an index is left for a look at every row. A look at 9,000
rows of a table says enough: at 30,000 of each it is a tenth of a full build. And no limit of the
server's own may end a long statement."""

LOADED = r"""
select format('%I.%I', pg_stat_user_tables.schemaname, pg_stat_user_tables.relname)
from pg_stat_user_tables inner join pg_class on pg_stat_user_tables.relid = pg_class.oid
where
    schemaname like 'raw\_%' and schemaname not like '%\_staging'  -- dlt's, empty between loads
    and (reltuples < 0 or n_mod_since_analyze > 1000 + 0.1 * n_live_tup)
    and pg_has_role(relowner, 'usage')
"""
"""Raw tables of this role that the planner does not know, or not as they are. A crash, and a copy
of the database, forget how much was loaded."""

CAN_BE = "staging.can_be(text, text)"


class PostgresWarehouse(Warehouse):
    """A PostgreSQL database.

    Args:
        url: `postgresql://user:password@host:port/database?…` with libpq's options.
        data_dir: where working files go.

    Raises:
        ConfigError: the URL can't be read, or names several hosts.
    """

    has_row_keys = True
    load_format: Literal["csv"] | None = "csv"

    def __init__(self, url: str, data_dir: Path) -> None:
        self.data_dir = data_dir
        self._options = OPENED | connection_options(url)
        if "," in self._options["host"] + self._options["port"]:  # libpq can, dlt and dbt can't
            raise ConfigError(
                "warehouse.url names several hosts",
                hint="name the one that takes writes, or a proxy that knows it",
            )
        host, port = in_url(self._options["host"]), self._options["port"]
        self.name = f"postgresql://{host}:{port}/{self._options['dbname']}"
        self._holder: psycopg.Connection[Any] | None = None

    scratch = "unlogged table"  # a crash empties it, with the tables that models made
    # A version of a row: no other ever has its place and the transaction that wrote it. To hash
    # its columns would take as long as all else that looks for news.
    fingerprint = "hashtidextended(raw_row.ctid, raw_row.xmin::text::bigint)"

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the warehouse for one run, by a transaction that stays open and does nothing.

        A pooler may hand the next statement of a session to another one, but never that of a
        transaction; and the server ends it when the holder dies.

        Raises:
            WarehouseBusy: another run holds it.
        """
        self.make_folders()
        with self._opened() as connection:
            connection.execute("begin")
            connection.execute(
                "select set_config(name, '0', true) from pg_settings "
                "where name in ('idle_in_transaction_session_timeout', 'transaction_timeout')"
            )
            found = connection.execute("select pg_try_advisory_xact_lock($1)", [LOCK]).fetchone()
            if found != (True,):
                raise WarehouseBusy(
                    "another run holds the warehouse", hint="wait until it ends, then try again"
                )
            self._holder = connection
            try:
                yield
            finally:
                self._holder = None
                with suppress(WarehouseError), self._opened() as other:
                    other.execute(HAND_OVER)  # or the next run does, or init-db
            with self.connect() as other:  # the role that builds may not
                self._look_at_tables(other)

    def _still_held(self) -> None:
        """Ask whether the run holds its lock: its connection may have been cut since.

        Raises:
            WarehouseAway: it was, and another run may hold the warehouse now.
        """
        try:
            if self._holder is not None:
                self._holder.execute("select 1")
        except psycopg.Error:
            raise WarehouseAway(
                "the connection that held the warehouse was cut", hint="run again: nothing is lost"
            ) from None

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """A connection that writes."""
        with self._opened() as connection:
            yield cast("Connection", connection)

    def save_sync_states(self, room: Provider, states: Sequence[SyncState]) -> None:
        """Remember how far each resource was read, while the lock is still ours."""
        self._still_held()
        super().save_sync_states(room, states)

    def prepare_build(self, connection: Connection) -> None:
        """Make the schemas of the models, one more for marts that nobody may see yet, and the
        function that says whether a text can be cast: PostgreSQL has it since 16."""
        super().prepare_build(connection)
        make_schema(connection, NEXT)
        connection.execute(NOTES)
        self._look_at_tables(connection)
        version = connection.execute("select current_setting('server_version_num')::int")
        connection.execute(can_be(cast("tuple[int]", version.fetchone())[0]))
        connection.execute(f"revoke all on function {CAN_BE} from public")

    def forget_models(self, connection: Connection, kept: Collection[str]) -> None:
        """Drop the tables of the models, with what reads them: they are made anew, and count for
        nothing until a build passes. Views that readers use read raw tables, and stay."""
        tables = connection.execute(
            "select format('%I.%I', schemaname, tablename) from pg_tables "
            "where schemaname = any ($1::text[]) and tablename <> all ($2::text[])",
            [["intermediate", NEXT], [*kept, "to_publish"]],
        ).fetchall()
        if tables:
            names = ", ".join(name for (name,) in tables)
            connection.execute(f"drop table {names} cascade")

    def look_at(self, connection: Connection, table: str) -> None:
        """Have it analyzed: else half a million rows are joined as if they were a few."""
        connection.execute(f"analyze {table}")

    def ensure_raw_tables(self, rooms: Iterable[Provider]) -> None:
        """Make the raw tables and columns that are not there yet, and close them to others."""
        rooms = tuple(rooms)
        super().ensure_raw_tables(rooms)
        with self._opened() as connection:
            connection.execute(secure(rooms))

    def _look_at_tables(self, connection: Connection) -> None:
        """Let the planner know what was loaded into raw tables since it last looked: else it joins
        half a million rows as if they were a few. The server's own look may come too late."""
        for (name,) in connection.execute(LOADED).fetchall():
            self.look_at(connection, name)

    def make_roles(self, rooms: Iterable[Provider]) -> None:
        """Make the roles, the schemas and their rights, as `postgres_roles` has them."""
        with self._opened() as connection, connection.transaction():
            for sql in statements(tuple(rooms)):
                connection.execute(sql)

    def publish(self) -> str:
        """Show readers what was built, in one transaction: see `postgres_publishing`.

        A statement sees all of the old or all of the new, and so does everything that one `reader`
        asks.

        Raises:
            WarehouseError: a reader does not come to an end.
        """
        failpoint("publish.checkpoint")
        self._still_held()
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            try:
                with self._opened() as connection:
                    publish(connection)
            except (Waited, psycopg.errors.LockNotAvailable):
                time.sleep(PAUSE)
            else:
                failpoint("publish.end")
                return f"{self.name}, schema marts"
        raise WarehouseError(
            "the marts could not be published: a reader holds them",
            hint="end long queries, or give readers the role that ends them: doblecheck init-db",
        )

    def compact(self) -> None:
        """Rewrite every table that this role owns, and its TOAST. The log of the server's own
        changes keeps old bytes until it is recycled, and backups as long as they are kept."""
        with self._opened() as connection:
            tables = connection.execute(
                "select format('%I.%I', nspname, relname) from pg_class "
                "join pg_namespace on pg_namespace.oid = relnamespace "
                "where relkind = 'r' and pg_has_role(relowner, 'usage') "
                r"and (nspname like 'raw\_%' or nspname = any ($1::text[]))",
                [[*BUILT_SCHEMAS, NEXT, "receiver", "erasure"]],
            ).fetchall()
            for (name,) in tables:
                connection.execute(f"vacuum (full, analyze) {name}")
                if not connection.execute(f"select from {name} limit 1").fetchall():
                    self._forget_notes_on(connection, name)
            # The planner's notes quote frequent values. Who does not own the database is warned,
            # and the server's own vacuum removes the old ones later.
            connection.execute("vacuum full pg_catalog.pg_statistic")

    def _forget_notes_on(self, connection: psycopg.Connection[Any], table: str) -> None:
        """Drop the planner's notes on an empty table: a look at it leaves the old ones. PostgreSQL
        can since 18; before, they stay until the table has rows again."""
        if connection.info.server_version >= 180_000:
            connection.execute(
                "select pg_clear_attribute_stats("
                "schemaname::text, tablename::text, attname::text, inherited) from pg_stats "
                "where format('%I.%I', schemaname, tablename) = $1",
                [table],
            )

    def newest(self) -> Published | None:
        """When the marts were published; None before the first time."""
        with self._opened() as connection:
            return self._newest(connection)

    def _newest(self, connection: psycopg.Connection[Any]) -> Published | None:
        found = connection.execute(
            "select substring(obj_description(to_regnamespace('marts'), 'pg_namespace') "
            "from 'published by doblecheck at (.*)')::timestamptz"
        ).fetchone()
        at: datetime | None = found[0] if found else None
        return Published(f"{self.name}, schema marts", at.astimezone(UTC)) if at else None

    @contextmanager
    def reader(self) -> Iterator[Connection]:
        """A read-only transaction, as the reader's role when this one may become it.

        Raises:
            NotPublished: no build was published.
        """
        with self._opened() as connection:
            if self._newest(connection) is None:
                raise NotPublished(
                    f"nothing is published in {self.name}", hint="run: doblecheck run"
                )
            connection.execute("begin read only")
            connection.execute("select pg_advisory_xact_lock_shared($1)", [PUBLISHING])
            connection.execute(f"set local statement_timeout = '{READER_SECONDS}s'")
            role = connection.execute(
                # Roles are the server's: this database may never have been told of this one.
                "select 1 from pg_roles where rolname = $1 and pg_has_role(oid, $2) "
                "and has_schema_privilege(oid, 'marts', 'usage')",
                # Since PostgreSQL 16 who is a member of a role need not be allowed to become it.
                [READER, "set" if connection.info.server_version >= 160_000 else "member"],
            ).fetchall()
            if role:
                connection.execute(f"set local role {READER}")
            yield cast("Connection", connection)

    @contextmanager
    def watch(self) -> Iterator[Watched]:
        """The database, and whether a run holds its lock."""
        with self._opened() as connection:
            held = connection.execute(
                "select 1 from pg_locks join pg_database on pg_database.oid = pg_locks.database "
                "where locktype = 'advisory' and datname = current_database() "
                "and (classid::bigint << 32) + objid::bigint = $1",
                [LOCK],
            ).fetchall()
            yield Watched(cast("Connection", connection), is_running=bool(held))

    def answer(self, sql: str) -> DataFrame:
        """The rows of one statement.

        Raises:
            NotPublished: no build was published.
            UsageError: it is not one that reads, or PostgreSQL refuses it.
        """
        from pipelines.warehouse.postgres_frames import frame

        with self.reader() as reader:
            connection = cast("psycopg.Connection[Any]", reader)
            look_at_text(sql)
            try:
                # The binary format takes the protocol in which a text is one statement.
                cursor = connection.cursor(binary=True).execute(sql)
                return frame(cursor)
            except psycopg.Error as error:
                raise refused(error) from None

    def insert(self, connection: Connection, table: str, rows: Sequence[Sequence[Any]]) -> None:
        """Insert rows by lists of texts, all or none: row security keeps COPY to a table's owner,
        and the builder writes what it understood into the loader's tables."""
        opened = cast("psycopg.Connection[Any]", connection)
        name, _, columns = table.partition(" (")
        like = opened.execute(f"select {columns.rstrip(')') or '*'} from {name} limit 0")
        lists = ", ".join(
            f"unnest(${place}::text[])::{column.type_display}"
            for place, column in enumerate(like.description or (), 1)
        )
        with opened.transaction():
            for first in range(0, len(rows), INSERTED_ROWS):
                some = zip(*rows[first : first + INSERTED_ROWS], strict=True)
                values = [[_storable(value) for value in column] for column in some]
                opened.execute(f"insert into {table} select {lists}", values)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A connection on which everything is done or nothing."""
        with self._opened() as connection, connection.transaction():
            yield cast("Connection", connection)

    def copy_csv(
        self, connection: Connection, table: str, columns: Sequence[str], file: Path
    ) -> None:
        """Load a CSV file without a header, in which nulls are what has no quotes."""
        names = ", ".join(f'"{column}"' for column in columns)
        cursor = cast("psycopg.Connection[Any]", connection).cursor()
        sql = f"copy {table} ({names}) from stdin with (format csv, null '')"
        with cursor.copy(sql) as copy, file.open("rb") as read:
            while part := read.read(1 << 20):
                copy.write(part.replace(b"\0", "\N{REPLACEMENT CHARACTER}".encode()))

    def dlt_destination(self) -> Any:
        """The database."""
        from pipelines.warehouse.postgres_loading import destination  # imports dlt

        return destination(self.url)

    @property
    def url(self) -> str:
        """The URL with the password and with every default that was chosen for it."""
        left = {**self._options}
        user, password = left.pop("user"), left.pop("password", "")
        host, port, name = left.pop("host"), left.pop("port"), left.pop("dbname")
        if host.startswith("/"):
            left["host"], host = host, "localhost"  # the option wins
        secret = f":{quote(password, safe='')}" if password else ""
        return (
            f"postgresql://{quote(user, safe='')}{secret}@{in_url(host)}:{port}"
            f"/{quote(name, safe='')}?{urlencode(left)}"
        )

    def dbt_output(self) -> dict[str, Any]:
        """The database. dbt finds the password in the environment: the profile is a file.

        Raises:
            ConfigError: the key of a certificate has a password, which dbt can't be told.
        """
        if "sslpassword" in self._options:
            raise ConfigError(
                "a build can't use sslpassword of warehouse.url: dbt has no place for it",
                hint="sslkey=FILE of a key without a password, that only its user may read",
            )
        os.environ[SECRET] = self._options.get("password", "")
        os.environ["PGOPTIONS"] = BUILD_OPTIONS
        tls = {name: value for name, value in self._options.items() if name in TLS}
        return {
            "type": "postgres",
            "host": self._options["host"],
            "port": int(self._options["port"]),
            "user": self._options["user"],
            "password": f"{{{{ env_var('{SECRET}') }}}}",
            "dbname": self._options["dbname"],
            "schema": "marts",
            "application_name": self._options["application_name"],
            "connect_timeout": int(self._options["connect_timeout"]),
            "keepalives_idle": int(self._options["keepalives_idle"]),
            "retries": 2,
            **tls,
        }

    def explain(self, error: BaseException) -> WarehouseError | None:
        """Our error for a server that is away, full or says no, by psycopg or by dlt's psycopg2."""
        if not type(error).__module__.startswith("psycopg"):
            return super().explain(error)
        return explained(error, self.name)

    @contextmanager
    def _opened(self) -> Iterator[psycopg.Connection[Any]]:
        try:
            connection = psycopg.connect(
                **cast("dict[str, Any]", self._options),
                autocommit=True,
                cursor_factory=psycopg.RawCursor,
                prepare_threshold=None,
            )
        except psycopg.Error as error:
            raise not_opened(error, self.name) from None
        with closing(connection):
            check_version(connection.info.server_version, self.name)
            try:
                yield connection
            except psycopg.Error as error:
                raise self.explain(error) or WarehouseError(
                    f"the database refused a statement ({type(error).__name__})",
                    hint="nothing is lost: run it again; if it stays, report it with this line",
                ) from None
            finally:
                # A server, and more so a pooler, would keep the locks of a transaction for a moment
                # after its connection is closed.
                with suppress(psycopg.Error):  # it was cut, and the server has ended it
                    connection.rollback()


def _storable(value: Any) -> str | None:
    """A value as a text that PostgreSQL can store: it holds no NUL."""
    return None if value is None else str(value).replace("\0", "\N{REPLACEMENT CHARACTER}")


def can_be(version: int) -> str:
    """SQL that makes `staging.can_be(text, type)`: whether a cast would succeed.

    Args:
        version: the server's, as in `server_version_num`.
    """
    head = "create or replace function staging.can_be(value text, kind text) returns boolean"
    if version >= 160_000:  # the planner puts its body in the place of the call
        return f"{head} language sql stable return pg_input_is_valid(value, kind)"
    return f"""
        {head} language plpgsql stable as $$
        begin
            execute format('select %L::%s', value, kind);
            return value is not null;
        exception when others then
            return false;
        end $$
    """
