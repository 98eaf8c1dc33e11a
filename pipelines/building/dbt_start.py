"""dbt's import and setting up, without what takes it seconds and is of no use to a build.

Each function below replaces something inside dbt 1.11, for the whole process, and says what that
saves.
"""

from __future__ import annotations

from collections.abc import Iterable
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
    _compile_once()
    _keep_table_types()
    _take_the_graph_as_it_is()
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


@cache
def _compile_once() -> None:
    """From here on, a text of Jinja is compiled once per process: the hooks that models share, and
    in a process that builds again, everything. It is a quarter of what dbt does for a model."""
    from dbt_common.clients.jinja import MacroFuzzEnvironment

    compile_anew = MacroFuzzEnvironment.compile
    kept: dict[tuple[type, str], Any] = {}

    def compile_or_take(environment: MacroFuzzEnvironment, source: Any, *rest: Any) -> Any:
        if rest or not isinstance(source, str):
            return compile_anew(environment, source, *rest)
        key = type(environment), source
        if key not in kept:
            kept[key] = compile_anew(environment, source)
        return kept[key]

    MacroFuzzEnvironment.compile = compile_or_take  # type: ignore[method-assign, assignment]


@cache
def _keep_table_types() -> None:
    """From here on, what a table's columns may be is made up once for columns of the same kinds.
    dbt makes a table of whatever a statement answers, even of nothing, and each with two readers of
    dates in words."""
    from dbt_common.clients import agate_helper

    build = cache(agate_helper.build_type_tester)

    def tester(
        text_columns: Iterable[str], string_null_values: Iterable[str] | None = ("null", "")
    ) -> Any:
        return build(frozenset(text_columns), tuple(string_null_values or ()))

    agate_helper.build_type_tester = tester
    agate_helper.empty_table = cache(agate_helper.empty_table)


@cache
def _take_the_graph_as_it_is() -> None:
    """From here on, no command looks whether models go round in circles, which a test has dbt do,
    or writes a summary of their graph, which nobody reads."""
    from dbt.compilation import Linker

    Linker.find_cycles = lambda _: None  # type: ignore[method-assign]
    Linker.get_graph_summary = lambda *_: {}  # type: ignore[method-assign]
