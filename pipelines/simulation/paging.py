"""Pages: keyset cursors, and query parameters read strictly."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from pipelines.simulation.asking import Refused

Key = TypeVar("Key", bound=tuple[Any, ...])


def keyset(
    keys: Sequence[Key],
    *,
    limit: int,
    bounds: tuple[int, int] | None = None,
    after: Key | None = None,
    before: Key | None = None,
    keep: Callable[[int], bool] | None = None,
) -> tuple[list[int], bool]:
    """A page of positions in ascending `keys`, highest first, and whether more follow.

    Args:
        bounds: first position and the one past the last; default all.
        after: only lower keys, from the nearest on.
        before: only higher keys, the nearest ones.
        keep: filter on positions.
    """
    low, high = bounds or (0, len(keys))
    if after is not None:
        high = min(high, bisect_left(keys, after))
    if before is not None:
        low = max(low, bisect_right(keys, before))
    walk = range(low, high) if before is not None else range(high - 1, low - 1, -1)
    found = take(walk, limit + 1, keep)
    page = found[:limit]
    return (page[::-1] if before is not None else page), len(found) > limit


def take(walk: Iterable[int], count: int, keep: Callable[[int], bool] | None = None) -> list[int]:
    """The first `count` positions that pass."""
    found: list[int] = []
    for index in walk:
        if keep is None or keep(index):
            found.append(index)
            if len(found) == count:
                break
    return found


def whole(query: Mapping[str, str], name: str, *, default: int, most: int | None) -> int:
    """A parameter as a number from 1 to `most`; anything else is refused with 400."""
    text = query.get(name)
    if text is None:
        return default
    if not text.isdecimal() or int(text) < 1 or (most is not None and int(text) > most):
        raise Refused(400, f"{name} must be between 1 and {most}" if most else f"invalid {name}")
    return int(text)


def moment(query: Mapping[str, str], name: str) -> datetime | None:
    """A parameter as an aware time, UTC when it names no zone; nonsense is refused with 400."""
    if not (text := query.get(name)):
        return None
    try:
        # an unencoded plus sign arrives as a blank
        found = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
    except ValueError:
        raise Refused(400, f"{name} is not a valid date-time") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
