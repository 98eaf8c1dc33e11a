"""dbt's pages about the models, in one file that needs no server: `make docs`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from pipelines.building import build
from pipelines.building.dbt_runner import Dbt
from pipelines.providers import find
from pipelines.warehouse import at


def write_docs(target: Path) -> Path:
    """Write the pages of an empty warehouse to `target`; return the page to open.

    Raises:
        BuildFailed: the models do not build.
    """
    with tempfile.TemporaryDirectory(prefix="doblecheck-") as home:
        warehouse = at(Path(home) / "warehouse.duckdb", Path(home))
        warehouse.ensure_raw_tables(find())
        build.build(warehouse)
        page = Dbt(warehouse.dbt_output(), Path(home), threads=1).document()
        target.mkdir(parents=True, exist_ok=True)
        copy = target / "index.html"
        copy.write_bytes(page.read_bytes())
    return copy


if __name__ == "__main__":
    sys.stdout.write(f"{write_docs(Path(sys.argv[1]))}\n")
