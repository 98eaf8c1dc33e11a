"""dbt's import and setting up, without what takes it seconds and is of no use to a build."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from dbt_common.events.base_types import BaseEvent, EventLevel
from dbt_common.events.event_manager import EventManager
from dbt_common.events.event_manager_client import ctx_set_event_manager
from mashumaro.config import BaseConfig

if TYPE_CHECKING:
    from dbt.cli.main import dbtRunner

HEARD = (EventLevel.WARN, EventLevel.ERROR)


def load_dbt() -> type[dbtRunner]:
    """Import dbt, which takes seconds once per process, and return its runner.

    Without this, dbt generates code to read and write each of some hundred classes, and JSON
    schemas to compare its settings with: here classes get theirs when they are used, and nothing is
    compared. The project is shipped, and a test has dbt check all of it.
    """
    BaseConfig.lazy_compilation = True
    from dbt.cli.main import dbtRunner
    from dbt_common.dataclass_schema import dbtClassMixin

    dbtClassMixin.validate = classmethod(lambda cls, data: None)  # type: ignore[assignment]
    _hear_only_warnings()
    _write_when_read()
    _keep_sessions()
    return dbtRunner


def _hear_only_warnings() -> None:
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


def _write_when_read() -> None:
    """From here on, an event becomes a protobuf message when somebody reads it. dbt writes it
    before it asks whether anybody does, which is another tenth of its CPU."""
    BaseEvent.__init__ = _keep  # type: ignore[assignment]
    BaseEvent.__getattr__ = _read  # type: ignore[method-assign]
    BaseEvent.__setattr__ = _change  # type: ignore[method-assign]


_write = BaseEvent.__init__


def _keep(event: BaseEvent, *args: Any, **kwargs: Any) -> None:
    event.__dict__["_told"] = args, kwargs


def _read(event: BaseEvent, name: str) -> Any:
    if name != "pb_msg":
        return getattr(event.pb_msg, name)
    if "_told" not in event.__dict__:
        raise AttributeError(name)
    args, kwargs = event.__dict__.pop("_told")
    _write(event, *args, **kwargs)
    return event.__dict__["pb_msg"]


def _change(event: BaseEvent, name: str, value: Any) -> None:
    if name == "pb_msg":
        event.__dict__[name] = value
    else:
        setattr(event.pb_msg, name, value)


@cache
def _keep_sessions() -> None:
    """From here on, a thread of dbt stays connected to PostgreSQL from model to model, to the end
    of a command. dbt connects for each: some ten round trips of TLS and password, for the server a
    new process that knows no table. DuckDB's have nothing to keep."""
    from dbt.adapters.base.connections import BaseConnectionManager

    close = BaseConnectionManager.release

    def release(manager: BaseConnectionManager) -> None:
        connection = manager.get_if_exists()
        if connection is not None and connection.state == "open":
            manager.rollback_if_open()  # a test has read something, a model has failed
            if getattr(connection.handle, "closed", True) == 0:
                return
        close(manager)

    BaseConnectionManager.release = release  # type: ignore[method-assign, assignment]
