"""Who may do what in the database: four roles, and row security for everybody else.

    doblecheck_owner     all of it, for erase, copy and for whoever runs everything with one role
    doblecheck_loader    syncs, receives and ingests: the raw schemas and the receiver's
    doblecheck_builder   builds: reads raw, makes the models, publishes
    doblecheck_reader    reads the marts, only that, and not for long

Three passes. `statements` are run once, by `doblecheck init-db`, and again after each new version
or whenever something looks wrong: they change nothing that is right. `secure` is run by every sync
and build, on the tables that it just made. `HAND_OVER` is run at its end, and by each publication.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pipelines.provider import Provider

OWNER, LOADER, BUILDER, READER = (
    f"doblecheck_{name}" for name in ("owner", "loader", "builder", "reader")
)
ROLES = (OWNER, LOADER, BUILDER, READER)

BUILT = ("staging", "intermediate", "marts", "marts_next")
RECEIVED = ("raw_webhooks", "receiver", "erasure")
OUTSIDERS = ("anon", "authenticated")
"""Roles of Supabase's Data API, for everybody on the internet. They get nothing."""

WORKING = {"timezone": "UTC", "statement_timeout": "0"}
"""Times without a zone are UTC, and no limit of the server's ends a long build or copy."""

SETTINGS: dict[str, dict[str, str]] = {
    READER: {
        "default_transaction_read_only": "on",
        "statement_timeout": "10s",
        "lock_timeout": "2s",
        "idle_in_transaction_session_timeout": "30s",
    },
    BUILDER: {"jit": "off", "work_mem": "64MB", "lock_timeout": "30s", **WORKING},
    LOADER: {"lock_timeout": "30s", **WORKING},
    OWNER: {"jit": "off", **WORKING},
}


HAND_OVER = f"""
do $$
declare
    t record;
begin
    for t in
        with made as (
            select
                relnamespace as schema, relowner as owner, oid::regclass::text as name,
                case relkind when 'v' then 'view' when 'S' then 'sequence' else 'table' end as kind
            from pg_class
            where relkind in ('r', 'p', 'v', 'S') and not exists (
                select from pg_depend -- the sequence of a column, which goes with its table
                where objid = pg_class.oid and deptype in ('a', 'i') and relkind = 'S'
            )
            union all
            select pronamespace, proowner, oid::regprocedure::text, 'routine' from pg_proc
        )
        select kind, name, rolname as role
        from made
        inner join pg_namespace on schema = pg_namespace.oid
        inner join pg_roles on nspowner = pg_roles.oid
        where
            rolname in ('{LOADER}', '{BUILDER}') and owner <> nspowner
            and pg_has_role(owner, 'usage') and pg_has_role(nspowner, 'member')
    loop
        execute format('alter %s %s owner to %I', t.kind, t.name, t.role);
    end loop;
end $$"""
"""Gives what this role has in the loader's and the builder's schemas to them, who can't go on with
tables of the owner's. Where `init-db` was not run no schema is theirs, and nothing happens."""


def schemas(rooms: Iterable[Provider]) -> dict[str, str]:
    """Schema → the role that owns it."""
    raw = [schema for room in rooms for schema in (room.schema, f"{room.schema}_staging")]
    return dict.fromkeys((*raw, *RECEIVED), LOADER) | dict.fromkeys(BUILT, BUILDER)


def statements(rooms: Iterable[Provider]) -> Iterator[str]:
    """SQL that makes the roles, the schemas and their rights. Any of it may be run again."""
    owners = schemas(rooms)
    yield from map(_role, ROLES)
    # Whoever runs this hands schemas over to the roles, so it has to be able to become them.
    yield from (f"grant {role} to current_user" for role in ROLES)
    yield f"grant {LOADER}, {BUILDER}, {READER} to {OWNER}"
    for role, values in SETTINGS.items():
        yield from (f"alter role {role} set {name} = '{value}'" for name, value in values.items())
    yield _database()
    for schema, owner in owners.items():
        yield from _schema(schema, owner)
    yield HAND_OVER
    yield from _rights(owners)
    yield secure(rooms)


def _role(name: str) -> str:
    return (
        f"do $$ begin if not exists (select from pg_roles where rolname = '{name}') then "
        f"create role {name} login; end if; end $$"
    )


