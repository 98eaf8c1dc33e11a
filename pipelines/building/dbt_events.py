"""What dbt tells while it works, without what nobody hears."""

from __future__ import annotations

from typing import Any

from dbt_common.events.base_types import BaseEvent, EventLevel
from dbt_common.events.event_manager import EventManager
from dbt_common.events.event_manager_client import ctx_set_event_manager

HEARD = (EventLevel.WARN, EventLevel.ERROR)


def hear_only_warnings() -> None:
    """From here on, dbt in this process makes messages of its warnings and errors only: making one
    of every event, some twenty for each model, is an eighth of its CPU."""
    ctx_set_event_manager(_Warnings())


class _Warnings(EventManager):
    def fire_event(
        self,
        e: BaseEvent,
        level: EventLevel | None = None,
        node: Any = None,
        force_warn_or_error_handling: bool = False,
    ) -> None:
        if force_warn_or_error_handling or (level or e.level_tag()) in HEARD:
            super().fire_event(e, level, node, force_warn_or_error_handling)
