"""`doctor`: what one check finds, or fails with, hides no other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import SecretStr

from pipelines.commands.doctor import examine
from pipelines.providers import find
from pipelines.settings import Account, Settings
from pipelines.warehouse import SyncState
from pipelines.warehouse.base import Watched
from pipelines.warehouse.embedded import DuckDBWarehouse


def settings_of(folder: Path, *keys: str) -> Settings:
    accounts = [
        Account(
            provider="kapso", name=f"shop-{i}", api_key=SecretStr(key), base_url="http://[::1]:9"
        )
        for i, key in enumerate(keys)
    ]
    return Settings(folder=folder, accounts=accounts)


def problems(settings: Settings, warehouse: DuckDBWarehouse) -> dict[str, str | None]:
    return {check.name: check.problem for check in examine(settings, find(), warehouse)}


def test_a_key_that_cannot_be_sent_is_told_and_so_is_the_rest(tmp_path: Path) -> None:
    warehouse = DuckDBWarehouse(tmp_path / "warehouse.duckdb", tmp_path)
    found = problems(settings_of(tmp_path, "clave-ñ", ""), warehouse)
    assert "a character that no key has" in str(found["key of kapso:shop-0"])
    assert "api_key is not set" in str(found["key of kapso:shop-1"])
    assert found[f"warehouse {warehouse.name}"] is None


def test_accounts_that_would_count_twice_are_told(tmp_path: Path) -> None:
    warehouse = DuckDBWarehouse(tmp_path / "warehouse.duckdb", tmp_path)
    made = settings_of(tmp_path, "a-key", "another", "a-key", "a-key", "a-key", "", "")
    reads = ("messages", "messages", "messages", "calls", "messages", "messages", "messages")
    accounts = [
        account.model_copy(update={"resources": [name]})
        for account, name in zip(made.accounts, reads, strict=True)
    ]
    accounts[4] = accounts[4].model_copy(update={"base_url": "http://[::1]:10"})
    found = problems(made.model_copy(update={"accounts": accounts}), warehouse)
    assert {name: told for name, told in found.items() if "beside" in name} == {
        "kapso:shop-2 beside kapso:shop-0": "they have one key: what both read counts twice"
    }


class Odd(DuckDBWarehouse):
    """Fails in a way that nobody thought of."""

    @contextmanager
    def watch(self) -> Iterator[Watched]:
        raise ValueError("what customers wrote")
        yield

    def newest(self) -> None:
        raise ValueError("what customers wrote")


def test_a_check_that_fails_unexpectedly_is_told_without_its_words(tmp_path: Path) -> None:
    warehouse = Odd(tmp_path / "warehouse.duckdb", tmp_path)
    found = problems(settings_of(tmp_path), warehouse)
    assert found[f"warehouse {warehouse.name}"] == "unexpected ValueError"
    assert found["published snapshot"] == "unexpected ValueError"
    assert found["business hours"] is None


def test_a_log_that_nothing_can_be_written_to_is_told(tmp_path: Path) -> None:
    warehouse = DuckDBWarehouse(tmp_path / "warehouse.duckdb", tmp_path)
    secret = [SecretStr("s" * 32)]
    shop = Account(provider="kapso", base_url="http://[::1]:9", webhook_secrets=secret)
    found = {}
    for folder in ("data", "/dev/null/data"):
        settings = Settings(folder=tmp_path, data_dir=Path(folder), accounts=[shop])
        found[folder] = problems(settings, warehouse)["log of webhook deliveries"]
    assert found["data"] is None
    assert "can't be used" in str(found["/dev/null/data"])


def test_an_account_that_no_setting_names_is_told_and_is_no_fault(tmp_path: Path) -> None:
    """It was given another name, or it is over: that is for its people to know."""
    warehouse = DuckDBWarehouse(tmp_path / "warehouse.duckdb", tmp_path)
    warehouse.ensure_raw_tables(find())
    for room in find():
        states = [
            SyncState(name, "messages", {}, is_complete=True) for name in ("shop-0", "before")
        ]
        warehouse.save_sync_states(room, states)
    found = problems(settings_of(tmp_path, "a-key"), warehouse)
    told = "is in the warehouse and not in the settings: its rows still count"
    for name in ("kapso:before", "waspy:before", "waspy:shop-0"):
        assert found[f"{name} {told}"] is None
    assert not any(told in name and name.startswith("kapso:shop-0") for name in found)
    assert not any(told in name for name in problems(settings_of(tmp_path), warehouse))
