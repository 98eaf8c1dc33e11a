"""The receiver under test; the helpers are in `receiver_bench`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pipelines.failpoint import arm


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    arm("")
