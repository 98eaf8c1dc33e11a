"""The tree of errors is drawn as it is."""

from __future__ import annotations

import inspect
import re

from pipelines import errors
from pipelines.errors import DoblecheckError


def drawn(picture: str) -> dict[str, str]:
    """Error → the one above it, of a tree of lines."""
    above = {-1: "DoblecheckError"}
    found = {}
    for branch, name in re.findall(r"^([│ ]*)[├└]── (\w+)", picture, re.MULTILINE):
        depth = len(branch) // 4
        above[depth], found[name] = name, above[depth - 1]
    return found


def test_the_picture_shows_every_error_under_the_one_that_it_is() -> None:
    classes = [c for _, c in inspect.getmembers(errors, inspect.isclass)]
    kinds = [c for c in classes if issubclass(c, DoblecheckError) and c is not DoblecheckError]
    assert drawn(errors.__doc__ or "") == {kind.__name__: kind.__base__.__name__ for kind in kinds}


def test_each_error_says_what_it_is_and_ends_with_its_exit_code() -> None:
    for name in drawn(errors.__doc__ or ""):
        kind = getattr(errors, name)
        assert kind.__doc__
        assert kind("", hint="").exit_code == (2 if issubclass(kind, errors.UsageError) else 1)
