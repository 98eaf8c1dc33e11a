"""Pages and how to follow them. Pure: knows no HTTP and no provider."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Generic, TypeVar

from pipelines.errors import BadPayload

T = TypeVar("T")


@dataclass(frozen=True)
class Page(Generic[T]):
    """One answer of a list: its rows in the provider's order, and where the next page starts.

    Attributes:
        rows: may be empty in the middle of a filtered list.
        next: the cursor of the next page; None when the answer names none.
        fetched_at: when it arrived, UTC.
    """

    rows: Sequence[T]
    next: str | None = None
    fetched_at: datetime = field(default_factory=lambda: datetime.now(UTC))


Fetch = Callable[[str | None], Awaitable[Page[T]]]
"""Asks for the page at a cursor; None is the first page."""


async def follow(fetch: Fetch[T], start: str | None = None) -> AsyncIterator[Page[T]]:
    """Yield pages from `start` until one names no next page.

    An empty page that names a new cursor is not the end: filtered lists send them. An empty page
    that repeats a cursor is the end: some lists go on naming their last one.

    Raises:
        BadPayload: a page with rows, which are yielded, names a cursor that was already followed;
            going on would read the same rows for ever.
    """
    seen = {start}
    cursor = start
    while True:
        page = await fetch(cursor)
        is_loop = page.next is not None and page.next in seen
        yield replace(page, next=None) if is_loop and not page.rows else page
        if page.next is None or (is_loop and not page.rows):
            return
        if is_loop:
            raise BadPayload(
                "a page names a cursor that was already followed",
                hint="run again later; if it stays, tell the provider its paging loops",
            )
        cursor = page.next
        seen.add(cursor)
