"""What a value may be: a time zone, a duration, an address that may get the key."""

from __future__ import annotations

import ipaddress
from datetime import timedelta
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from pipelines.errors import ConfigError
from pipelines.times import is_zone

LONGEST_DAYS = 700_000
"""Of any time that is set: further back, dates end."""


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
    if int(number) * seconds > LONGEST_DAYS * 86400:
        raise ValueError(f"is more than {LONGEST_DAYS} days")
    return timedelta(seconds=int(number) * seconds)


_UNITS = {
    ("s", "second", "seconds"): 1,
    ("min", "minute", "minutes"): 60,
    ("h", "hour", "hours"): 3600,
    ("d", "day", "days"): 86400,
}


def checked_zone(value: str) -> str:
    """The name of a time zone, when it is one.

    Raises:
        ValueError: it is none.
    """
    if not is_zone(value):
        raise ValueError("not an IANA time zone, such as America/Bogota")
    return value


def check_base_url(url: str, default: str, *, allowed: bool, key: str) -> None:
    """Refuse a base URL that could carry the API key to the wrong place.

    Raises:
        ConfigError: not https, a host that is not the provider's, or user info in it.
    """
    parts = web_address(url)
    hint = f"the provider's own is {default}; for a proxy of yours set allow_base_url = true"
    if parts is None:
        raise ConfigError(f"{key} is not a web address", hint=hint)
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ConfigError(f"{key} holds more than a scheme, a host and a path", hint=hint)
    if is_loopback(parts.hostname or "") or allowed:
        return
    if parts.scheme != "https" or parts.hostname != urlsplit(default).hostname:
        raise ConfigError(f"{key} is not the provider's https address", hint=hint)


def web_address(url: str) -> SplitResult | None:
    """The parts of an address of http or https; None when it is none."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # a wrong one raises, too
    except ValueError:
        return None
    is_one = parts.scheme in ("http", "https") and bool(parts.hostname)
    return parts if is_one and not any(c.isspace() for c in url) else None


MORE_THAN_NAMES = "='%#?\\"
"""Of a path: DuckDB and dlt read columns, patterns and parts of a URL out of these."""


def check_folder(path: Path) -> None:
    """Refuse a data folder whose rows could become others on their way through its files.

    Raises:
        ConfigError: its absolute path holds a character that is read as more than a name.
    """
    odd = next((c for c in MORE_THAN_NAMES if c in path.as_posix()), None)
    if odd:
        raise ConfigError(
            f"data_dir: a folder with {odd} in its path can't be used: {path}",
            hint=f"set data_dir to one without any of {' '.join(MORE_THAN_NAMES)}",
        )


def is_loopback(host: str) -> bool:
    """Whether a host is this machine itself. A name may point anywhere, `localhost` excepted."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
