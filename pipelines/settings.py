"""doblecheck.toml and the environment, read once, into one typed object.

The environment wins: `DOBLECHECK_<SECTION>__<KEY>`, and for the accounts, counted from 0,
`DOBLECHECK_ACCOUNTS__0__API_KEY`. Nothing below the command line reads either.
"""

from __future__ import annotations

import ipaddress
import os
import tomllib
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from pipelines.errors import ConfigError

if TYPE_CHECKING:
    from pipelines.provider import Provider

FILE_NAME = "doblecheck.toml"
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Account(_Section):
    """One API key of one provider. Names are unique per provider."""

    provider: str
    name: str = Field("default", pattern=r"^[A-Za-z0-9_.-]{1,64}$")
    api_key: SecretStr | None = None
    base_url: str = ""
    legacy_base_url: str = ""
    allow_base_url: bool = False
    requests_per_minute: int = Field(0, ge=0)
    concurrency: int = Field(8, ge=1, le=256)
    retry_seconds: float = Field(0.5, gt=0, le=60)
    minutes_per_run: float = Field(10, ge=0)
    webhook_secrets: list[SecretStr] = []
    resources: list[str] | None = None
    graph_version: str = Field("v24.0", pattern=r"^v\d+\.\d+$")
    signature_header: str | None = Field(None, pattern=r"^[A-Za-z0-9-]{1,64}$")
    signature_prefix: str | None = None
    signature_encoding: Literal["hex", "base64"] = "hex"
    required_headers: dict[str, SecretStr] = {}

    @property
    def key(self) -> str:
        """The API key itself.

        Raises:
            ConfigError: it is not set; the message lists every place that was looked at.
        """
        return resolve(self.api_key, what=f"{self.provider} account {self.name!r}", key="api_key")


class Warehouse(_Section):
    """Where rows are kept. The URL of a database holds its password."""

    url: SecretStr = SecretStr("")


class Receiver(_Section):
    host: str = "127.0.0.1"
    port: int = Field(8300, ge=0, le=65535)
    max_body_bytes: int = Field(3 * 1024 * 1024, ge=1)
    keep_days: float = Field(90, ge=0)
    log: SecretStr | None = None
    metrics_port: int = Field(8301, ge=0, le=65535)


class Retention(_Section):
    """Days after which what nobody needs is removed; the receiver's log has its own `keep_days`."""

    rejected_days: float = Field(30, ge=0)


class Hours(_Section):
    """Opening hours as written; `business_time.parse_hours` reads them."""

    timezone: str
    monday: list[str] = []
    tuesday: list[str] = []
    wednesday: list[str] = []
    thursday: list[str] = []
    friday: list[str] = []
    saturday: list[str] = []
    sunday: list[str] = []
    exceptions: dict[str, list[str]] = {}


class Policy(_Section):
    """Response targets, in seconds."""

    first_response_seconds: float = Field(900, gt=0)
    response_seconds: float = Field(3600, gt=0)
    clock: Literal["business", "calendar"] = "business"


class Schedule(_Section):
    """When `doblecheck serve` runs what.

    Attributes:
        name: of this installation: several may share a Prefect server.
        every, cron: the run; cron wins over the default of `every`.
        ingest_every: the webhooks.
        maintain_cron: full sweeps, retention, compaction.
        timezone: of the crons, IANA; default: the top-level one.
        port: of the local Prefect server; 0: any that is free.
        accounts_at_once: accounts that are read side by side.
        dashboard_url: where the dashboard is, for links; default: where it listens.
    """

    name: str = Field("doblecheck", pattern=r"^[A-Za-z0-9_.-]{1,64}$")
    every: str | None = None
    cron: str | None = None
    ingest_every: str = "1 minute"
    maintain_cron: str = "0 4 * * 0"
    timezone: str | None = None
    port: int = Field(4200, ge=0, le=65535)
    accounts_at_once: int = Field(4, ge=1, le=64)
    dashboard_url: str | None = Field(None, pattern=r"^https?://[^\s@]+$")

    @field_validator("every", "ingest_every")
    @classmethod
    def _duration(cls, value: str | None) -> str | None:
        if value is not None:
            duration(value)
        return value

    @field_validator("timezone")
    @classmethod
    def _zone(cls, value: str | None) -> str | None:
        return value if value is None else _checked_zone(value)

    @model_validator(mode="after")
    def _one_of_them(self) -> Schedule:
        if self.every and self.cron:
            raise ValueError("every and cron are both set: choose one")
        return self


