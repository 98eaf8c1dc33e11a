"""What a warehouse holds of one account, asked for while the account is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from heapq import nlargest
from itertools import chain
from typing import TYPE_CHECKING, Any

from pipelines.provider import Table

if TYPE_CHECKING:
    from pipelines.reading.landing import Record
    from pipelines.warehouse.base import Connection, Warehouse

IDS_AT_ONCE = 20_000


class StoredRows:
    """What a warehouse holds of one account: see `reading.stored.Stored`."""

    def __init__(
        self, connection: Connection, schema: str, account: str, warehouse: Warehouse
    ) -> None:
        self._connection, self._schema, self._account = connection, schema, account
        self._warehouse = warehouse
        self._empty: dict[str, bool] = {}

    def hashes(self, table: Table, ids: Sequence[str]) -> Mapping[str, str]:
        """id → row_hash of the rows that are there."""
        if not ids or self._is_empty(table):
            return {}
        rows = self._all(
            f"select id, row_hash from {self._schema}.{table.name} "
            "where account = $1 and id in (select unnest($2::text[]))",
            [self._account, list(ids)],
        )
        return dict(rows)

    def rows(
        self, table: Table, columns: Sequence[str], *, of: tuple[str, Sequence[str]] | None = None
    ) -> list[tuple[Any, ...]]:
        """Columns of every row of the account, or of those with one of some values in a column."""
        if self._is_empty(table):
            return []
        names = ", ".join(f'"{name}"' for name in columns)
        sql = f"select {names} from {self._schema}.{table.name} where account = $1"
        if of is None:
            return self._all(sql, [self._account])
        return self._all(
            f'{sql} and "{of[0]}" in (select unnest($2::text[]))', [self._account, list(of[1])]
        )

    def add(self, table: Table, records: Sequence[Record]) -> None:
        """Write rows now; one whose id is there stays as it is."""
        known = self.hashes(table, [record.id for record in records])
        new = [
            (self._account, *record.values, record.payload, record.row_hash, record.fetched_at)
            for record in records
            if record.id not in known
        ]
        columns = ("account", *table.columns, "payload", "row_hash", "fetched_at")
        names = ", ".join(f'"{name}"' for name in columns)
        self._warehouse.insert(self._connection, f"{self._schema}.{table.name} ({names})", new)
        self._empty.pop(table.name, None)

    def ids(self, table: Table) -> Iterator[str]:
        """Every id of the account: a list of them all would take more memory than the pull."""
        after = ""
        sql = (
            f"select id from {self._schema}.{table.name} "
            f"where account = $1 and id > $2 order by id limit {IDS_AT_ONCE}"
        )
        while rows := self._all(sql, [self._account, after]):
            yield from (identity for (identity,) in rows)
            after = rows[-1][0]

    def count(self, table: Table) -> int:
        """How many rows the account has."""
        sql = f"select count(*) from {self._schema}.{table.name} where account = $1"
        return int(self._all(sql, [self._account])[0][0])

    def total(self, table: Table, column: str) -> int:
        """Sum of a column, over the rows where its text is a whole number."""
        number = f'case when "{column}" ~ \'^[0-9]{{1,15}}$\' then "{column}" end'
        sql = (
            f"select coalesce(sum(cast({number} as bigint)), 0) "
            f"from {self._schema}.{table.name} where account = $1"
        )
        return int(self._all(sql, [self._account])[0][0])

    def cursors(self, table: Table, ids: Sequence[str]) -> Mapping[str, Mapping[str, str | None]]:
        """id → row, of loads that were completed only."""
        if not ids or self._is_empty(table):
            return {}
        names = ", ".join(f'"{name}"' for name in table.columns)
        rows = self._all(
            f"select {names} from {self._schema}.{table.name} where account = $1 "
            f"and id in (select unnest($2::text[])) and {self._is_completed}",
            [self._account, list(ids)],
        )
        return {
            str(row[table.columns.index("id")]): dict(zip(table.columns, row, strict=True))
            for row in rows
        }

    def moved(
        self, table: Table, columns: Sequence[str], *, cursors: Table, mark: str, most: int
    ) -> tuple[list[tuple[Any, ...]], int]:
        """Id, first column and mark of the rows that no completed cursor has this mark of, and how
        many more there are."""
        texts = ", ".join(f"coalesce(\"{name}\", '')" for name in columns)
        digest = f"md5(concat_ws(chr(31), {texts}))"
        done = "false" if self._is_empty(cursors) else self._is_completed
        newest: list[tuple[Any, ...]] = []
        count = 0
        for share in self._warehouse.shares(partial(self.count, table)):
            moved = (
                f"from {self._schema}.{table.name} as moved where account = $1 "
                f"and {share.format(column='id')} and not exists "
                f"(select 1 from {self._schema}.{cursors.name} as cursors "
                f"where cursors.account = $1 and {share.format(column='cursors.id')} "
                f'and cursors.id = moved.id and cursors."{mark}" = {digest} and {done})'
            )
            rows, others = self._highest(f'id, "{columns[0]}", {digest}', moved, columns[0], most)
            newest = nlargest(most, chain(newest, rows), key=lambda row: row[1] or "")
            count += len(rows) + others
        return newest, count - len(newest)

    def _highest(
        self, told: str, among: str, column: str, most: int
    ) -> tuple[list[tuple[Any, ...]], int]:
        """The rows that are highest in a column, and how many more there are."""
        rows = self._all(
            f'select {told} {among} order by "{column}" desc nulls last limit {most}',
            [self._account],
        )
        if len(rows) < most:
            return rows, 0
        # By itself: a count beside the rows would hold all of them in memory.
        ((count,),) = self._all(f"select count(*) {among}", [self._account])
        return rows, count - len(rows)

    def lacking(self, table: Table, column: str, *, of: Table) -> set[str]:
        """Values of a column that are no id in another table."""
        rows = self._all(
            f'select "{column}" from {self._schema}.{table.name} '
            f'where account = $1 and "{column}" is not null '
            f"except select id from {self._schema}.{of.name} where account = $1",
            [self._account],
        )
        return {str(value) for (value,) in rows}

    @property
    def _is_completed(self) -> str:
        """Whether a row came with a load that ended: dlt notes those in `_dlt_loads`."""
        return f"_dlt_load_id in (select load_id from {self._schema}._dlt_loads where status = 0)"

    def earliest(
        self, table: Table, column: str, *, per: str, among: Mapping[str, Sequence[str]], since: str
    ) -> Mapping[str, str]:
        """Value of `per` → the lowest text of `column` that is `since` or more, among some rows."""
        conditions = "".join(
            f' and lower("{name}") in (select unnest(${i}::text[]))'
            for i, name in enumerate(among, 3)
        )
        # "C" orders by bytes, as DuckDB and the providers' own times do.
        rows = self._all(
            f'select "{per}", min("{column}" collate "C") from {self._schema}.{table.name} '
            f'where account = $1 and "{column}" collate "C" >= $2 and "{per}" is not null'
            f'{conditions} group by "{per}"',
            [self._account, since, *map(list, among.values())],
        )
        return dict(rows)

    def _is_empty(self, table: Table) -> bool:
        if table.name not in self._empty:
            sql = f"select 1 from {self._schema}.{table.name} where account = $1 limit 1"
            self._empty[table.name] = not self._all(sql, [self._account])
        return self._empty[table.name]

    def _all(self, sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        try:
            return self._connection.execute(sql, values).fetchall()
        except Exception as error:
            if not self._warehouse.lacked_memory(error):
                raise
        with self._warehouse.more_memory():
            return self._connection.execute(sql, values).fetchall()
