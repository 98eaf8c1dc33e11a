"""What SQL `query` runs on PostgreSQL: one statement that reads, as the reader's role.

A role that was taken on by `set role` can be left again by whoever may run `do`, or set a setting.
The text is looked at for that. It does not make a superuser harmless, whose functions read the
server's files: whom it must keep from more gets a login of the reader's.
"""

from __future__ import annotations

import re

import psycopg

from pipelines.errors import UsageError

READS = re.compile(
    # A comment within a comment would end elsewhere for us than for PostgreSQL.
    r"(?:\s|--[^\n]*\n|/\*(?:(?!/\*|\*/).)*\*/|\()*"
    r"(?:explain\b(?:\s*\([^)]*\)|\s+(?:analyze|verbose)\b)*[\s(]*)?"
    r"(?:select|with|values|table|show)\b",
    re.IGNORECASE | re.DOTALL,
)
LEAVES = re.compile(r"\b(?:set_config|query_to_xml\w*|ts_stat|ts_rewrite)\b|\bu&\"", re.IGNORECASE)
"""Names that set a setting, or run a text as SQL, or write such a name in another way."""


def look_at_text(sql: str) -> None:
    """Let only statements pass that read.

    Raises:
        UsageError: this is another.
    """
    if not READS.match(sql):
        raise UsageError(
            "only statements that read are run",
            hint="those begin with select, with, values, table, show or explain",
        )
    if found := LEAVES.search(sql):
        raise UsageError(
            f"{found[0]} is not for a query: it may leave the reader's role",
            hint="ask without it, or use psql",
        )


def refused(error: psycopg.Error) -> UsageError:
    """What to tell whoever asked: what the server said of the statement, or what psycopg could not
    make of an answer, which has no other reason."""
    if isinstance(error, psycopg.DataError) and not error.sqlstate:
        return UsageError(
            "a date or time is infinite, or beyond those that Python counts",
            hint="cast it to text: …::text",
        )
    first = (error.diag.message_primary or type(error).__name__).splitlines()[0]
    return UsageError(first, hint="tables: select * from information_schema.tables")
