"""A run's turn: wait for the warehouse, which one run holds at a time, and tell how it went."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prefect import State

from flows import report
from flows.steps import Site, skipped, told
from pipelines.errors import WarehouseBusy, WarehouseError
from pipelines.journal import Entry


def in_turn(site: Site, run: Callable[[], Entry], *, kind: str, patience: float) -> State[Any]:
    """Do a run when the warehouse is free, tell how it went, and return that as a state. One that
    another run keeps waiting for longer than `patience` is skipped."""
    try:
        with site.holding(patience=patience):
            report.look_back(site)
            entry = run()
            report.tell(site, entry)
    except WarehouseBusy as error:
        return skipped(str(error))
    except WarehouseError as error:  # it is away, or can't be opened
        entry = site.journal.failed(kind, error)
        report.tell(site, entry)
    return told(entry)
