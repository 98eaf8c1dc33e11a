"""What the command hands to the script: Streamlit runs it in this process, once per rerun."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.settings import Dashboard


@dataclass(frozen=True)
class Site:
    """One installation.

    Attributes:
        warehouse: gives `newest()` and `reader()`; see `pipelines.warehouse`.
        data_path: where dbt left the results of its last build.
        timezone: of days on unknown channels: the default opening hours', as in the marts.
        pepper: mixed into the names of threads in links, so that nobody can guess phones from them.
    """

    warehouse: Any
    dashboard: Dashboard
    data_path: Path
    timezone: str
    pepper: str


_sites: list[Site] = []


def use(site: Site) -> None:
    """Show this installation from now on."""
    _sites[:] = [site]


def site() -> Site:
    """The installation to show."""
    return _sites[0]


def pepper(data_path: Path) -> str:
    """This installation's own secret: links that were shared go on working after a restart."""
    path = data_path / "dashboard.key"
    if not path.exists():
        data_path.mkdir(parents=True, exist_ok=True, mode=0o700)
        partial = path.with_suffix(".new")
        partial.write_text(secrets.token_hex(32))
        partial.chmod(0o600)
        partial.rename(path)
    return path.read_text().strip()
