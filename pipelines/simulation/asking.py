"""A request and its answer, as handlers and faults see them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pipelines.simulation.writing import encode


@dataclass
class Clock:
    """The time a simulator believes it is. Set `now` and the next request sees it."""

    now: datetime


@dataclass(frozen=True)
class Answer:
    """What goes back.

    Attributes:
        cursor: the one its body gives for the next page, if any.
        ending: what the body says on a last page, and what it would say on any other.
        seconds: how long the body takes to arrive, in small parts.
        is_cut: the connection breaks in the middle of the body.
    """

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    media_type: str = "application/json"
    cursor: str | None = None
    ending: tuple[bytes, bytes] | None = None
    seconds: float = 0.0
    is_cut: bool = False


class Refused(Exception):
    """The simulated provider turns the request down."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Manners:
    """What one provider does on every route.

    Attributes:
        accepts: whether the headers carry the right key.
        error: the body of a refusal, from its status and message.
        cursor_param: the query parameter in which a page's cursor comes back.
    """

    accepts: Callable[[Mapping[str, str]], bool]
    error: Callable[[int, str], Any]
    cursor_param: str

    def refuse(self, status: int, message: str) -> Answer:
        return Answer(encode(self.error(status, message)), status=status)


@dataclass(frozen=True)
class Asked:
    """A request as handlers and faults see it."""

    path: str
    params: Mapping[str, str]
    query: Mapping[str, str]
    manners: Manners

    @property
    def cursor(self) -> str | None:
        return self.query.get(self.manners.cursor_param)


Handler = Callable[[Asked], Answer]
Change = Callable[[Asked, Answer], Answer]
