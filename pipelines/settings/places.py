"""Where settings stand: the file, and the environment variables that it names."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import SecretStr

from pipelines.errors import ConfigError

FILE_NAME = "doblecheck.toml"


def find_file(config: Path | None) -> Path | None:
    """The configuration file to read, absolute; None when there is none.

    Raises:
        ConfigError: a file was named and is not there, or nobody may look for it.
    """
    named = config or named_file()
    path = named or Path(FILE_NAME)
    try:
        if path.is_file():
            return path.resolve()
    except OSError as error:
        raise ConfigError(
            f"{path} can't be read: {error.strerror}", hint="check its folder and its name"
        ) from None
    if named:
        raise ConfigError(f"no configuration file at {path}", hint="write one: doblecheck init")
    return None


def named_file() -> Path | None:
    """The configuration file that the environment names, there or not."""
    found = os.environ.get("DOBLECHECK_CONFIG")
    return Path(found) if found else None


def resolve(secret: SecretStr | None, *, what: str, key: str, section: str) -> str:
    """A secret's value: itself, or what `env:NAME` names.

    Args:
        what: it is, for people.
        key, section: where it stands in the file.

    Raises:
        ConfigError: nothing is there.
    """
    text = secret.get_secret_value().strip() if secret else ""
    name = text.removeprefix("env:") if text.startswith("env:") else ""
    value = os.environ.get(name, "").strip() if name else text
    if value:
        return value
    table = f"{section.strip('[]').upper()}__{'0__' if section.startswith('[[') else ''}"
    variable = f"DOBLECHECK_{table}{key.upper()}"
    looked = f"the environment variable {name} is empty" if name else f"{key} is not set"
    raise ConfigError(
        f"no {what}: {looked}",
        hint=f"set {name or variable}, or {key} under {section} in {find_file(None) or FILE_NAME}",
    )
