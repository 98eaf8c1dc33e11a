"""dbt's `target`, as far as sqlfluff needs it."""

type = "duckdb"  # noqa: A001 - dbt's name
