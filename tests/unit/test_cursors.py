"""Following pages, whatever a list does with its cursors."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from pipelines.cursors import Page, follow
from pipelines.errors import BadPayload


def read(
    pages: Mapping[str | None, Page[int]],
    start: str | None = None,
    *,
    into: list[int] | None = None,
) -> list[int]:
    rows = [] if into is None else into

    async def fetch(cursor: str | None) -> Page[int]:
        return pages[cursor]

    async def collect() -> None:
        async for page in follow(fetch, start):
            rows.extend(page.rows)

    asyncio.run(collect())
    return rows


def test_pages_are_read_until_one_names_no_next() -> None:
    assert read({None: Page([1, 2], "a"), "a": Page([3], "b"), "b": Page([4])}) == [1, 2, 3, 4]


def test_an_empty_page_that_names_a_new_cursor_is_not_the_end() -> None:
    assert read({None: Page([1], "a"), "a": Page([], "b"), "b": Page([2])}) == [1, 2]


def test_an_empty_page_that_repeats_its_cursor_is_the_end() -> None:
    assert read({None: Page([1], "a"), "a": Page([], "a")}) == [1]


def test_a_saved_cursor_is_where_reading_starts() -> None:
    assert read({None: Page([1], "a"), "a": Page([2])}, start="a") == [2]


@pytest.mark.parametrize("again", ["a", "b"])
def test_a_page_with_rows_that_names_a_followed_cursor_is_an_error(again: str) -> None:
    pages = {None: Page([1], "a"), "a": Page([2], "b"), "b": Page([3], again)}
    rows: list[int] = []
    with pytest.raises(BadPayload):
        read(pages, into=rows)
    assert rows == [1, 2, 3]  # the last page may be all that the provider got wrong
