"""Faults on purpose: what a provider answers on a bad day, planned request by request."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pipelines.simulation.asking import Answer, Asked, Change
from pipelines.simulation.writing import encode


@dataclass(frozen=True)
class Fault:
    """Spoils answers whose path contains `path`: from the `request`th such request, `times` times.

    Requests count from 1; `times=None` means for ever.
    """

    change: Change
    path: str = ""
    request: int = 1
    times: int | None = 1

    def hits(self, count: int) -> bool:
        last = None if self.times is None else self.request + self.times
        return count >= self.request and (last is None or count < last)


Faults = Sequence[Fault] | Callable[[Asked, int], Change | None]
"""A list of faults, or a function of the request and its number (from 1, over all requests)."""


def too_many(*, retry_after: int | str | None = 1) -> Change:
    """429, with a Retry-After unless it is None."""
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return lambda asked, _: replace(
        asked.manners.refuse(429, "Rate limit exceeded"), headers=headers
    )


def broken(status: int = 503) -> Change:
    """An error of the provider's own making."""
    return lambda asked, _: asked.manners.refuse(status, "Something went wrong")


def html(status: int = 502) -> Change:
    """A web page instead of JSON, as proxies in front of an API send; also with status 200."""
    page = b"<!DOCTYPE html><html><body><h1>Bad gateway</h1></body></html>"
    return lambda _, __: Answer(page, status=status, media_type="text/html")


def instead(body: Any, *, status: int = 200) -> Change:
    """Valid JSON of another shape: `{}`, `None`, `{"error": …}`."""
    return lambda _, __: Answer(encode(body), status=status)


def empty(_: Asked, answer: Answer) -> Answer:
    """No body at all."""
    return replace(answer, body=b"")


def truncated(_: Asked, answer: Answer) -> Answer:
    """The first half of the body."""
    return replace(answer, body=answer.body[: len(answer.body) // 2])


def cut_off(_: Asked, answer: Answer) -> Answer:
    """The connection breaks after the first half of the body."""
    return replace(answer, is_cut=True)


def dripping(seconds: float) -> Change:
    """A body that takes this long to arrive, without a pause long enough to notice."""
    return lambda _, answer: replace(answer, seconds=seconds)


def with_rows(*rows: bytes) -> Change:
    """Rows that the page brings before its own, byte by byte."""

    def change(_: Asked, answer: Answer) -> Answer:
        before, start, after = answer.body.partition(b'"data":[')
        comma = b"" if after.startswith(b"]") else b","
        return replace(answer, body=before + start + b",".join(rows) + comma + after)

    return change


def repeated_cursor(asked: Asked, answer: Answer) -> Answer:
    """The page names the cursor that led to it as its next one, and claims that more follows."""
    if not asked.cursor or not answer.cursor:
        return answer
    body = answer.body.replace(encode(answer.cursor), encode(asked.cursor))
    if answer.ending:
        body = body.replace(*answer.ending)
    return replace(answer, body=body, cursor=asked.cursor)


def expired_cursor(asked: Asked, answer: Answer) -> Answer:
    """400 for a request that brings a cursor; others pass."""
    return asked.manners.refuse(400, "Invalid cursor") if asked.cursor else answer


class Plan:
    """Counts requests and says which faults each one meets."""

    def __init__(self, faults: Faults | None) -> None:
        self._faults: Faults = faults or ()
        self._total = 0
        self._counts: dict[int, int] = {}

    def apply(self, asked: Asked, answer: Answer) -> Answer:
        self._total += 1
        for change in self._changes(asked):
            answer = change(asked, answer)
        return answer

    def _changes(self, asked: Asked) -> Iterator[Change]:
        if callable(self._faults):
            change = self._faults(asked, self._total)
            yield from [change] if change else []
            return
        for index, fault in enumerate(self._faults):
            if fault.path in asked.path:
                self._counts[index] = self._counts.get(index, 0) + 1
                if fault.hits(self._counts[index]):
                    yield fault.change
