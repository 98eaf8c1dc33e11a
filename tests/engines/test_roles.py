"""What each role may do, and that nobody else sees a row (SEC-10, SEC-11)."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg
import pytest
from real_postgres import PASSWORD, Server

from pipelines.building import build as building
from pipelines.errors import UsageError, WarehouseError
from pipelines.events.webhook_tables import understand
from pipelines.providers import find
from pipelines.warehouse import SyncState, all_sync_states
from pipelines.warehouse.postgres import PostgresWarehouse
from pipelines.warehouse.postgres_roles import OUTSIDERS, ROLES, schemas, statements

OWNER, LOADER, BUILDER, READER = ROLES
ALL = {*ROLES}
NOBODY: set[str] = set()

MAY: dict[str, set[str]] = {
    "select count(*) from marts.fct_messages": {OWNER, BUILDER, READER},
    "select count(*) from raw_kapso.messages": {OWNER, LOADER, BUILDER},
    "select count(*) from intermediate.phone_keys": {OWNER, BUILDER},
    "select count(*) from receiver.deliveries": {OWNER, LOADER},
    "insert into raw_kapso.messages (account, id) values ('a', 'new')": {OWNER, LOADER},
    "update raw_kapso.messages set payload = null": {OWNER, LOADER},
    "delete from raw_webhooks.deliveries": {OWNER, LOADER, BUILDER},
    "delete from marts.fct_messages": {OWNER, BUILDER},
    "drop table marts.fct_messages": {OWNER, BUILDER},
    "drop table raw_kapso.messages cascade": {OWNER, LOADER},
    "create table raw_kapso.t (a int)": {OWNER, LOADER},
    "create table marts.t (a int)": {OWNER, BUILDER},
    "create table public.t (a int)": NOBODY,
    "create temporary table t (a int)": {OWNER, BUILDER},
    "create schema other": {OWNER},
    "create role other": NOBODY,
    "alter role doblecheck_reader superuser": NOBODY,
    "set role postgres": NOBODY,
    "select pg_read_file('PG_VERSION')": NOBODY,
    "copy (select 1) to program 'true'": NOBODY,
    "select rolpassword from pg_authid": NOBODY,
}
"""Statement → who may."""


@dataclass(frozen=True)
class Place:
    """A database with roles, a message, a delivery log and marts."""

    server: Server
    name: str

    def url(self, role: str) -> str:
        return self.server.url(self.name, role)

    def may(self, role: str, sql: str) -> bool:
        """Whether a role may; what it did is taken back."""
        with psycopg.connect(self.url(role)) as connection:
            try:
                if role == READER:  # it may turn that off, and has no more rights then
                    connection.execute("set transaction read write")
                connection.execute(sql)
            except psycopg.errors.InsufficientPrivilege:
                return False
            finally:
                connection.rollback()
        return True


@pytest.fixture(scope="module", params=["postgres", "older_postgres"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Place:
    postgres: Server = request.getfixturevalue(request.param)
    folder = tmp_path_factory.mktemp("roles")
    url = postgres.database()
    made = Place(postgres, url.rsplit("/", 1)[1])
    for name in OUTSIDERS:  # roles are the server's: they stay when this is made again
        there = postgres.run(f"select 1 from pg_roles where rolname = '{name}'")
        if not there:
            postgres.run(f"create role {name} nologin")
    PostgresWarehouse(url, folder).make_roles(find())
    for role in ROLES:
        postgres.run(f"alter role {role} password '{PASSWORD}'")
    loader = PostgresWarehouse(made.url(LOADER), folder / "loader")
    with loader.lock():
        loader.ensure_raw_tables(find())
    with loader.connect() as connection:
        connection.execute("insert into raw_kapso.messages (account, id) values ('a', 'one')")
        connection.execute("create table receiver.deliveries (body bytea)")
    loader.ensure_raw_tables(find())
    builder = PostgresWarehouse(made.url(BUILDER), folder / "builder")
    with builder.lock():
        building.build(builder)
        builder.publish()
    return made


@pytest.mark.parametrize("sql", MAY)
def test_each_role_may_do_its_own_work_and_nothing_else(place: Place, sql: str) -> None:
    assert {role for role in ROLES if place.may(role, sql)} == MAY[sql]


def test_a_reader_is_read_only_and_not_for_long(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PGOPTIONS", raising=False)  # those of a build, which ran in this process
    with psycopg.connect(place.url(READER), autocommit=True) as connection:
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            connection.execute("create temporary table t (a int)")
        shown = {
            name: connection.execute(f"show {name}").fetchone()
            for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
        }
    assert shown == {
        "statement_timeout": ("10s",),
        "lock_timeout": ("2s",),
        "idle_in_transaction_session_timeout": ("30s",),
    }


def test_outsiders_see_nothing_even_where_somebody_granted_it(place: Place) -> None:
    names = [*schemas(find())]
    with psycopg.connect(place.server.url(place.name)) as connection:
        tables = connection.execute(
            "select format('%%I.%%I', schemaname, tablename) from pg_tables "
            "where schemaname = any (%s) and not starts_with(tablename, '_dlt')",
            [names],
        ).fetchall()
        assert len(tables) > 60
        for outsider in OUTSIDERS:
            for (table,) in tables:
                with connection.transaction(force_rollback=True):
                    connection.execute(f"set local role {outsider}")
                    with pytest.raises(psycopg.errors.InsufficientPrivilege):
                        connection.execute(f"select * from {table}")
        with connection.transaction(force_rollback=True):
            connection.execute("grant usage on schema marts, raw_kapso to anon")
            connection.execute("grant select on all tables in schema marts, raw_kapso to anon")
            connection.execute("set local role anon")
            counted = connection.execute(
                "select (select count(*) from marts.fct_messages), "
                "(select count(*) from raw_kapso.messages)"
            ).fetchone()
            assert counted == (0, 0)


def test_what_supabase_lints_for_is_not_there(place: Place) -> None:
    names = ", ".join(f"'{name}'" for name in schemas(find()))
    found = place.server.run(
        f"""
        select relname from pg_class inner join pg_namespace on pg_namespace.oid = relnamespace
        where nspname in ({names}) and (
            relkind = 'm'
            or (relkind = 'r' and not relrowsecurity)
            or (relkind = 'v' and not coalesce('security_invoker=true' = any (reloptions), false))
        )
        union all
        select proname from pg_proc inner join pg_namespace on pg_namespace.oid = pronamespace
        where nspname in ({names}) and prosecdef
        """,
        place.name,
    )
    assert found == []


def test_making_the_roles_again_changes_nothing(place: Place, tmp_path: Path) -> None:
    before = rights(place)
    PostgresWarehouse(place.server.url(place.name), tmp_path).make_roles(find())
    assert rights(place) == before
    assert len(before) > 100


def rights(place: Place) -> list[tuple[object, ...]]:
    return place.server.run(
        """
        select
            nspname, relname, pg_get_userbyid(relowner),
            coalesce(relacl, acldefault('r', relowner))::text, relrowsecurity,
            reloptions::text, (select count(*) from pg_policy where polrelid = pg_class.oid)
        from pg_class inner join pg_namespace on pg_namespace.oid = relnamespace
        where relkind in ('r', 'v') and nspname not in ('pg_catalog', 'information_schema')
        union all
        select nspname, '', pg_get_userbyid(nspowner),
            coalesce(nspacl, acldefault('n', nspowner))::text, null, null, null
        from pg_namespace
        order by 1, 2
        """,
        place.name,
    )


def test_a_role_that_may_not_is_told_so(place: Place, tmp_path: Path) -> None:
    reader = PostgresWarehouse(place.url(READER), tmp_path)
    with pytest.raises(WarehouseError, match="takes no writes") as caught:
        reader.ensure_raw_tables([*find(), replace(find()[0], name="other")])
    assert "only reads" in caught.value.hint
    loader = PostgresWarehouse(place.url(LOADER), tmp_path)
    with pytest.raises(WarehouseError, match="may not") as caught:
        loader.ensure_raw_tables([replace(find()[0], name="other")])
    assert "init-db" in caught.value.hint
    with reader.reader() as connection:
        assert connection.execute("select count(*) from marts.fct_messages").fetchall() == [(1,)]


READING = (
    "select 1 as a",
    " -- why (do)\n/* so */ SELECT 1 as a",
    "(select 1 as a) union (select 2)",
    "with one as (select 1 as a) select * from one",
    "values (1)",
    "table marts.fct_messages",
    "show timezone",
    "explain select 1",
    "explain (analyze, costs off) select 1",
)
OTHERS = (
    "do $$ begin set local role none; perform count(*) from raw_kapso.messages; end $$",
    "/* /* */ select 1 */ do $$ begin end $$",
    "/* */ do $$ begin end $$ -- select",
    "copy (select 1) to program 'true'",
    "select set_config('role', 'none', true), (select count(*) from raw_kapso.messages)",
    "select U&\"set\\005fconfig\"('role', 'none', true)",
    "select query_to_xml('select set_' || 'config(''role'', ''none'', true)', true, true, '')",
    "with gone as (delete from marts.fct_messages returning *) select * from gone",
    "explain analyze delete from marts.fct_messages",
    "select pg_read_file('PG_VERSION')",
    "select count(*) from raw_kapso.messages",
    "select 1; select 2",
    "select 1; commit",
    "set role none",
    "",
)


@pytest.mark.parametrize("role", [OWNER, "postgres", READER])
def test_a_query_reads_the_marts_and_nothing_else(place: Place, tmp_path: Path, role: str) -> None:
    warehouse = PostgresWarehouse(place.url(role), tmp_path)
    for sql in READING:
        assert len(warehouse.answer(sql)) > 0, sql
    for sql in OTHERS:
        with pytest.raises(UsageError):
            pytest.fail(f"{sql}: {warehouse.answer(sql).rows()}")


def test_status_and_doctor_find_nothing_before_the_first_run(
    postgres: Server, tmp_path: Path
) -> None:
    """The schemas are there, and no table."""
    warehouse = PostgresWarehouse(postgres.database(), tmp_path)
    warehouse.make_roles(find())
    with warehouse.watch() as seen:
        assert seen.connection is not None
        assert list(all_sync_states(seen.connection, find())) == []
        warehouse.ensure_raw_tables(find()[:1])
        warehouse.save_sync_states(find()[0], [SyncState("a", "messages", {}, is_complete=True)])
        (told,) = all_sync_states(seen.connection, find())
    assert told[1].account == "a"


def test_what_another_role_made_is_handed_over(postgres: Server, tmp_path: Path) -> None:
    """As when the first run was the superuser's, and the roles came later."""
    url = postgres.database()
    first = PostgresWarehouse(url, tmp_path)
    first.ensure_raw_tables(find())
    with first.connect() as connection:
        first.prepare_build(connection)
        connection.execute("create sequence raw_kapso.numbers")
        connection.execute("create table raw_kapso.of_dlt (id bigint generated always as identity)")
    first.make_roles(find())
    assert strangers(postgres, url.rsplit("/", 1)[1]) == []
    postgres.run(f"alter role {BUILDER} password '{PASSWORD}'")
    builder = PostgresWarehouse(postgres.url(url.rsplit("/", 1)[1], BUILDER), tmp_path)
    with builder.connect() as connection:
        builder.prepare_build(connection)


