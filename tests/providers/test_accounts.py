"""Accounts one after another: whatever one is called and whatever it meets, the others are read."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from pipelines import run as steps
from pipelines.loading import packages
from pipelines.loading.sync import Report
from pipelines.providers import find
from pipelines.providers.kapso import PROVIDER
from pipelines.settings import load
from pipelines.simulation import serve
from pipelines.warehouse import Warehouse, open_warehouse
from pipelines.world import make_world

from .conftest import ENDS_AT

PHONE = "+54 9 11 5555 1234"


def read(folder: Path, names: Sequence[str]) -> tuple[list[Report], Warehouse]:
    """Sync the contacts of accounts with these names; return the reports and the warehouse."""
    world = make_world(seed=1, ends_at=ENDS_AT, days=3, conversations_per_day=4)
    with ExitStack() as stack:
        url = stack.enter_context(serve(PROVIDER.simulate(world, api_key="key")))
        (folder / "doblecheck.toml").write_text(
            "\n".join(
                f'[[accounts]]\nprovider = "kapso"\nname = "{name}"\napi_key = "key"\n'
                f'base_url = "{url}"\nrequests_per_minute = 10000\nresources = ["contacts"]\n'
                for name in names
            )
        )
        settings = load(folder / "doblecheck.toml", find())
        warehouse = open_warehouse(settings)
        with warehouse.lock():
            reports = steps.sync(warehouse, find(), steps.targets(settings, find()))
    return reports, warehouse


def test_an_account_may_have_any_name_that_the_settings_take(tmp_path: Path) -> None:
    names = ["acme.com", "acme", "acme_com", "-..", "x" * 64]
    reports, warehouse = read(tmp_path, names)
    assert [(report.account, str(report.error)) for report in reports if not report.is_ok] == []
    with warehouse.connect() as connection:
        found = connection.execute("select distinct account from raw_kapso.contacts").fetchall()
    assert sorted(name for (name,) in found) == sorted(names)
    folders = [path.name for path in warehouse.data_dir.glob("dlt/pipelines/*")]
    assert len(folders) == len(names)
    assert {"kapso_acme", "kapso_acme_com"} < set(folders)


def test_what_nobody_foresaw_ends_an_account_in_a_word_and_the_next_one_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    met = iter([KeyError(PHONE)])

    def meet(place: str) -> None:
        if place == "load.pending" and (error := next(met, None)):
            raise error

    monkeypatch.setattr(packages, "failpoint", meet)
    (first, second), _ = read(tmp_path, ["first", "second"])
    assert str(first.error).startswith("unexpected KeyError at test_accounts.py:")
    assert PHONE not in str(first)
    assert second.is_ok
    assert second.changed > 0
