"""How often a question is asked again, and when: what `Transport` knows of tries."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from pipelines.errors import ProviderError

TRIES = 6
BODY_TRIES = 3
THROTTLES = 20
"""Waits that one request keeps when the provider asks for them: twenty minutes as a rule."""


class TryAgain(Exception):
    """An answer that another try may better.

    Attributes:
        error: what is told when no try does.
        wait: seconds that the provider asked to wait; None when it did not.
        is_body: the answer came well and is none.
        is_throttle: it was only told to wait.
    """

    def __init__(
        self,
        error: ProviderError,
        *,
        wait: float | None = None,
        is_body: bool = False,
        is_throttle: bool = False,
    ) -> None:
        super().__init__(str(error))
        self.error, self.wait = error, wait
        self.is_body, self.is_throttle = is_body, is_throttle


@dataclass
class Tries:
    """What became of the tries of one question. Failures in between do not make a body worse, and
    a wait that the provider asks for is no failure, as long as there is time."""

    failed: int = 0
    bodies: int = 0
    throttled: int = 0

    def count(self, again: TryAgain, *, is_late: bool) -> None:
        """Count one that did not bring an answer."""
        self.failed += is_late or not again.is_throttle
        self.bodies += again.is_body
        self.throttled += again.is_throttle

    def of_its_kind(self, again: TryAgain) -> int:
        """How many came to the same: what the pause before the next one grows with."""
        return self.throttled if again.is_throttle else self.failed

    @property
    def are_over(self) -> bool:
        """Whether another one is no use."""
        return self.failed >= TRIES or self.bodies >= BODY_TRIES or self.throttled > THROTTLES

    @property
    def is_last_body(self) -> bool:
        """Whether a body that is no answer would be the last one."""
        return self.failed + 1 >= TRIES or self.bodies + 1 >= BODY_TRIES


def retry_after(response: httpx.Response) -> float | None:
    """Seconds to wait, from `Retry-After` as a number or a date; 60 for a 429 that tells none."""
    told = response.headers.get("retry-after", "")
    if is_whole_number(told.strip()):
        return float(told)
    if (until := _date(told)) is not None:
        # By the clock that the date was made with: ours may be an hour ahead.
        now = _date(response.headers.get("date", "")) or datetime.now(UTC)
        return max(0.0, (until - now).total_seconds())
    return 60.0 if response.status_code == 429 else None


def is_whole_number(text: str) -> bool:
    """Whether it is one; `²` is a digit too."""
    return text.isascii() and text.isdigit()


def _date(text: str) -> datetime | None:
    try:
        return parsedate_to_datetime(text).replace(tzinfo=UTC)
    except (ValueError, TypeError, OverflowError):
        return None
