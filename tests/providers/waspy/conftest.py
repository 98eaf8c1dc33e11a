"""Waspy's lists over a month of a made-up shop, and what their tests ask and find."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from place import Place

from pipelines.providers.waspy import PROVIDER
from pipelines.simulation import Asked, Change, Faults, broken, instead
from pipelines.world import World

from ..conftest import Shop

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NOT_FOUND = instead({"error": {"code": "NOT_FOUND"}}, status=404)


@pytest.fixture
def shop(small_world: World, tmp_path: Path) -> Shop:
    return Shop(PROVIDER, small_world, Place(tmp_path))


def broken_messages(*conversations: str) -> Faults:
    """The messages of some conversations always answer 500."""
    paths = tuple(f"/conversations/{identity}/messages" for identity in conversations)

    def fails(asked: Asked, count: int) -> Change | None:
        return broken(500) if asked.path.endswith(paths) else None

    return fails


def messages_asked(app: Any) -> int:
    return sum(seen.path.endswith("/messages") for seen in app.state.requests)
