"""URLs of PostgreSQL: what psycopg, dlt and dbt are each told of them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from dlt.destinations.impl.postgres.configuration import PostgresCredentials

from pipelines.errors import ConfigError
from pipelines.warehouse.postgres import SECRET, PostgresWarehouse

SECRET_WORD = "CANARY:@/%"


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """dbt is told by the environment: what these tests tell it ends with them."""
    for name in ("PGPASSWORD", "PGOPTIONS", SECRET):
        monkeypatch.setenv(name, "")


def test_an_ipv6_address_is_written_so_that_dlt_reads_it(tmp_path: Path) -> None:
    warehouse = PostgresWarehouse("postgresql://u:pw@[::1]:5433/shop", tmp_path)
    assert warehouse.name == "postgresql://[::1]:5433/shop"
    read = PostgresCredentials(warehouse.url)
    assert (read.host, read.port, read.database) == ("::1", 5433, "shop")
    assert "@[::1]:5433/" in read.to_native_representation()
    assert warehouse.dbt_output()["host"] == "::1"


@pytest.mark.parametrize("place", ["@one:1,two:2/shop", "@one,two/shop", "@/shop?host=one,two"])
def test_one_host_is_wanted(tmp_path: Path, place: str) -> None:
    with pytest.raises(ConfigError, match="several hosts") as caught:
        PostgresWarehouse(f"postgresql://u:CANARY{place}", tmp_path)
    assert "CANARY" not in f"{caught.value} {caught.value.hint}"
    assert caught.value.hint


def test_the_profile_names_files_of_keys_and_no_password(tmp_path: Path) -> None:
    url = "postgresql://u:CANARY@db.example/shop?sslcert=/c&sslkey=/k&sslsni=0"
    warehouse = PostgresWarehouse(url, tmp_path)
    output = warehouse.dbt_output()
    assert {name: value for name, value in output.items() if name.startswith("ssl")} == {
        "sslmode": "verify-full",
        "sslrootcert": "system",
        "sslcert": "/c",
        "sslkey": "/k",
    }
    assert "CANARY" not in json.dumps(output)
    locked = PostgresWarehouse(f"{url}&sslpassword=CANARY", tmp_path)
    with pytest.raises(ConfigError, match="sslpassword") as caught:
        locked.dbt_output()
    assert "CANARY" not in f"{caught.value} {caught.value.hint}"


def test_a_password_of_the_environment_is_everybodys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", SECRET_WORD)
    warehouse = PostgresWarehouse("postgresql://u@localhost/shop", tmp_path)
    assert PostgresCredentials(warehouse.url).password == SECRET_WORD
    warehouse.dbt_output()
    assert os.environ[SECRET] == SECRET_WORD
    given = PostgresWarehouse("postgresql://u:pw@localhost/shop", tmp_path)
    assert PostgresCredentials(given.url).password == "pw"
