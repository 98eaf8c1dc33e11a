"""Settings from environment variables, where everything is text."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Annotated, Any

from pydantic import BeforeValidator
from pydantic.fields import FieldInfo
from pydantic_settings import EnvSettingsSource

NOT_SET = "folder"
"""The field of the settings that nobody sets: it is where the file is."""


class Environment(EnvSettingsSource):
    """`DOBLECHECK_…`. A text that is no JSON stays one: the setting itself says what it wants."""

    def __call__(self) -> dict[str, Any]:
        """What is set, without what nobody sets."""
        return {name: value for name, value in super().__call__().items() if name != NOT_SET}

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        """The list or table that a text tells; else the text."""
        with suppress(ValueError, RecursionError):
            return json.loads(value) if _is_json(value) else value
        return value


def from_text(value: Any) -> Any:
    """A list or a table that may be written as text: as JSON, or a list between commas.

    Raises:
        ValueError: it begins as JSON and is none.
    """
    if not isinstance(value, str):
        return value
    if not _is_json(value):
        return [item.strip() for item in value.split(",") if item.strip()]
    with suppress(ValueError, RecursionError):
        return json.loads(value)
    raise ValueError("is not JSON")


def _is_json(text: str) -> bool:
    return text.lstrip().startswith(("[", "{"))


FromText = BeforeValidator(from_text)
Texts = Annotated[list[str], FromText]