class Alerts(_Section):
    """Who is told when something goes wrong, and what that is.

    Attributes:
        url: where a message is posted, as JSON that Slack understands; a secret. None: nowhere.
        stale_minutes: a resource that was not read whole for so long is told; 0: never.
        silent_minutes: so is a webhook that brings nothing while the API has newer messages.
    """

    url: SecretStr | None = None
    stale_minutes: float = Field(60, ge=0)
    silent_minutes: float = Field(15, ge=0)

    @property
    def target(self) -> str | None:
        """The address to post to; None when there is none.

        Raises:
            ConfigError: it is empty, or neither https nor on this machine.
        """
        if self.url is None:
            return None
        try:
            url = resolve(self.url, what="alerts", key="url")
        except ConfigError:
            raise ConfigError(
                "alerts.url is empty", hint="set the variable that it names, or remove [alerts]"
            ) from None
        parts = urlsplit(url)
        is_safe = parts.scheme == "https" or (
            parts.scheme == "http" and is_loopback(parts.hostname or "")
        )
        if not (is_safe and parts.hostname):
            raise ConfigError(
                "alerts.url is not an https address", hint="https://hooks.slack.com/…"
            )
        return url


class Dashboard(_Section):
    """Where the dashboard listens, who may come in, and what they see.

    Attributes:
        language: of a viewer who chose none; `auto` takes the browser's.
        stale_after_minutes: a snapshot older than this gets a banner.
        auth: `none` listens on loopback only; `oidc` signs in with OpenID Connect; `proxy` trusts
            the header `proxy_header` of requests that come from `trusted_proxies`.
        viewers: who may come in, by address, `@domain` or `*`.
        personal_data_viewers: who of them sees names and phones, written alike.
        show_personal_data: everybody who comes in sees them.
        show_message_text: whoever sees names and phones also reads messages.
    """

    host: str = "127.0.0.1"
    port: int = Field(8501, ge=0, le=65535)
    language: Literal["auto", "es", "en"] = "auto"
    stale_after_minutes: float = Field(60, gt=0)
    auth: Literal["none", "oidc", "proxy"] = "none"
    viewers: list[str] = []
    personal_data_viewers: list[str] = []
    show_personal_data: bool = False
    show_message_text: bool = False
    proxy_header: str = Field("", pattern=r"^[A-Za-z0-9-]*$")
    trusted_proxies: list[str] = ["127.0.0.1", "::1"]
    oidc_metadata_url: str = ""
    oidc_client_id: str = ""
    oidc_client_secret: SecretStr | None = None
    oidc_redirect_url: str = ""
    cookie_secret: SecretStr | None = None


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
        return env_settings, init_settings

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
        named = {key: {**default, **item} for key, item in value.items() if isinstance(item, dict)}
        return {"default": default, **named}

    @field_validator("timezone")
    @classmethod
    def _zone(cls, value: str) -> str:
        return _checked_zone(value)

    def path(self, value: str | Path) -> Path:
        """A path of the settings, absolute."""
        return (self.folder / Path(value).expanduser()).resolve()

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


def duration(text: str) -> timedelta:
    """The time that words like `5 minutes`, `1 hour` or `30 s` name.

    Raises:
        ValueError: they name none.
    """
    number, _, unit = text.strip().partition(" ")
    name = unit.strip().lower()
    seconds = next((n for words, n in _UNITS.items() if name in words), 0)
    if not (number.isdigit() and int(number) and seconds):
        raise ValueError(f"{text!r} is no time, such as 5 minutes")
    return timedelta(seconds=int(number) * seconds)


_UNITS = {
    ("s", "second", "seconds"): 1,
    ("min", "minute", "minutes"): 60,
    ("h", "hour", "hours"): 3600,
    ("d", "day", "days"): 86400,
}


