"""Webhooks as a provider posts them: bodies, in the order in which they were sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Posted:
    """One webhook.

    Attributes:
        at: when it was sent, UTC.
        event: its name, which stands in a header.
    """

    at: datetime
    event: str
    headers: Mapping[str, str]
    body: bytes
