"""What a page is drawn from: the viewer, the view, the words and the numbers."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from importlib.resources import files
from typing import Any

from dashboards import formats
from dashboards.filters import Filters, bucket_end
from dashboards.reading import QueryFailed, Reader, Row, Version, cached, parameters, text
from dashboards.state import Site

LANGUAGES = ("es", "en")
MOST_ROWS = 500_000
"""Of a CSV: more would not open in a spreadsheet, and would fill the server's memory."""

NO_PICK = dict.fromkeys(
    ("pick_from", "pick_to", "pick_low", "pick_high", "pick_weekday", "pick_hour")
)


@cache
def words() -> Mapping[str, Any]:
    """Every text, in both languages."""
    return tomllib.loads((files("dashboards") / "texts.toml").read_text("utf-8"))


def say(language: str, key: str, **values: Any) -> str:
    """A text. By `count` it has a form for one and one for the others, where it needs two."""
    entry: Any = words()
    for part in key.split("."):
        entry = entry[part]
    if "one" in entry:
        entry = entry["one" if values.get("count") == 1 else "other"]
    return str(entry[language]).format(**values)


def word(language: str, kind: str, name: str) -> str:
    """A provider's own word in the reader's; as the provider writes it when nobody knows it."""
    known = words()["word"][kind].get(name.lower())
    return str(known[language]) if known else name


def agent_name(language: str, key: str | None, agents: Mapping[str, str | None]) -> str:
    """What to call an agent."""
    if key is None:
        return formats.NOTHING
    provider, account, agent = key.split(":", 2)
    if agent == "unattributed":
        return say(language, "team.unattributed", account=f"{provider} · {account}")
    return agents.get(key) or say(language, "team.unnamed", code=agent[:8])


@dataclass(frozen=True)
class Viewer:
    """Who looks, and what they may see."""

    name: str
    sees_people: bool
    sees_texts: bool


@dataclass(frozen=True)
class Sheet:
    """One run of one page.

    Attributes:
        as_of: the data's clock: what waits has waited until then.
        channels, agents: key → name; an agent may have none.
        zone: of times that belong to no channel.
    """

    site: Site
    reader: Reader
    version: Version
    language: str
    filters: Filters
    viewer: Viewer
    as_of: datetime
    zone: str
    channels: Mapping[str, str]
    agents: Mapping[str, str | None]
    accounts: Sequence[Row]

    def t(self, key: str, **values: Any) -> str:
        return say(self.language, key, **values)

    def word(self, kind: str, name: str) -> str:
        return word(self.language, kind, name)

    def rows(self, name: str, *, filters: Filters | None = None, **extra: Any) -> list[Row]:
        """The rows of a query of the view, or of another.

        Raises:
            QueryFailed: it can't be answered.
        """
        values = self._values(filters or self.filters, extra)
        used = tuple((key, values[key]) for key in sorted(parameters(text(name))))
        return cached(self.reader, self.version, self.version.name, name, used).dicts()

    def row(self, name: str, *, filters: Filters | None = None, **extra: Any) -> Row:
        """The one row of a query."""
        return self.rows(name, filters=filters, **extra)[0]

    def row_before(self, name: str) -> Row | None:
        """The row of the period before, when the viewer compares."""
        if not self.filters.compare:
            return None
        return self.row(name, filters=self.filters.before())

    def first_day(self) -> date | None:
        """The first day of which the view has data; None when it has none."""
        found: date | None = self.row("first_day")["first_day"]
        return found

    def csv(self, name: str, **extra: Any) -> Callable[[], bytes]:
        """The file of a query, made when it is asked for."""
        values = self._values(self.filters, {"limit": MOST_ROWS, **extra})

        def made() -> bytes:
            try:
                answer = self.reader.answer(self.version, name, values)
            except QueryFailed as error:
                return formats.csv(("error",), [(self.t(f"failed.{error.reason}"),)])
            return formats.csv(answer.columns, answer.rows)

        return made

    def number(self, value: float | None, digits: int = 0) -> str:
        return formats.number(value, self.language, digits)

    def percent(self, part: float | None, whole: float | None) -> str:
        return formats.percent(part, whole, self.language)

    def day(self, value: date | None, *, with_year: bool = True) -> str:
        return formats.day(value, self.language, with_year=with_year)

    def moment(self, value: datetime | None, zone: str | None = None) -> str:
        return formats.moment(value, zone or self.zone, self.language)

    def contact(self, row: Row) -> str:
        """A customer's name for a viewer who may see it, else one that says nothing."""
        if self.viewer.sees_people:
            return str(row.get("contact_name") or row.get("contact_phone") or self.t("unnamed"))
        return self.t("hidden_contact", code=str(row["thread"])[:4].upper())

    def bucket(self, first: date) -> str:
        """What a bucket is called; one that the view shows a part of says so."""
        grain, (start, end) = self.filters.grain, self.filters.days
        name = self.day(first)
        if grain == "month":
            name = f"{formats.MONTHS[self.language][first.month - 1]} {first.year}"
        elif grain == "week":
            name = self.t("week_of", day=name)
        is_whole = first >= start and bucket_end(first, grain) <= end
        return name if is_whole else self.t("cut", name=name)

    def agent(self, key: str | None) -> str:
        """An agent's name; a short id for one without, and a word for nobody known."""
        return agent_name(self.language, key, self.agents)

    def _values(self, filters: Filters, extra: Mapping[str, Any]) -> dict[str, Any]:
        return {
            **NO_PICK,
            **filters.values(),
            "timezone": self.site.timezone,
            "pepper": self.site.pepper,
            "personal": self.viewer.sees_people,
            "limit": 50,
            "window_state": None,
            **extra,
        }
