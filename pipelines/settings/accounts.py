"""The accounts: from the file or the environment, with what their room adds."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import SecretStr

from pipelines.errors import ConfigError
from pipelines.settings.checks import check_base_url
from pipelines.settings.places import FILE_NAME, find_file
from pipelines.settings.sections import Account

if TYPE_CHECKING:
    from pipelines.provider import Provider


def from_environment(rooms: Sequence[Provider]) -> list[Account]:
    """An account named `default` of each room whose key is in the environment."""
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
                {
                    "provider": room.name,
                    "api_key": key,
                    "webhook_secrets": secrets,
                    "requests_per_minute": _whole(f"{prefix}_REQUESTS_PER_MINUTE"),
                    **urls,
                }
            )
        )
    return found


def _whole(variable: str) -> int:
    """The number in an environment variable; 0 without one."""
    text = os.environ.get(variable) or "0"
    if not (text.isascii() and text.isdigit()):
        raise ConfigError(f"{variable} is not a whole number", hint="write its digits only: 600")
    return int(text)


def completed(accounts: Sequence[Account], rooms: Sequence[Provider]) -> list[Account]:
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


def no_accounts_error(rooms: Sequence[Provider]) -> ConfigError:
    """The error of a command that needs an account and finds none: names every place looked at."""
    names = [f"{room.name.upper()}_API_KEY" for room in rooms]
    file = find_file(None)
    write = f"take the # off an account in {file}" if file else "write a file: doblecheck init"
    return ConfigError(
        f"no account is configured (looked at {file or './' + FILE_NAME}, "
        f"DOBLECHECK_CONFIG, DOBLECHECK_ACCOUNTS, {', '.join(names)})",
        hint=f"set {names[0]} in the environment, or {write}",
    )