def _database() -> str:
    """What everybody may do in a database by default: make temporary tables, and before PostgreSQL
    15 tables in `public`. On Supabase the platform's own roles live by it. To connect and to use
    `public` stays everybody's: other applications may share the database."""
    granted = "".join(
        f"execute format('grant connect{also} on database %I to {', '.join(roles)}', "
        "current_database()); "
        for also, roles in ((", temporary", (OWNER, BUILDER)), ("", (LOADER, READER)))
    )
    create = f"execute format('grant create on database %I to {OWNER}', current_database()); "
    return (
        f"do $$ begin {granted}{create}"
        f"if not exists (select from pg_roles where rolname = 'supabase_admin') then "
        "execute format('revoke temporary on database %I from public', current_database()); "
        "revoke create on schema public from public; end if; end $$"
    )


def _schema(schema: str, owner: str) -> Iterator[str]:
    # Asked first: `if not exists` wants the right to create also when there is nothing to create.
    yield (
        f"do $$ begin if to_regnamespace('{schema}') is null then "
        f"create schema {schema} authorization {owner}; end if; end $$"
    )
    yield f"alter schema {schema} owner to {owner}"
    yield f"revoke all on schema {schema} from public"
    yield (
        f"do $$ declare role text; begin for role in select rolname from pg_roles "
        f"where rolname in ({_list(OUTSIDERS)}) loop "
        f"execute format('revoke all on schema {schema} from %I', role); "
        f"execute format('revoke all on all tables in schema {schema} from %I', role); "
        f"execute format('revoke all on all routines in schema {schema} from %I', role); "
        "end loop; end $$"
    )


def _rights(owners: dict[str, str]) -> Iterator[str]:
    for schema, owner in owners.items():
        if owner == LOADER and not schema.endswith("_staging") and schema != "receiver":
            yield f"grant usage on schema {schema} to {BUILDER}"
    yield f"grant usage on schema marts to {READER}"


def secure(rooms: Iterable[Provider]) -> str:
    """SQL that closes the tables that this role owns to everybody but our roles.

    Row security is on, and the one policy names our roles: any other sees no row, whatever it was
    granted. Views ask with the rights of whoever reads them. Without the roles, in a database where
    `init-db` was not run, row security alone is turned on. One statement, one round trip.
    """
    owners = schemas(rooms)
    raw = [name for name, owner in owners.items() if owner == LOADER and name.startswith("raw_")]
    read = [*(name for name in raw if not name.endswith("_staging")), "erasure"]
    return f"""
do $$
declare
    t record;
    roles text;
begin
    select string_agg(quote_ident(rolname), ', ') into roles
    from pg_roles where rolname in ({_list(ROLES)});
    for t in
        select
            format('%I.%I', nspname, relname) as name, nspname as schema, relkind,
            relrowsecurity as is_closed,
            coalesce('security_invoker=true' = any (reloptions), false) as is_invoker,
            exists (
                select from pg_policy where polrelid = pg_class.oid and polname = 'doblecheck'
            ) as is_granted
        from pg_class inner join pg_namespace on pg_namespace.oid = relnamespace
        where
            nspname in ({_list(owners)}) and relkind in ('r', 'p', 'v')
            and pg_has_role(relowner, 'usage')
    loop
        if t.relkind = 'v' then
            if not t.is_invoker then
                execute format('alter view %s set (security_invoker = true)', t.name);
            end if;
            continue;
        end if;
        if not t.is_closed then
            execute format('alter table %s enable row level security', t.name);
        end if;
        if roles is null or t.is_granted then
            continue;
        end if;
        execute format(
            'create policy doblecheck on %s to %s using (true) with check (true)', t.name, roles
        );
        if t.schema in ('marts', 'marts_next') then
            execute format('grant select on %s to {READER}', t.name);
        elsif t.schema in ({_list(read)}) then
            execute format('grant select on %s to {BUILDER}', t.name);
        end if;
        if t.schema = 'raw_webhooks' then -- a build notes which deliveries it has understood
            execute format('grant insert, update, delete on %s to {BUILDER}', t.name);
        end if;
        if t.schema in ({_list((*raw, "receiver", "erasure"))}) then
            execute format('grant select, insert, update, delete on %s to {LOADER}', t.name);
        end if;
    end loop;
end $$"""


def _list(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
