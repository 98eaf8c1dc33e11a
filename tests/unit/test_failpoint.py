"""The named places: listed, real, and free while none is armed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines import failpoint as points
from pipelines.failpoint import NAMES, Injected, arm, failpoint

PACKAGE = Path(points.__file__).parent


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    arm("")


def test_every_name_stands_at_one_place_of_a_module() -> None:
    per_module = [
        re.findall(r'\bfailpoint\("([^"]+)"\)', path.read_text()) for path in PACKAGE.rglob("*.py")
    ]
    # The engines of the warehouse and of the log have the same places.
    assert all(len(found) == len(set(found)) for found in per_module)
    assert {name for found in per_module for name in found} == set(NAMES)


def test_an_armed_place_fails_at_its_count_and_no_other_does() -> None:
    arm("pull.page:3=raise")
    failpoint("pull.page")
    failpoint("pull.taken")
    failpoint("pull.page")
    with pytest.raises(Injected):
        failpoint("pull.page")
    failpoint("pull.page")


def test_a_name_that_there_is_not_arms_nothing() -> None:
    arm("nowhere=kill")
    failpoint("pull.page")
