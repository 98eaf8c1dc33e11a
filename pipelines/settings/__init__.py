"""doblecheck.toml and the environment, read once, into one typed object.

The environment wins: `DOBLECHECK_<SECTION>__<KEY>`, and for the accounts, counted from 0,
`DOBLECHECK_ACCOUNTS__0__API_KEY`. A list is written between commas or as JSON, a table as JSON.
Nothing below the command line reads either.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from pipelines.errors import ConfigError
from pipelines.settings import accounts as given
from pipelines.settings.checks import check_folder, checked_zone
from pipelines.settings.environment import NOT_SET, Environment
from pipelines.settings.places import find_file
from pipelines.settings.sections import (
    Account,
    Alerts,
    Dashboard,
    Hours,
    Policy,
    Receiver,
    Retention,
    Schedule,
    Warehouse,
)

if TYPE_CHECKING:
    from pipelines.provider import Provider

__all__ = [
    "Account",
    "Alerts",
    "Dashboard",
    "Hours",
    "Policy",
    "Receiver",
    "Retention",
    "Schedule",
    "Settings",
    "Warehouse",
    "load",
]


class Settings(BaseSettings):
    """Every setting, checked. Paths are absolute.

    Attributes:
        folder: where relative paths start: the file's folder, else the current one.
        sla: policy per `default`, account or `<account>/<channel_id>`.
    """

    model_config = SettingsConfigDict(
        env_prefix="DOBLECHECK_", env_nested_delimiter="__", extra="ignore", frozen=True
    )

    folder: Path
    data_dir: Path = Path("data")
    timezone: str = "UTC"
    warehouse: Warehouse = Warehouse()
    accounts: list[Account] = []
    receiver: Receiver = Receiver()
    retention: Retention = Retention()
    business_hours: dict[str, Hours] = {}
    sla: dict[str, Policy] = {}
    schedule: Schedule = Schedule()
    alerts: Alerts = Alerts()
    dashboard: Dashboard = Dashboard()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment before the file (which comes in as arguments)."""
        return Environment(settings_cls), init_settings

    @field_validator("accounts", mode="before")
    @classmethod
    def _in_order(cls, value: Any) -> Any:
        # The file's list arrives as {"0": …} so that the environment can override one key of it.
        return (
            [value[key] for key in sorted(value, key=_number)] if isinstance(value, dict) else value
        )

    @field_validator("sla", mode="before")
    @classmethod
    def _split_default(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        default = {key: item for key, item in value.items() if not isinstance(item, dict)}
        tables = {key: item for key, item in value.items() if isinstance(item, dict)}
        # What a channel's table leaves out, its account's says; what that does, the default.
        named = {
            key: {**default, **tables.get(key.partition("/")[0], {}), **item}
            for key, item in tables.items()
        }
        return {"default": default, **named}

    @field_validator("timezone")
    @classmethod
    def _zone(cls, value: str) -> str:
        return checked_zone(value)

    def path(self, value: str | Path) -> Path:
        """A path of the settings, absolute.

        Raises:
            ConfigError: it begins with the home of somebody who is not known here.
        """
        try:
            return (self.folder / Path(value).expanduser()).resolve()
        except RuntimeError:
            raise ConfigError(
                f"{value}: there is no such user", hint="write the path without ~"
            ) from None

    @property
    def data_path(self) -> Path:
        """The data folder, absolute."""
        return self.path(self.data_dir)

    @property
    def warehouse_url(self) -> str:
        """The warehouse's URL; the writer's DuckDB file in the data folder by default.

        Raises:
            ConfigError: it names an environment variable that is empty.
        """
        text = self.warehouse.url.get_secret_value()
        name = text.removeprefix("env:") if text.startswith("env:") else ""
        if name and not os.environ.get(name):
            raise ConfigError(
                f"warehouse.url: the environment variable {name} is empty",
                hint="duckdb:///data/warehouse.duckdb, or postgresql://…",
            )
        url = os.environ[name] if name else text
        return url or f"duckdb:///{self.data_path / 'warehouse.duckdb'}"

    @property
    def log_url(self) -> str | None:
        """The database of the delivery log; None: the file in the data folder.

        Raises:
            ConfigError: it is none that can be used.
        """
        text = self.receiver.log.get_secret_value() if self.receiver.log else ""
        name = text.removeprefix("env:") if text.startswith("env:") else ""
        url = os.environ.get(name, "") if name else text
        if not text:
            return None
        if url.startswith(("postgresql://", "postgres://")):
            return url
        looked = f"the environment variable {name} is empty" if name and not url else "no database"
        raise ConfigError(
            f"receiver.log: {looked}",
            hint="postgresql://user:password@host/database, or without it data/deliveries.db",
        )


def _number(key: str) -> int:
    if not key.isdigit():
        raise ValueError("accounts are counted: DOBLECHECK_ACCOUNTS__0__API_KEY")
    return int(key)


def load(config: Path | None, rooms: Sequence[Provider]) -> Settings:
    """Read the settings.

    Args:
        config: the file, from `--config`; None looks at `DOBLECHECK_CONFIG`, then in the
            current folder.
        rooms: the providers there are, for their defaults.

    Raises:
        ConfigError: the file is not there, not TOML, or holds something it should not; or the data
            folder has a name that can't be used.
    """
    path = find_file(config)
    data = _read(path) if path else {}
    if isinstance(data.get("accounts"), list):
        data["accounts"] = {str(i): account for i, account in enumerate(data["accounts"])}
    known = Settings.model_fields.keys() - {NOT_SET}
    unknown = data.keys() - known
    if unknown:
        raise ConfigError(
            f"{path}: unknown setting {sorted(unknown)[0]!r}",
            hint=f"known: {', '.join(sorted(known))}",
        )
    hint = "the file that `doblecheck init` writes has every setting"
    try:
        _give_way(data, Environment(Settings)())
        settings = Settings(folder=(path.parent if path else Path()).resolve(), **data)
    except ValidationError as error:
        raise ConfigError(_first_problem(error, path), hint=hint) from None
    except SettingsError as error:
        raise ConfigError(f"environment: {error}", hint=hint) from None
    check_folder(settings.data_path)
    accounts = settings.accounts or given.from_environment(rooms)
    return settings.model_copy(update={"accounts": given.completed(accounts, rooms)})


def _give_way(file: dict[str, Any], environment: Mapping[str, Any]) -> None:
    """Drop the file's `every` where the environment has a cron, and the other way round: no file
    could be overridden else, for together they are refused."""
    ours, theirs = file.get("schedule"), environment.get("schedule")
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for name, other in (("every", "cron"), ("cron", "every")):
            if other in theirs and name not in theirs:
                ours.pop(name, None)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}", hint="fix that line") from None
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror}") from None


def _first_problem(error: ValidationError, path: Path | None) -> str:
    # The input is left out: it may be a key.
    first = error.errors(include_input=False, include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "settings"
    is_unknown = first["type"] == "extra_forbidden"
    said = "unknown setting" if is_unknown else first["msg"].removeprefix("Value error, ")
    return f"{_variable(first['loc']) or path or 'environment'}: {place}: {said}"


def _variable(place: Sequence[str | int]) -> str | None:
    """The environment variable that a value comes from; None: from the file."""
    parts = [str(part).upper() for part in place]
    names = ["DOBLECHECK_" + "__".join(parts[:n]) for n in range(len(parts), 0, -1)]
    return next((name for name in names if name in os.environ), None)