def strangers(server: Server, database: str) -> list[tuple[object, ...]]:
    """What does not belong to the role that its schema belongs to."""
    return server.run(
        f"""
        with made as (
            select relnamespace as schema, relname as name, relowner as owner
            from pg_class where relkind in ('r', 'v', 'S')
            union all
            select pronamespace, proname, proowner from pg_proc
        )
        select nspname, name, pg_get_userbyid(owner)
        from made inner join pg_namespace on schema = pg_namespace.oid
        where pg_get_userbyid(nspowner) in ('{LOADER}', '{BUILDER}') and owner <> nspowner
        """,
        database,
    )


def test_after_the_owner_the_loader_and_the_builder_go_on(place: Place, tmp_path: Path) -> None:
    owner = PostgresWarehouse(place.url(OWNER), tmp_path / "owner")
    with owner.lock():
        owner.ensure_raw_tables(find())
        building.build(owner, full=True)
        owner.publish()
    assert strangers(place.server, place.name) == []
    with suppress(KeyError), owner.lock(), owner.connect() as connection:
        connection.execute("create table raw_kapso.of_the_owner (id text)")
        raise KeyError  # also a run that fails leaves nothing behind that others need
    assert strangers(place.server, place.name) == []
    builder = PostgresWarehouse(place.url(BUILDER), tmp_path / "builder")
    with builder.lock():
        building.build(builder)
        builder.publish()


def test_a_build_of_a_role_that_may_not_is_told_so(place: Place, tmp_path: Path) -> None:
    loader = PostgresWarehouse(place.url(LOADER), tmp_path)
    with pytest.raises(WarehouseError, match="may not do this"):
        building.build(loader)


def test_the_builder_understands_what_the_loader_ingested(place: Place, tmp_path: Path) -> None:
    body = {"message": {"id": "wamid.1", "kapso": {"direction": "inbound"}, "text": {"body": "a"}}}
    loader = PostgresWarehouse(place.url(LOADER), tmp_path)
    with loader.connect() as connection:
        rows = [("kapso", "shop", 1, json.dumps(body)), ("kapso", "shop", 2, "no JSON")]
        names = "provider, account, delivery_id, payload"
        loader.insert(connection, f"raw_webhooks.deliveries ({names})", rows)
    builder = PostgresWarehouse(place.url(BUILDER), tmp_path)
    with builder.connect() as connection:
        understood = understand(builder, connection, find())
    assert (understood.events, understood.rejected) == (1, 1)


def test_the_sql_names_no_password() -> None:
    assert not [sql for sql in statements(find()) if "password" in sql.lower()]
