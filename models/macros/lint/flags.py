"""dbt's `flags`, as far as sqlfluff needs it: those of an incremental build."""

FULL_REFRESH = False
WHICH = "build"