def _checked_zone(value: str) -> str:
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError("not an IANA time zone, such as America/Bogota") from error
    return value


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
        ConfigError: the file is not there, not TOML, or holds something it should not.
    """
    path = find_file(config)
    data = _read(path) if path else {}
    data["folder"] = (path.parent if path else Path()).resolve()
    if isinstance(data.get("accounts"), list):
        data["accounts"] = {str(i): account for i, account in enumerate(data["accounts"])}
    unknown = data.keys() - Settings.model_fields.keys()
    if unknown:
        raise ConfigError(
            f"{path}: unknown setting {sorted(unknown)[0]!r}",
            hint=f"known: {', '.join(sorted(Settings.model_fields.keys() - {'folder'}))}",
        )
    try:
        settings = Settings(**data)
    except ValidationError as error:
        raise ConfigError(_first_problem(error, path), hint="see `doblecheck init`") from None
    accounts = settings.accounts or _accounts_from_environment(rooms)
    return settings.model_copy(update={"accounts": _completed(accounts, rooms)})


def find_file(config: Path | None) -> Path | None:
    """The configuration file to read, absolute; None when there is none.

    Raises:
        ConfigError: a file was named and is not there.
    """
    named = config or (Path(found) if (found := os.environ.get("DOBLECHECK_CONFIG")) else None)
    path = named or Path(FILE_NAME)
    if path.is_file():
        return path.resolve()
    if named:
        raise ConfigError(f"no configuration file at {path}", hint="write one: doblecheck init")
    return None


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
    return f"{path or 'environment'}: {place}: {first['msg'].removeprefix('Value error, ')}"


def resolve(secret: SecretStr | None, *, what: str, key: str) -> str:
    """A secret's value: itself, or what `env:NAME` names.

    Raises:
        ConfigError: nothing is there.
    """
    text = secret.get_secret_value().strip() if secret else ""
    name = text.removeprefix("env:") if text.startswith("env:") else ""
    value = os.environ.get(name, "").strip() if name else text
    if value:
        return value
    looked = f"the environment variable {name} is empty" if name else f"{key} is not set"
    raise ConfigError(
        f"no API key for {what}: {looked}",
        hint=f"set {name or key}, or {key} under [[accounts]] in {find_file(None) or FILE_NAME}",
    )


def _accounts_from_environment(rooms: Sequence[Provider]) -> list[Account]:
    found = []
    for room in rooms:
        prefix = room.name.upper()
        if not os.environ.get(f"{prefix}_API_KEY"):
            continue
        urls = {
            key: url for key in room.base_urls if (url := os.environ.get(f"{prefix}_{key.upper()}"))
        }
        secret = f"{prefix}_WEBHOOK_SECRET"
        secrets = [SecretStr(f"env:{secret}")] if os.environ.get(secret) else []
        key = SecretStr(f"env:{prefix}_API_KEY")
        found.append(
            Account.model_validate(
                {"provider": room.name, "api_key": key, "webhook_secrets": secrets, **urls}
            )
        )
    return found


def _completed(accounts: Sequence[Account], rooms: Sequence[Provider]) -> list[Account]:
    """The accounts with their room's defaults, checked."""
    by_name = {room.name: room for room in rooms}
    done: dict[tuple[str, str], Account] = {}
    for account in accounts:
        room = by_name.get(account.provider)
        if room is None:
            raise ConfigError(
                f"unknown provider {account.provider!r}", hint=f"known: {', '.join(by_name)}"
            )
        if (account.provider, account.name) in done:
            raise ConfigError(
                f"two {account.provider} accounts are named {account.name!r}",
                hint="give each a name of its own",
            )
        done[account.provider, account.name] = _complete(account, room)
    return list(done.values())


def _complete(account: Account, room: Provider) -> Account:
    wanted = account.resources
    unknown = sorted(set(wanted or ()) - set(room.resources))
    if unknown:
        raise ConfigError(
            f"{room.title} has no resource {unknown[0]!r}",
            hint=f"known: {', '.join(room.resources)}",
        )
    # Where one host was replaced, the provider's others are not asked behind its back.
    main = next(iter(room.base_urls))
    moved = getattr(account, main) if getattr(account, main) != room.base_urls[main] else ""
    urls = {key: getattr(account, key) or moved or url for key, url in room.base_urls.items()}
    for key, url in urls.items():
        check_base_url(url, room.base_urls[key], allowed=account.allow_base_url, key=key)
    return account.model_copy(
        update={
            **urls,
            "requests_per_minute": account.requests_per_minute or room.requests_per_minute,
            "resources": wanted or [name for name in room.resources if name not in room.opt_in],
        }
    )


def check_base_url(url: str, default: str, *, allowed: bool, key: str) -> None:
    """Refuse a base URL that could carry the API key to the wrong place.

    Raises:
        ConfigError: not https, a host that is not the provider's, or user info in it.
    """
    parts = urlsplit(url)
    hint = f"the provider's own is {default}; for a proxy of yours set allow_base_url = true"
    if parts.scheme not in ("http", "https") or not parts.hostname or any(c.isspace() for c in url):
        raise ConfigError(f"{key} is not a web address", hint=hint)
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ConfigError(f"{key} holds more than a scheme, a host and a path", hint=hint)
    if is_loopback(parts.hostname) or allowed:
        return
    if parts.scheme != "https" or parts.hostname != urlsplit(default).hostname:
        raise ConfigError(f"{key} is not the provider's https address", hint=hint)


def is_loopback(host: str) -> bool:
    """Whether a host is this machine itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def no_accounts_error(rooms: Sequence[Provider]) -> ConfigError:
    """The error of a command that needs an account and finds none: names every place looked at."""
    names = [f"{room.name.upper()}_API_KEY" for room in rooms]
    file = find_file(None)
    return ConfigError(
        f"no account is configured (looked at {file or './' + FILE_NAME}, "
        f"DOBLECHECK_CONFIG, DOBLECHECK_ACCOUNTS, {', '.join(names)})",
        hint=f"set {names[0]} in the environment, or write a file: doblecheck init",
    )
