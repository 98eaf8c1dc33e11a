"""Questions asked side by side, where one that fails takes no other with it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from typing import TypeVar

from pipelines.errors import ProviderError

T = TypeVar("T")


async def together(asks: Iterable[Awaitable[T]]) -> list[T | ProviderError]:
    """What each brings, in their order; in the place of one that fails, its error.

    Raises:
        ProviderError: it ends the account.
        Exception: it is no provider's, such as `Stopped`; either after all have ended.
    """
    found = await asyncio.gather(*asks, return_exceptions=True)
    answers: list[T | ProviderError] = []
    for answer in found:
        if isinstance(answer, ProviderError) and not answer.ends_account:
            answers.append(answer)
        elif isinstance(answer, BaseException):
            raise answer
        else:
            answers.append(answer)
    return answers


def failures(answers: Sequence[object]) -> list[ProviderError]:
    """Those of the answers that are errors."""
    return [answer for answer in answers if isinstance(answer, ProviderError)]
