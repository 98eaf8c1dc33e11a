"""The build itself: what it needs, what it repeats, how it fails."""

import duckdb
import pytest

from pipelines.build import _Dbt, ensure_raw_tables, rooms
from pipelines.errors import BuildFailed
from pipelines.provider import COMMON_COLUMNS, Table, fields


def test_an_empty_warehouse_builds_empty_marts(warehouse):
    result = warehouse.build()
    assert result.models > 20
    assert result.tests > 30
    assert result.warnings == ()
    assert warehouse.rows("select * from marts.fct_turns") == []


def test_building_twice_gives_the_same_rows(warehouse):
    warehouse.asks("again", 0, 60)
    warehouse.person_replies("again", 120)
    warehouse.build()
    before = warehouse.rows("select * from marts.fct_turns order by turn_key")
    warehouse.build(full=True)
    assert warehouse.rows("select * from marts.fct_turns order by turn_key") == before
    assert len(before) == 2


def test_the_models_own_unit_tests_pass(warehouse):
    dbt = _Dbt(warehouse.path, warehouse.folder, threads=2)
    assert len(dbt.run("test", "--select", "test_type:unit").result.results) >= 2


def test_arrival_order_does_not_matter(warehouse):
    marts = "select * from marts.fct_turns order by turn_key"
    before = warehouse.rows(marts)
    warehouse.run(
        "create or replace table raw_kapso.messages as"
        " select * from raw_kapso.messages order by id desc"
    )
    warehouse.build()
    assert warehouse.rows(marts) == before


def test_a_failing_model_is_named_and_no_row_is_shown(warehouse):
    warehouse.run("alter table raw_kapso.messages rename to broken")
    warehouse.run(
        "create table raw_kapso.messages as select *, 'secret' as fresh from raw_kapso.broken"
    )
    warehouse.run("alter table raw_kapso.messages drop column kapso_direction")
    warehouse.run("alter table raw_kapso.messages add column kapso_direction text[]")
    with pytest.raises(BuildFailed) as failure:
        warehouse.build()
    assert "stg_kapso__messages" in str(failure.value)
    assert "secret" not in str(failure.value) + failure.value.hint


def test_a_room_brings_every_raw_table_and_its_sync_state():
    with duckdb.connect() as connection:
        ensure_raw_tables(connection, rooms())
        tables = {
            f"{schema}.{name}"
            for schema, name in connection.execute(
                "select table_schema, table_name from information_schema.tables"
            ).fetchall()
        }
    expected = {f"raw_{room}.{table.name}" for room, all_ in rooms().items() for table in all_}
    assert tables == expected | {f"raw_{room}.sync_state" for room in rooms()}


def test_a_column_that_is_new_is_added_to_a_table_that_has_rows():
    old, new = (Table("things", fields("id", *more)) for more in ((), ("name", "select")))
    with duckdb.connect() as connection:
        ensure_raw_tables(connection, {"shop": [old]})
        connection.execute("insert into raw_shop.things (id, account) values ('1', 'a')")
        for _ in range(2):
            ensure_raw_tables(connection, {"shop": [new]})
        cursor = connection.execute("select * from raw_shop.things")
        names = [column[0] for column in cursor.description]
        assert set(names) == {"id", "name", "select", *COMMON_COLUMNS}
        assert len(cursor.fetchall()) == 1
