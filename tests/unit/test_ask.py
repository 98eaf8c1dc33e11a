"""`query` on DuckDB: whatever SQL gives comes out in every format."""

from __future__ import annotations

import csv
import json
from io import BytesIO, StringIO
from typing import Any

import polars
import pytest

from pipelines.commands import ask
from pipelines.errors import UsageError
from pipelines.warehouse.embedded import DuckDBWarehouse

HUGE = 170141183460469231731687303715884105727

ODD: dict[str, tuple[Any, str]] = {
    "interval 1 day": ("1 day", "1 day"),
    "interval 1 month": ("1 month", "1 month"),
    "[interval 1 day]": ("[1 day]", "[1 day]"),
    "map{'a': 1}": ("{a=1}", "{a=1}"),
    "union_value(a := 1)": ("1", "1"),
    "'0101'::bit": ("0101", "0101"),
    "'ab'::blob": ("ab", "ab"),
    "[1, 2]": ([1, 2], "[1, 2]"),
    "[1, 2]::int[2]": ([1, 2], "[1, 2]"),
    "{'x': 1}": ({"x": 1}, '{"x": 1}'),
    "null::int[]": (None, ""),
    "timestamp 'infinity'": ("infinity", "infinity"),
    "timestamptz '-infinity'": ("-infinity", "-infinity"),
    "date '99999-01-01'": ("99999-01-01", "99999-01-01"),
    "date '2020-01-01'": ("2020-01-01", "2020-01-01"),
    "[date '2020-01-01', null]": (["2020-01-01", None], '["2020-01-01", null]'),
    "[date 'infinity', null]": ("[infinity, NULL]", "[infinity, NULL]"),
    "[date 'infinity']::date[1]": ("[infinity]", "[infinity]"),
    "{'x': [timestamptz '-infinity']}": ("{'x': [-infinity]}", "{'x': [-infinity]}"),
    "[]::date[]": ([], "[]"),
    "'NaN'::double": (None, "NaN"),
    "['inf'::double]": ([None], "[null]"),
    "(select sum(range) from range(1000))": (499500, "499500"),
    f"{HUGE}::hugeint": (float(HUGE), "1.7014118346046923e+38"),
    "null": (None, ""),
}


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> DuckDBWarehouse:
    folder = tmp_path_factory.mktemp("data")
    made = DuckDBWarehouse(folder / "warehouse.duckdb", folder)
    made.publish()
    return made


def asked(warehouse: DuckDBWarehouse, sql: str, format_: str) -> bytes:
    out = BytesIO()
    ask.answer(warehouse, sql, format_=format_, out=out)
    return out.getvalue()


@pytest.mark.parametrize(("value", "expected"), ODD.items())
def test_a_value_of_any_type_comes_out_in_every_format(
    warehouse: DuckDBWarehouse, value: str, expected: tuple[Any, str]
) -> None:
    sql = f"select count(*) as one, any_value(v) as v from (select {value} as v)"
    as_json, as_csv = expected
    [row] = json.loads(asked(warehouse, sql, "json"), parse_constant=pytest.fail)
    assert (row["one"], row["v"]) == (1, as_json)
    [row] = csv.DictReader(StringIO(asked(warehouse, sql, "csv").decode()))
    assert row["v"] == as_csv
    assert polars.read_parquet(asked(warehouse, sql, "parquet")).shape == (1, 2)
    heads, _, row = asked(warehouse, sql, "table").decode().splitlines()
    assert heads.split() == ["one", "v"]
    if value.startswith(("[", "{")):  # a list reads as in a file, not as Python writes it
        assert row.split("  ")[-1] == as_csv


TEXTS = {
    "=1+1": "'=1+1",
    "  @SUM(A1)": "'  @SUM(A1)",
    "+cmd|' /C calc'!A0": "'+cmd|' /C calc'!A0",
    "-2+3+cmd|' /C calc'!A0": "'-2+3+cmd|' /C calc'!A0",
    "\t=1": "'\t=1",
    "+54 9 (11) 2345-6789": "+54 9 (11) 2345-6789",
    "-3.5": "-3.5",
    "a=1": "a=1",
    "": "",
}
"""What customers may write → what stands in a file for spreadsheets."""


@pytest.mark.parametrize(("text", "expected"), TEXTS.items())
def test_no_text_of_a_csv_runs_as_a_formula(
    warehouse: DuckDBWarehouse, text: str, expected: str
) -> None:
    sql = "select '{}' as \"^a$\", null::text as b".format(text.replace("'", "''"))
    [row] = csv.DictReader(StringIO(asked(warehouse, sql, "csv").decode(), newline=""))
    assert row == {"^a$": expected, "b": ""}
    [exact] = json.loads(asked(warehouse, sql, "json"))
    assert exact["^a$"] == text


@pytest.mark.parametrize("format_", ask.FORMATS)
def test_columns_of_one_name_are_numbered(warehouse: DuckDBWarehouse, format_: str) -> None:
    sql = "select 1 as a, 2 as a, interval 3 day as a, 4 as a_1 from range(2)"
    text = asked(warehouse, sql, format_)
    assert b"a_1" in text
    assert b"a_1_1" in text


@pytest.mark.parametrize("sql", ["", ";", "  ", "-- nothing"])
def test_no_statement_is_told_as_that(warehouse: DuckDBWarehouse, sql: str) -> None:
    with pytest.raises(UsageError, match="no statement"):
        asked(warehouse, sql, "csv")
