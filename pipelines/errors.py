"""Every error doblecheck raises, arranged by what the reader can do next.

DoblecheckError
├── UsageError                 exit 2: change the command or the configuration, then run again
│   └── ConfigError            a setting is missing, misspelt or refused
├── WarehouseError             exit 1: the warehouse could not be used
│   ├── WarehouseBusy          another run holds it: wait for it
│   ├── WarehouseAway          its server can't be reached: the next run goes on from here
│   ├── DiskFull               make room, then run again
│   └── NotPublished           nothing to read yet: run a build first
├── LogError                   exit 1: the delivery log could not be read or written
│   └── LogBroken              its disk failed: nothing more is taken until the next start
├── BuildFailed                exit 1: the models or their tests failed; the old snapshot stays
└── ProviderError              exit 1: an account or a resource could not be read
    ├── Unauthorized           the key is refused: ends the account, or what an older host has
    ├── Unavailable            closed to the key or not there: ends the resource
    ├── BadCursor              the provider forgot a saved cursor: the walk starts again
    ├── BadRequest             the request is refused: a bug here or a change there
    ├── BadPayload             an answer that is not what the provider's API promises
    └── Unreachable            retried and still failing: the next run goes on from here

Stopped is no error: the run was asked to end.

A message never holds a key, a phone number, a name, a message's text or a media link.
"""

import traceback
from pathlib import Path

REPORT_IT = "nothing is lost: run it again; if it stays, report it with this line"
"""What to do about an error that is not ours."""


class DoblecheckError(Exception):
    """A failure that doblecheck explains: one line on what failed, one hint on what to do."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(DoblecheckError):
    """The command can't be carried out as it was written."""

    exit_code = 2


class ConfigError(UsageError):
    """A setting is missing, misspelt or refused."""


class WarehouseError(DoblecheckError):
    """The warehouse could not be opened, written or published."""


class WarehouseBusy(WarehouseError):
    """Another run holds the warehouse."""


class WarehouseAway(WarehouseError):
    """The server of the warehouse does not answer, or went away."""


class DiskFull(WarehouseError):
    """There is no room left where the warehouse or its working files are."""


class NotPublished(WarehouseError):
    """No snapshot has been published yet."""


class LogError(DoblecheckError):
    """The log of webhook deliveries could not be read or written."""


class LogBroken(LogError):
    """The log can't be trusted with anything more in this process."""


class BuildFailed(DoblecheckError):
    """A model or a test failed; what was published before stays published."""


class ProviderError(DoblecheckError):
    """An account or one of its resources could not be read.

    Attributes:
        status: the HTTP status that told it; None when there was none.
        ends_account: nothing else of the account can be read either.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        status: int | None = None,
        ends_account: bool = False,
    ) -> None:
        super().__init__(message, hint=hint)
        self.status, self.ends_account = status, ends_account


class Unauthorized(ProviderError):
    """The provider refuses the key."""


class Unavailable(ProviderError):
    """The key may not read this resource, or the provider does not have it."""


class BadCursor(ProviderError):
    """The provider no longer accepts a cursor that it once gave."""


class BadRequest(ProviderError):
    """The provider refuses the request itself."""


class BadPayload(ProviderError):
    """The answer is not what the provider's API promises."""


class Unreachable(ProviderError):
    """The provider did not answer well after every retry."""


class Stopped(Exception):
    """The run was asked to end: what is being read ends here. No failure, and never shown."""


def unexpected(error: Exception) -> str:
    """An error that is not ours, by its kind and where it was raised: its text may quote rows."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"unexpected {type(error).__name__} at {Path(place.filename).name}:{place.lineno}"
