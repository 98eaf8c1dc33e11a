"""A made-up shop behind the dashboard."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines import demo
from pipelines.providers import find
from pipelines.show import Progress

DAYS = 40


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a made-up shop, built and published once."""
    folder = tmp_path_factory.mktemp("shop")
    demo.play(find(), folder, days=DAYS, port=0, progress=Progress())
    return folder
