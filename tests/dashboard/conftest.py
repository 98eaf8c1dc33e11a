"""A made-up shop behind the dashboard."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.commands import demo
from pipelines.commands.show import Progress
from pipelines.providers import find

DAYS = 40


@pytest.fixture(autouse=True)
def main_module() -> Iterator[None]:
    """AppTest leaves its script as the main module, and every process that a later test starts
    would run it."""
    before = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = before


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a made-up shop, built and published once."""
    folder = tmp_path_factory.mktemp("shop")
    demo.play(find(), folder, days=DAYS, port=0, progress=Progress())
    return folder
