"""An installation for tests, and the dashboard's pages as texts."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from streamlit.testing.v1 import AppTest

from dashboards import state
from dashboards.serve import site
from pipelines.settings import Dashboard, Settings
from pipelines.warehouse import at

ZONE = "America/Argentina/Buenos_Aires"
NOW = datetime(2026, 11, 20, 21, 0, tzinfo=UTC)
"""The made-up shop's clock."""
SCRIPT = "from dashboards.frame import main\nmain({page!r})\n"
BLOCKS = ("dc-lead", "dc-more", "dc-note-box", "dc-legend", "dc-view", "dc-n", "dc-title")


def installation(folder: Path, **settings: Any) -> state.Site:
    """What the dashboard shows of a data folder."""
    made = Settings.model_construct(
        folder=folder,
        data_dir=folder,
        timezone=ZONE,
        dashboard=Dashboard(stale_after_minutes=1e9).model_copy(update=settings),
    )
    return site(made, at(folder / "warehouse.duckdb", folder))


class _Reader(HTMLParser):
    """Texts of the pieces that pages are made of, and their tables."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks: list[tuple[str, str]] = []
        self.tiles: dict[str, list[str]] = {}
        self.tables: list[list[list[str]]] = []
        self.tags: set[str] = set()
        self._open: list[str] = []
        self._tile: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        name = str(given.get("class") or "").split(" ")[0]
        self.tags.add(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
        if given.get("data-tile"):
            self._tile = str(given["data-tile"])
            while self._tile in self.tiles:
                self._tile += "+"
            self.tiles[self._tile] = ["", ""]
        if name in BLOCKS:
            self.blocks.append((name, ""))
        self._open.append("td" if tag in ("td", "th") else name or tag)

    def handle_endtag(self, tag: str) -> None:
        if self._open:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        if "dc-tip" in self._open or "dc-hint" in self._open or "style" in self._open:
            return
        if "td" in self._open:
            self.tables[-1][-1][-1] += data
        elif "dc-value" in self._open and self._tile:
            self.tiles[self._tile][0] += data
        elif "dc-note" in self._open and self._tile:
            self.tiles[self._tile][1] += data
        elif any(name in self._open for name in BLOCKS):
            name, text = self.blocks[-1]
            self.blocks[-1] = (name, text + data)


@dataclass
class Shown:
    """A page as a viewer reads it.

    Attributes:
        tiles: key → value and note.
        tables: rows of cells, the heading first.
        charts: the specifications.
        html: all of it.
    """

    tiles: dict[str, list[str]]
    tables: list[list[list[str]]]
    charts: list[dict[str, Any]]
    html: str
    tags: set[str]
    blocks: list[tuple[str, str]] = field(default_factory=list)
    query: dict[str, list[str]] = field(default_factory=dict)

    def text(self, name: str) -> str:
        """The texts of one kind of piece."""
        return " ".join(text for kind, text in self.blocks if kind == name)


def draw(place: state.Site, page: str, **query: Any) -> Shown:
    """A page of an installation for a URL."""
    state.use(place)
    app = AppTest.from_string(SCRIPT.format(page=page), default_timeout=60)
    for key, value in query.items():
        app.query_params[key.rstrip("_")] = value
    app.run()
    assert not app.exception, [e.message for e in app.exception]
    found = [e.proto.body for e in app.get("html")]
    reader = _Reader()
    reader.feed("".join(found))
    return Shown(
        tiles=reader.tiles,
        tables=reader.tables,
        charts=[json.loads(e.proto.spec) for e in app.get("vega_lite_chart")],
        html="".join(body for body in found if not body.startswith("<style>")),
        tags=reader.tags - {"style"},
        blocks=[(kind, re.sub(r"\s+", " ", text).strip()) for kind, text in reader.blocks],
        query={k: v if isinstance(v, list) else [v] for k, v in app.query_params.items()},
    )
