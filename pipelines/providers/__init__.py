"""The rooms: one folder per provider, found by looking."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from pipelines.provider import Provider


@cache
def find() -> tuple[Provider, ...]:
    """Every room there is, by name. Importing a room imports no library."""
    names = sorted(module.name for module in iter_modules(__path__) if module.ispkg)
    return tuple(import_module(f"{__name__}.{name}").PROVIDER for name in names)
