"""The ready queries run and the parts of the marts add up, on the published cases' histories."""

from pathlib import Path

import pytest

from pipelines.building.dbt_runner import Dbt
from pipelines.care.reconcile import SUMS
from pipelines.commands.verify import Book, fill
from pipelines.errors import BuildFailed

pytestmark = pytest.mark.both_engines

ROOT = Path(__file__).parents[2]
QUERIES = sorted((ROOT / "docs" / "queries").glob("*.sql"))
MUTANTS = {
    "days_add_up_to_rows": "delete from marts.mart_daily_messages where day = '2026-03-03'",
    "agents_add_up_to_turns": "update marts.mart_daily_agents set turns = turns + 1",
    "template_versions_follow_one_another": "update marts.dim_templates set is_current = false",
    "days_add_up_to_turns": "delete from marts.mart_daily_response_times where turns = 4",
}


@pytest.fixture(scope="module")
def built(warehouse):
    book, place = Book(), warehouse.place.warehouse
    with place.connect() as connection:
        fill(connection, book)
    warehouse.build(as_of=book.as_of)
    return warehouse


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.stem)
def test_a_ready_query_says_what_it_answers_and_answers(built, query):
    text = query.read_text("utf-8")
    assert text.startswith("-- ")
    assert built.rows(text)


def test_all_parts_add_up(built):
    rows = built.rows(SUMS)
    assert all(row["total"] == row["parts"] > 0 for row in rows)


def test_what_does_not_add_up_fails_the_test_that_is_named_for_it(built, tmp_path):
    place = built.place.copy(tmp_path / "copy")
    dbt = Dbt(place.warehouse.dbt_output(), place.folder, threads=2)
    # Where dbt looks: readers on PostgreSQL have other tables.
    marts = "marts_next." if place.url else "marts."
    for mutant in MUTANTS.values():
        place.run(mutant.replace("marts.", marts))
    with pytest.raises(BuildFailed) as failure:
        dbt.run("test", "--select", *MUTANTS)
    assert all(name in str(failure.value) for name in MUTANTS)
