"""What the marts promise: their columns, types and which are never null; with a version.

    python -m pipelines.building.contract       declare the models' columns as they are now

`models/contract.json` holds what was declared, `docs/warehouse.md` shows it with the models' own
descriptions. A column that goes, changes its type, or may be null where it was not or the other way
round, breaks what others built: the first part of the version grows. One that comes, the second.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

Columns = Mapping[str, str]
"""`<mart>.<column>` → its type, with `not null` where that is promised."""

MODELS = Path(str(resources.files("models")))
FILE = MODELS / "contract.json"
PAGE = MODELS.parent / "docs" / "warehouse.md"


@dataclass(frozen=True)
class Change:
    """What one version changed; columns by `<mart>.<column>`."""

    version: str
    added: Sequence[str] = ()
    removed: Sequence[str] = ()
    retyped: Sequence[str] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """All of them."""
        return (*self.added, *self.removed, *self.retyped)

    @property
    def is_breaking(self) -> bool:
        """Whether what others built on the version before may stop working."""
        return bool(self.removed or self.retyped)


@dataclass(frozen=True)
class Contract:
    """What is promised now, and every change since the first version."""

    version: str
    columns: Columns
    changes: Sequence[Change] = field(default=())


def described() -> list[dict[str, Any]]:
    """The marts as their `.yml` files describe them, by name."""
    files = sorted((MODELS / "marts").glob("*.yml"))
    found = [m for file in files for m in yaml.safe_load(file.read_text("utf-8")).get("models", [])]
    return sorted(found, key=lambda mart: str(mart["name"]))


def columns_of(marts: Sequence[Mapping[str, Any]]) -> Columns:
    """What these marts promise."""
    return {
        f"{mart['name']}.{column['name']}": promise(column)
        for mart in marts
        for column in mart["columns"]
    }


def promise(column: Mapping[str, Any]) -> str:
    """A column's type, and whether it is never null."""
    is_required = {"type": "not_null"} in column.get("constraints", [])
    return f"{column['data_type']}{' not null' if is_required else ''}"


def declared() -> Contract:
    """What `contract.json` says."""
    found = json.loads(FILE.read_text("utf-8"))
    changes = [Change(**change) for change in found["changes"]]
    return Contract(found["version"], found["columns"], changes)


def difference(before: Contract, now: Columns) -> Change | None:
    """What changed since it was declared, with the version that this makes; None: nothing."""
    change = Change(
        version="",
        added=sorted(now.keys() - before.columns.keys()),
        removed=sorted(before.columns.keys() - now.keys()),
        retyped=sorted(
            k for k in now.keys() & before.columns.keys() if now[k] != before.columns[k]
        ),
    )
    if not change.columns:
        return None
    first, second = map(int, before.version.split("."))
    version = f"{first + 1}.0" if change.is_breaking else f"{first}.{second + 1}"
    return Change(version, change.added, change.removed, change.retyped)


def after(before: Contract, now: Columns) -> Contract:
    """The contract with what changed declared."""
    change = difference(before, now)
    if change is None:
        return before
    return Contract(change.version, now, [*before.changes, change])


def page(contract: Contract, marts: Sequence[Mapping[str, Any]]) -> str:
    """`docs/warehouse.md`."""
    return "\n".join([_HEAD.format(version=contract.version), *_parts(marts)])


_HEAD = """\
# The warehouse's contract, version {version}

What queries, dashboards and other models may build on: these marts, in the schema `marts`, with
these columns. Everything below `marts` may change at any time. Written from the models by
`python -m pipelines.building.contract`; when they differ,
`test_the_marts_are_what_was_declared` fails.

A new column makes the second part of the version grow. The first grows when a column goes, changes
its type or may become null, and when what a column means changes; the
[changelog](../CHANGELOG.md#columns) says which and what to do. Times are instants
(`timestamptz`), durations seconds. How the marts hang together: [the marts](marts.md).
"""


def _parts(marts: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for mart in marts:
        yield f"## {mart['name']}\n\n{mart['description']}\n"
        yield "| column | type | |\n| --- | --- | --- |"
        for column in mart["columns"]:
            text = str(column["description"]).replace("|", "\\|")
            yield f"| `{column['name']}` | {promise(column)} | {text} |"
        yield ""


def main() -> None:
    """Declare the models' columns, and tell what changed."""
    marts = described()
    before, now = declared(), columns_of(marts)
    change, contract = difference(before, now), after(before, now)
    FILE.write_text(json.dumps(asdict(contract), indent=1) + "\n", "utf-8")
    PAGE.write_text(page(contract, marts), "utf-8")
    if change:
        sys.stdout.write(f"{change.version}: write in CHANGELOG.md: {', '.join(change.columns)}\n")


if __name__ == "__main__":
    main()
