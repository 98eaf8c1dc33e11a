"""dlt's way into PostgreSQL: its own destination, with a COPY that keeps what rows hold.

dlt's CSV job reads an empty text as null, and PostgreSQL's texts hold no NUL, which JSON's do: one
of them would make every later load fail.
"""

from __future__ import annotations

from typing import IO, Any

from dlt.common.destination.client import HasFollowupJobs, LoadJob, RunnableLoadJob
from dlt.common.destination.typing import PreparedTableSchema
from dlt.common.storages.file_storage import FileStorage
from dlt.common.storages.load_package import ParsedLoadJobFileName
from dlt.destinations import postgres
from dlt.destinations.impl.postgres.postgres import PostgresClient

READ_BYTES = 1 << 20
NUL, REPLACEMENT = b"\0", "\N{REPLACEMENT CHARACTER}".encode()


class CopyJob(RunnableLoadJob, HasFollowupJobs):
    """COPY of one file; texts are quoted in it and nulls are not."""

    def run(self) -> None:
        """Load the file in one transaction."""
        client = self._job_client
        assert isinstance(client, PostgresClient)
        sql = client.sql_client
        with FileStorage.open_zipsafe_ro(self._file_path, "rb") as file:
            names = file.readline().decode().strip().split(",")
            columns = ", ".join(sql.escape_column_name(name.strip('"')) for name in names)
            table = sql.make_qualified_table_name(self.load_table_name)
            with sql.begin_transaction(), sql.native_connection.cursor() as cursor:
                cursor.copy_expert(
                    f"copy {table} ({columns}) from stdin with (format csv, null '')",
                    _Storable(file),
                    size=READ_BYTES,
                )


class Client(PostgresClient):
    """dlt's client with this COPY."""

    def create_load_job(
        self, table: PreparedTableSchema, file_path: str, load_id: str, restore: bool = False
    ) -> LoadJob:
        """The job of a file."""
        if ParsedLoadJobFileName.parse(file_path).file_format == "csv":
            return CopyJob(file_path)
        return super().create_load_job(table, file_path, load_id, restore)


class Destination(postgres):
    """dlt's destination with this client."""

    @property
    def client_class(self) -> type[PostgresClient]:
        """The client."""
        return Client


def destination(url: str) -> Any:
    """The destination at a URL."""
    return Destination(credentials=url, destination_name="postgres")


class _Storable:
    """A file as PostgreSQL can store it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def read(self, size: int) -> bytes:
        return self._file.read(size).replace(NUL, REPLACEMENT)
