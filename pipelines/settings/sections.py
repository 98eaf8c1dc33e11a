"""The tables of doblecheck.toml, each a type."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from pipelines.errors import ConfigError
from pipelines.settings.checks import (
    LONGEST_DAYS,
    checked_zone,
    duration,
    is_loopback,
    web_address,
)
from pipelines.settings.environment import FromText, Texts
from pipelines.settings.places import resolve

LONGEST_MINUTES = LONGEST_DAYS * 1440


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
    minutes_per_run: float = Field(10, ge=0, le=LONGEST_MINUTES)
    webhook_secrets: Annotated[list[SecretStr], FromText] = []
    resources: Texts | None = None
    graph_version: str = Field("v24.0", pattern=r"^v\d+\.\d+$")
    signature_header: str | None = Field(None, pattern=r"^[A-Za-z0-9-]{1,64}$")
    signature_prefix: str | None = None
    signature_encoding: Literal["hex", "base64"] = "hex"
    required_headers: Annotated[dict[str, SecretStr], FromText] = {}

    @property
    def key(self) -> str:
        """The API key itself.

        Raises:
            ConfigError: it is not set, and the message lists every place that was looked at; or
                no header can carry it.
        """
        name = f"{self.provider} account {self.name!r}"
        key = resolve(
            self.api_key, what=f"API key for {name}", key="api_key", section="[[accounts]]"
        )
        if key.isascii() and key.isprintable():
            return key
        raise ConfigError(
            f"the API key of {name} holds a character that no key has",
            hint="copy it again: letters, digits and signs of ASCII, in one line",
        )


class Warehouse(_Section):
    """Where rows are kept. The URL of a database holds its password."""

    url: SecretStr = SecretStr("")


class Receiver(_Section):
    host: str = "127.0.0.1"
    port: int = Field(8300, ge=0, le=65535)
    max_body_bytes: int = Field(3 * 1024 * 1024, ge=1)
    keep_days: float = Field(90, ge=0, le=LONGEST_DAYS)
    log: SecretStr | None = None
    metrics_port: int = Field(8301, ge=0, le=65535)


class Retention(_Section):
    """Days after which what nobody needs is removed; the receiver's log has its own `keep_days`."""

    rejected_days: float = Field(30, ge=0, le=LONGEST_DAYS)


class Hours(_Section):
    """Opening hours as written; `business_time.parse_hours` reads them."""

    timezone: str
    monday: Texts = []
    tuesday: Texts = []
    wednesday: Texts = []
    thursday: Texts = []
    friday: Texts = []
    saturday: Texts = []
    sunday: Texts = []
    exceptions: Annotated[dict[str, Texts], FromText] = {}


class Policy(_Section):
    """Response targets, in seconds."""

    first_response_seconds: float = Field(900, gt=0, le=LONGEST_MINUTES * 60)
    response_seconds: float = Field(3600, gt=0, le=LONGEST_MINUTES * 60)
    clock: Literal["business", "calendar"] = "business"


class Schedule(_Section):
    """When `doblecheck serve` runs what.

    Attributes:
        name: of this installation: several may share a Prefect server.
        every, cron: the run, by one of them; default: every 5 minutes.
        ingest_every: the webhooks.
        maintain_cron: everything read again, old files removed, the DuckDB file compacted.
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
        return value if value is None else checked_zone(value)

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
    stale_minutes: float = Field(60, ge=0, le=LONGEST_MINUTES)
    silent_minutes: float = Field(15, ge=0, le=LONGEST_MINUTES)

    @property
    def target(self) -> str | None:
        """The address to post to; None when there is none.

        Raises:
            ConfigError: it is empty, or neither https nor on this machine.
        """
        if self.url is None:
            return None
        try:
            url = resolve(self.url, what="address for alerts", key="url", section="[alerts]")
        except ConfigError:
            raise ConfigError(
                "alerts.url is empty", hint="set the variable that it names, or remove [alerts]"
            ) from None
        parts = web_address(url)
        if parts is None or (parts.scheme != "https" and not is_loopback(parts.hostname or "")):
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
    stale_after_minutes: float = Field(60, gt=0, le=LONGEST_MINUTES)
    auth: Literal["none", "oidc", "proxy"] = "none"
    viewers: Texts = []
    personal_data_viewers: Texts = []
    show_personal_data: bool = False
    show_message_text: bool = False
    proxy_header: str = Field("", pattern=r"^[A-Za-z0-9-]*$")
    trusted_proxies: Texts = ["127.0.0.1", "::1"]
    oidc_metadata_url: str = ""
    oidc_client_id: str = ""
    oidc_client_secret: SecretStr | None = None
    oidc_redirect_url: str = ""
    cookie_secret: SecretStr | None = None
