"""What each account's deliveries must show to be let in, from the settings."""

from __future__ import annotations

import hmac
import os
import secrets as randomness
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import SecretStr

from pipelines.errors import ConfigError
from pipelines.provider import Provider
from pipelines.receiver.signatures import HEADER, Scheme, is_signed
from pipelines.settings import Account, Settings

SHORTEST_SECRET = 16
MOST_SECRETS = 2
"""The one in use and the one that comes after it."""

Headers = Sequence[tuple[bytes, bytes]]
"""As they came, the names in lower case."""


MOST_HEADER = 256
ALWAYS_KEPT = ("content-type",)


@dataclass(frozen=True)
class Door:
    """What one account's deliveries must show.

    Attributes:
        secrets: always as many, so that the time to check is the same for all; some may be random.
        required: header → value that the account's webhook also sends.
        kept: names of the headers that go into the log.
    """

    scheme: Scheme
    secrets: tuple[bytes, ...] = field(repr=False)
    required: Mapping[bytes, bytes] = field(repr=False)
    kept: frozenset[bytes]

    def lets_in(self, headers: Headers, body: bytes) -> bool:
        """Whether the signature is right, and the headers that the account requires are there."""
        given = [value for name, value in headers if name == self.scheme.header]
        is_right = is_signed(body, given, self.secrets, self.scheme)
        for name, value in self.required.items():
            shown = b"\n".join(value for given, value in headers if given == name)
            is_right &= hmac.compare_digest(shown, value)
        return is_right

    def keep(self, headers: Headers) -> dict[str, str]:
        """The headers that go into the log."""
        return {
            name.decode("latin-1"): value[:MOST_HEADER].decode("latin-1")
            for name, value in headers
            if name in self.kept
        }


def closed() -> Door:
    """A door that nothing opens, for accounts that there are not: it takes as long to say so."""
    return Door(Scheme(), _padded(()), {}, frozenset())


def doors(settings: Settings, rooms: Sequence[Provider]) -> dict[tuple[str, str], Door]:
    """(provider, account) → door, of every account that has a webhook secret.

    Raises:
        ConfigError: none has, or a secret can't be used.
    """
    by_name = {room.name: room for room in rooms}
    found = {
        (account.provider, account.name): _door(account, by_name[account.provider])
        for account in settings.accounts
        if account.webhook_secrets
    }
    if not found:
        raise ConfigError(
            "no account has a webhook secret: nothing could be received",
            hint='webhook_secrets = ["env:NAME"] under [[accounts]], or '
            + " or ".join(f"{room.name.upper()}_WEBHOOK_SECRET" for room in rooms)
            + " beside the API key",
        )
    return found


def _door(account: Account, room: Provider) -> Door:
    header = account.signature_header or HEADER
    prefix = account.signature_prefix
    return Door(
        scheme=Scheme(
            header.lower().encode(),
            None if prefix is None else prefix.encode(),
            account.signature_encoding,
        ),
        secrets=_padded(webhook_secrets(account)),
        required={
            name.lower().encode(): _read(secret, account, f"required_headers.{name}")
            for name, secret in account.required_headers.items()
        },
        kept=frozenset(name.encode() for name in (*ALWAYS_KEPT, *room.webhook_headers)),
    )


def _padded(secrets: Sequence[bytes]) -> tuple[bytes, ...]:
    missing = MOST_SECRETS - len(secrets)
    return (*secrets, *(randomness.token_bytes(32) for _ in range(missing)))


def webhook_secrets(account: Account) -> tuple[bytes, ...]:
    """The secrets of an account's webhooks, to the byte as the provider has them.

    Raises:
        ConfigError: one is empty or too short, or there are too many.
    """
    name = f"{account.provider} account {account.name!r}"
    if len(account.webhook_secrets) > MOST_SECRETS:
        raise ConfigError(
            f"{name} has {len(account.webhook_secrets)} webhook secrets: too many",
            hint="one in use and the next; give all webhooks of an account the same one",
        )
    found = tuple(
        _read(secret, account, f"webhook_secrets[{i}]")
        for i, secret in enumerate(account.webhook_secrets)
    )
    if any(len(secret) < SHORTEST_SECRET for secret in found):
        raise ConfigError(
            f"a webhook secret of {name} is shorter than {SHORTEST_SECRET} characters",
            hint="make one: openssl rand -hex 32",
        )
    return found


def _read(secret: SecretStr, account: Account, key: str) -> bytes:
    text = secret.get_secret_value()
    name = text.removeprefix("env:") if text.startswith("env:") else ""
    value = os.environ.get(name, "") if name else text
    if not value:
        looked = f"the environment variable {name} is empty" if name else "it is empty"
        raise ConfigError(
            f"{key} of {account.provider} account {account.name!r} can't be used: {looked}",
            hint=f"set {name or key}",
        )
    return value.encode()


def without_door(settings: Settings, open_doors: Mapping[tuple[str, str], Door]) -> list[str]:
    """The accounts that nothing is received for."""
    names = [(account.provider, account.name) for account in settings.accounts]
    return [f"{provider}:{name}" for provider, name in names if (provider, name) not in open_doors]
