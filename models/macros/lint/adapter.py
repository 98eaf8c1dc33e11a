"""dbt's `adapter`, as far as sqlfluff needs it: the default of a dispatched macro."""

from collections.abc import Callable
from typing import Any

from jinja2 import pass_context
from jinja2.runtime import Context


@pass_context
def dispatch(context: Context, name: str) -> Callable[..., Any]:
    """The macro that DuckDB would get."""
    macro: Callable[..., Any] = context["default__" + name]
    return macro
