"""Event logs that other receivers kept: one delivery per line, as JSON, gzip or plain.

    {"headers": {…}, "body": "{\\"message\\": …}", "received_at": "2026-11-20T12:00:00Z"}
    {"headers": {…}, "body": {"message": …}}
    {"message": …}                                    a bare body

Whoever has the file vouches for it: nothing in it is checked to be signed.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import orjson

from pipelines.errors import UsageError
from pipelines.events import part, text
from pipelines.provider import Provider
from pipelines.times import parse_time
from pipelines.webhooks.ingest import Arrived

GZIP = b"\x1f\x8b"
ENVELOPE = ("body", "raw_body", "rawBody", "payload")
"""Keys under which receivers keep a body."""

TIMES = ("received_at", "receivedAt", "timestamp", "time", "created_at")
PATH = re.compile(r"/webhooks/(?P<provider>\w+)/(?P<account>[\w.-]+)")


@dataclass(frozen=True)
class Owners:
    """Whose a delivery is, when the command does not say.

    Attributes:
        rooms: the rooms, by name.
        accounts: provider → names of the configured accounts.
        channels: (provider, account) → ids of its channels, as far as they are known.
        chosen: the account that the command names, and its provider.
    """

    rooms: Mapping[str, Provider]
    accounts: Mapping[str, Sequence[str]]
    channels: Mapping[tuple[str, str], frozenset[str]]
    chosen: tuple[str, str] | None = None

    def of(self, line: Mapping[str, Any], body: bytes) -> tuple[str | None, str | None]:
        """Provider and account: what the line says, what the command says, what the body tells."""
        provider, account = text(line.get("provider")), text(line.get("account"))
        named = PATH.search(text(line.get("path")) or text(line.get("url")) or "")
        if named:
            provider, account = provider or named["provider"], account or named["account"]
        if self.chosen and not (provider and account):
            return self.chosen
        if provider in self.rooms and account:
            return provider, account
        return self._told_by(body, provider)

    def _told_by(self, body: bytes, provider: str | None) -> tuple[str | None, str | None]:
        try:
            decoded = orjson.loads(body)
        except ValueError:
            decoded = None
        found = {
            name: reading
            for name, room in self.rooms.items()
            if provider in (None, name)
            and room.has_webhooks
            and (reading := room.webhooks.read(decoded)).name
            and not reading.problems
        }
        if len(found) != 1:
            every = [(name, a) for name, names in self.accounts.items() for a in names]
            return every[0] if len(every) == 1 else (provider, None)
        [(name, reading)] = found.items()
        accounts = self.accounts.get(name) or ["default"]
        if len(accounts) == 1:
            return name, accounts[0]
        owners = [a for a in accounts if reading.channels & self.channels.get((name, a), set())]
        return name, owners[0] if len(owners) == 1 else None


def read(paths: Iterable[Path], owners: Owners, *, now: datetime) -> Iterator[Arrived]:
    """The deliveries of some files, in order.

    Raises:
        UsageError: a file is not there, or can't be read to its end.
    """
    for path in paths:
        for line in _lines(path):
            yield _arrived(line, owners, now)


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with _opened(path) as file:
            for line in file:
                if line.strip():
                    yield line.strip()
    except (OSError, EOFError, zlib.error) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        raise UsageError(
            f"{path} can't be read to its end ({why})",
            hint="what was read is loaded; mend the file, then load it again: nothing is doubled",
        ) from None


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """The file, unpacked. It is opened once: what was read of a pipe does not come again."""
    with path.open("rb") as file:
        if file.peek(len(GZIP)).startswith(GZIP):
            with gzip.GzipFile(fileobj=file) as unpacked:
                yield unpacked  # type: ignore[misc]
        else:
            yield file


def _arrived(line: bytes, owners: Owners, now: datetime) -> Arrived:
    envelope, body = _taken_out(line)
    provider, account = owners.of(envelope, body)
    times = (parse_time(envelope.get(name)) for name in TIMES)
    return Arrived(
        provider=provider,
        account=account,
        received_at=next((time for time in times if time), now),
        headers=_headers(envelope.get("headers")),
        body=body,
    )


def _taken_out(line: bytes) -> tuple[dict[str, Any], bytes]:
    """What stands around a body, and the body to the byte."""
    try:
        decoded = orjson.loads(line)
    except ValueError:
        return {}, line
    key = next((name for name in ENVELOPE if name in part(decoded)), None)
    if key is None or not ("headers" in decoded or len(decoded) == 1 or _has_time(decoded)):
        return {}, line
    return decoded, _bytes(decoded[key], decoded)


def _has_time(envelope: Mapping[str, Any]) -> bool:
    return any(name in envelope for name in (*TIMES, "provider", "account"))


def _bytes(body: Any, envelope: Mapping[str, Any]) -> bytes:
    if not isinstance(body, str):
        return orjson.dumps(body)
    is_coded = envelope.get("isBase64Encoded") or envelope.get("encoding") == "base64"
    if not is_coded and body.lstrip()[:1] in ("{", "["):
        return body.encode()
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        return body.encode()


def _headers(found: Any) -> dict[str, str]:
    """Headers as an object, or as pairs; a value that is a list gives its first."""
    if isinstance(found, list):
        found = {pair[0]: pair[1] for pair in found if isinstance(pair, list) and len(pair) == 2}
    return {
        str(name).lower(): str(value[0] if isinstance(value, list) and value else value)
        for name, value in part(found).items()
        if value is not None
    }
