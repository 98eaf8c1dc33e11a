"""What moved and is not read yet, taken from one pull of a run to the next.

A warehouse has to look through a whole table to find it, and a pull reads a small part of a long
history. So a run asks for more than one pull can read, and asks again when that is used up.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from heapq import nlargest
from typing import NamedTuple


class Moved(NamedTuple):
    """A thing whose row differs from what it was when its cursor was made.

    Attributes:
        id: its own.
        last_at: the column that puts the newest first; None when the row tells none.
        mark: digest of the columns that may differ.
    """

    id: str
    last_at: str | None
    mark: str


@dataclass
class Backlog:
    """The things of one table that a run still has to read.

    Attributes:
        others: how many there are beside those it names, at most; None until somebody looked.
    """

    others: int | None = None
    _named: dict[str, Moved] = field(default_factory=dict)

    def is_short(self, enough: int) -> bool:
        """Whether it names fewer than are enough, and there are others."""
        return self.others is None or (self.others > 0 and len(self._named) < enough)

    def fill(self, things: Iterable[Moved], others: int) -> None:
        """Name what the warehouse found, instead of what was named before."""
        self._named = {thing.id: thing for thing in things}
        self.others = others

    def add(self, thing: Moved) -> None:
        """Name a thing, as it is now."""
        self._named[thing.id] = thing

    def drop(self, identity: str, mark: str) -> None:
        """Name a thing no longer, if this is what it moved to."""
        if identity in self._named and self._named[identity].mark == mark:
            del self._named[identity]

    def newest(self, count: int, *, named: int) -> tuple[list[Moved], int]:
        """The newest things, and how many more there are, at most; go on naming so many."""
        ranked = nlargest(named, self._named.values(), key=lambda thing: thing.last_at or "")
        self.others = (self.others or 0) + len(self._named) - len(ranked)
        self._named = {thing.id: thing for thing in ranked}
        return ranked[:count], self.others + len(ranked[count:])
