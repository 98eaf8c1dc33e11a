"""How far the models are from other warehouses: each one, compiled for PostgreSQL, translated by
sqlglot and read back (`docs/scale.md`).

To be read is not to be right; what does not even translate is listed there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
import sqlglot
from sqlglot.errors import SqlglotError

from pipelines.building.dbt_runner import Dbt

PAGE = Path(__file__).parents[2] / "docs" / "scale.md"
BEGIN, END = "<!-- dialects -->", "<!-- end of dialects -->"
DIALECTS = ("snowflake", "bigquery", "clickhouse", "databricks", "trino")
NOWHERE = {
    "type": "postgres",
    "host": "127.0.0.1",
    "port": 9,
    "user": "nobody",
    "password": "none",
    "dbname": "none",
    "schema": "marts",
}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """Model → its SQL for PostgreSQL; no database is asked."""
    folder = tmp_path_factory.mktemp("compiled")
    dbt = Dbt(NOWHERE, folder, threads=1)
    dbt.run("compile", "--no-introspect", "--no-populate-cache", "--select", "resource_type:model")
    made = folder / "dbt" / "target" / "compiled" / "doblecheck"
    return {
        path.stem: path.read_text()
        for layer in ("staging", "intermediate", "marts")
        for path in (made / layer).rglob("*.sql")
        if not any(part.endswith(".yml") for part in path.parts)
    }


def translated(sql: str, dialect: str) -> str | None:
    """What is wrong with the translation; None when it can be read."""
    try:
        (text,) = sqlglot.transpile(sql, read="postgres", write=dialect, unsupported_level=RAISE)
        sqlglot.parse_one(text, read=dialect)
    except SqlglotError as error:
        return re.sub(r"[.] Line.*|[|`]", "", str(error).splitlines()[0])[:90]
    except AttributeError:  # sqlglot's own
        return "sqlglot stumbles over it"
    return None


RAISE = sqlglot.ErrorLevel.RAISE


def table(compiled: Mapping[str, str]) -> str:
    lines = ["| dialect | models that translate | what does not |", "| --- | --- | --- |"]
    for dialect in DIALECTS:
        problems: dict[str, int] = {}
        for sql in compiled.values():
            problem = translated(sql, dialect)
            if problem:
                problems[problem] = problems.get(problem, 0) + 1
        good = len(compiled) - sum(problems.values())
        told = "; ".join(f"{problem} ({count})" for problem, count in sorted(problems.items()))
        lines.append(f"| {dialect} | {good} of {len(compiled)} | {told or 'nothing'} |")
    return "\n".join(lines)


def test_the_models_speak_other_dialects(compiled: Mapping[str, str]) -> None:
    assert len(compiled) > 40
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    told, _, after = rest.partition(END)
    found = table(compiled)
    if os.environ.get("DOBLECHECK_WRITE_FIGURES"):
        PAGE.write_text(f"{before}{BEGIN}\n{found}\n{END}{after}", "utf-8")
        return
    assert [problems(line) for line in found.splitlines()] == [
        problems(line) for line in told.strip().splitlines()
    ]


def problems(line: str) -> list[str]:
    """A line of the table without its counts, which change with every new model."""
    return [re.sub(r"\d+", "", part) for part in line.split("|")]


def test_what_no_dialect_reads_would_be_told() -> None:
    assert translated("select from where", "snowflake")
