"""The build itself: what it needs, what it repeats, how it fails."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from dbt_common.events.types import Note

import models
from pipelines.building import dbt_runner
from pipelines.building.dbt_runner import Dbt
from pipelines.building.dbt_start import load_dbt
from pipelines.errors import BuildFailed

from .conftest import Warehouse

MODELS = Path(models.__file__).parent
FOLDERS = ("staging", "intermediate", "marts")
CHECKS = {file.stem for file in (MODELS / "tests").glob("*.sql")}


@pytest.fixture
def warehouse(new_place, tmp_path):
    """One for each test: some break theirs, and tests run in any order."""
    return Warehouse(new_place(tmp_path).loosened())


@pytest.fixture(scope="module")
def empty(new_place, tmp_path_factory):
    """A warehouse that was built while nothing was in it, what that build said, and its checks."""
    made = Warehouse(new_place(tmp_path_factory.mktemp("empty")).loosened())
    return made, made.build(), checks(made)


@pytest.fixture
def built(empty, tmp_path):
    """One for each test that was built while nothing was in it."""
    return Warehouse(empty[0].place.copy(tmp_path / "built"))


def checks(warehouse):
    """The tests of the last build."""
    told = json.loads((warehouse.folder / "dbt" / "tests.json").read_text("utf-8"))
    return {test["name"] for test in told["tests"]}


def test_an_empty_warehouse_builds_empty_marts(empty):
    warehouse, result, made = empty
    assert result.is_full
    assert result.models == sum(len([*(MODELS / name).rglob("*.sql")]) for name in FOLDERS)
    assert result.tests > 30
    assert result.warnings == ()
    assert made >= CHECKS
    assert warehouse.rows("select * from marts.fct_turns") == []


def test_building_twice_gives_the_same_rows(warehouse):
    warehouse.asks("again", 0, 60)
    warehouse.person_replies("again", 120)
    warehouse.build()
    before = warehouse.rows("select * from marts.fct_turns order by turn_key")
    warehouse.build(full=True)
    assert warehouse.rows("select * from marts.fct_turns order by turn_key") == before
    assert len(before) == 2


def test_a_process_reads_the_project_once(built, monkeypatch):
    """dbt takes a second to read it, on every command, unless it is given what it read before."""
    load_dbt()
    from dbt.parser.manifest import ManifestLoader

    readings = []
    read = ManifestLoader.load
    monkeypatch.setattr(ManifestLoader, "load", lambda self: readings.append(1) or read(self))
    dbt_runner._manifests.clear()
    for _ in range(2):
        built.build()
    assert len(readings) == 1


def test_what_dbt_says_is_written_when_somebody_reads_it():
    load_dbt()
    load_dbt()  # as every command of dbt does
    said = Note(msg="hello")
    assert "pb_msg" not in vars(said)
    assert said.message() == "hello"
    said.msg = "good bye"
    assert said.to_dict() == {"msg": "good bye"}
    with pytest.raises(AttributeError):
        _ = said.nothing


def test_dbt_by_itself_accepts_the_whole_project(tmp_path):
    """Builds skip its comparison of settings and properties with schemas, and its search for models
    that go round in circles: here both are made."""
    profile = {"type": "duckdb", "path": str(tmp_path / "any.duckdb")}
    (tmp_path / "profiles.yml").write_text(
        json.dumps({"doblecheck": {"target": "any", "outputs": {"any": profile}}})
    )
    command = [
        *(sys.executable, "-c", "from dbt.cli.main import cli; cli()"),
        *("--no-send-anonymous-usage-stats", "list", "--no-partial-parse"),
        *("--project-dir", str(MODELS), "--profiles-dir", str(tmp_path)),
        *("--target-path", str(tmp_path / "target"), "--log-path", str(tmp_path)),
    ]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout


def test_every_model_has_a_unit_test():
    tested = "".join(file.read_text() for file in MODELS.glob("*/**/*unit_tests.yml"))
    models = {file.stem for folder in FOLDERS for file in MODELS.glob(f"{folder}/**/*.sql")}
    missing = {name for name in models if f"    model: {name}\n" not in tested}
    assert len(models) > 80
    assert len(missing) <= len(models) / 20, missing


@pytest.mark.both_engines
def test_the_models_own_unit_tests_pass(built):  # they look at the columns of what is there
    dbt = Dbt(built.place.warehouse.dbt_output(), built.folder, threads=2)
    assert len(dbt.run("test", "--select", "test_type:unit").result.results) > 100


def test_a_message_that_no_model_took_fails_the_build_of_what_is_new(built):
    built.asks("lost", 0)
    assert not built.build().is_full
    assert checks(built) >= CHECKS
    # Where a build works: readers on PostgreSQL look at other tables.
    marts = "marts_next" if built.place.url else "marts"
    built.run(f"delete from {marts}.fct_messages where message_id like 'lost-%'")
    built.asks("found", 0)
    with pytest.raises(BuildFailed, match="every_raw_message_is_a_row") as failure:
        built.build()
    log = built.folder / "dbt" / dbt_runner.LOG
    assert str(log) in failure.value.hint
    assert "every_raw_message_is_a_row" in log.read_text("utf-8")
    built.build(full=True)


def test_arrival_order_does_not_matter(warehouse):
    marts = "select * from marts.fct_turns order by turn_key"
    warehouse.asks("ordered", 0, 60, 300)
    warehouse.person_replies("ordered", 120, 400)
    warehouse.build()
    before = warehouse.rows(marts)
    assert before
    warehouse.run("create table shuffled as select * from raw_kapso.messages order by id desc")
    warehouse.run("delete from raw_kapso.messages")
    warehouse.run("insert into raw_kapso.messages select * from shuffled")
    warehouse.run("drop table shuffled")
    warehouse.build()
    assert warehouse.rows(marts) == before


def test_a_failing_model_is_named_and_no_row_is_shown(built):
    built.asks("broken", 0)  # views stand: what fails is a table
    if not built.place.url:  # where views let no column go
        built.run("alter table raw_kapso.messages rename to broken")
        built.run("create table raw_kapso.messages as select * from raw_kapso.broken")
    built.run("alter table raw_kapso.messages drop column kapso_direction cascade")
    built.run("alter table raw_kapso.messages add column kapso_direction text[]")
    built.run("update raw_kapso.messages set kapso_status = 'secret'")
    with pytest.raises(BuildFailed) as failure:
        built.build()
    assert "int_messages__" in str(failure.value)
    assert "secret" not in str(failure.value) + failure.value.hint
