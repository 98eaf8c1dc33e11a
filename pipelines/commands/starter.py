"""The configuration file that `doblecheck init` writes."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path

from pipelines.errors import UsageError
from pipelines.settings.places import FILE_NAME, named_file


def write(path: Path | None, *, force: bool) -> Path:
    """Write the commented file, for its owner's eyes only; return its path.

    Args:
        path: where to, from `--config`; None: what `DOBLECHECK_CONFIG` names, else the current
            folder.

    Raises:
        UsageError: there is one already, or it can't be written.
    """
    target = (path or named_file() or Path(FILE_NAME)).absolute()
    text = resources.files("pipelines.commands").joinpath("starter.toml").read_bytes()
    flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if force else os.O_EXCL)
    try:
        with os.fdopen(os.open(target, flags, 0o600), "wb") as file:
            os.fchmod(file.fileno(), 0o600)  # one that was there may be open to others
            file.write(text)
    except FileExistsError:
        raise UsageError(f"{target} is already there", hint="replace it: add --force") from None
    except OSError as error:
        raise UsageError(f"{target} can't be written: {error.strerror}") from None
    return target
