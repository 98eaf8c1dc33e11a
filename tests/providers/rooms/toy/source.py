"""The toy as a dlt source. Every change moves its row to the head, so walks find everything."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import dlt

from pipelines.provider import Row, Table
from pipelines.reading.pull import Pull, resource
from pipelines.times import sortable
from toy.tables import TABLES

if TYPE_CHECKING:
    from dlt.sources import DltResource


@dlt.source(name="toy", section="toy", max_table_nesting=0)
def toy(pull: Pull) -> Iterator[DltResource]:
    """The resources of one account, as one pull reads them."""
    for table in TABLES:
        yield resource(pull, table, partial(_read, pull, table))


async def _read(pull: Pull, table: Table) -> None:
    await pull.newest_first(table, partial(pull.client.page, table.name), value_of=_changed_at)


def _changed_at(row: Row) -> str | None:
    return sortable(row.get("changed_at"))
