"""People who were erased: who they are without saying it, and what may be kept of their rows.

Their phones, ids and conversations are known by keyed hashes alone. A row about one of them keeps
what numbers are made of: ids, times, types, statuses; whatever says who they are becomes one
pseudonym, and what they wrote is gone. The same is done to what is stored and to what comes in
later, so a provider that still lists them does not bring them back, and a row that comes again is
the row that is there.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

import orjson

from pipelines.phones import phone_key
from pipelines.provider import Table
from pipelines.reading.landing import Record, digest

GONE = "erased"

PHONE = re.compile(r"\+?[\d ().-]{7,24}")
RUN = re.compile(r"(?<![\d.])\+?\d{8,15}(?![\d.])")
BSUID = re.compile(r"[A-Z]{2}\.\S{4,}")

KEPT = re.compile(
    r"-?\d{1,19}(\.\d+)?"
    r"|\d{4}-\d\d-\d\d([T ][\d:.]+)?(Z|[+-]\d\d:?\d\d)?"
    r"|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
    r"|wamid\.[A-Za-z0-9+/=_-]+"
    r"|[a-z][a-z0-9_.]{0,63}|[A-Z][A-Z_]{1,39}"
    r"|true|false|null"
)
"""Numbers, times, ids and the words that providers use for types and statuses."""

PERSONAL = re.compile(
    r"name|text|body|caption|content|title|mail|link|url|file|descr|address|note|tag|label|meta"
    r"|profile|avatar|vcard|data|display|location|latitude|longitude|birth|custom|quoted|preview",
    re.IGNORECASE,
)
"""Keys of what a person is called or wrote, whatever its value looks like."""

NAMED = ("template",)
"""Below these keys a name is the business's own."""

TIMES = re.compile(r"(_at|At|time|timestamp)$")


class Erased:
    """Everybody who was erased.

    Args:
        key: of the hashes; without it they say nothing.
        people: token → pseudonym.
    """

    def __init__(self, key: bytes, people: Mapping[str, str]) -> None:
        self._key, self._people = key, people
        self._pseudonym_of_phone = lru_cache(65_536)(self._phone)

    def __bool__(self) -> bool:
        return bool(self._people)

    def token(self, kind: str, value: str) -> str:
        """The keyed hash of a phone's key, a BSUID, a contact's or a conversation's id."""
        text = f"{kind}:{value}".encode()
        return hmac.new(self._key, text, hashlib.sha256).hexdigest()[:32]

    def pseudonym(self, tokens: Iterable[str]) -> str:
        """One name for a person: it reads as a business-scoped id, so that threads stay whole."""
        return f"ZZ.{GONE}{_letters(self.token('person', min(tokens)))}"

    def record(self, table: Table, record: Record) -> Record:
        """A record as it may be stored."""
        if not self._people or not table.holds_people:
            return record
        row = dict(zip(table.columns, record.values, strict=True))
        found = self._who([*_strings(row, table.name), *_strings(_loaded(record.payload), "")])
        if found is None:
            values = [self._masked(value) for value in record.values]
            payload = self._masked(record.payload)
            if values == [*record.values] and payload == record.payload:
                return record
        else:
            values = [_text(self._scrubbed(value, name, found)) for name, value in row.items()]
            payload = _text(self._scrubbed(record.payload, "", found)) or "{}"
        identity = str(values[table.columns.index("id")])
        hashed = digest([*values, payload])
        return Record(identity, tuple(values), payload or "{}", hashed, record.fetched_at)

    def document(self, text: str | None) -> str | None:
        """A JSON text as it may be stored: a webhook's body."""
        if not self._people or not text:
            return text
        value = _loaded(text)
        found = self._who(_strings(value, ""))
        if found is None:
            return self._masked(text)
        return orjson.dumps(self._scrubbed(value, "", found)).decode()

    def _who(self, strings: Iterable[tuple[str, str]]) -> str | None:
        """The pseudonym of the person that one of these texts stands for."""
        return next((found for key, text in strings if (found := self._is(key, text))), None)

    def _is(self, key: str, text: str) -> str | None:
        if len(text) > 64:
            return None
        low = key.lower()
        if PHONE.fullmatch(text) and not TIMES.search(key):
            return self._pseudonym_of_phone(text)
        if BSUID.fullmatch(text):
            return self._people.get(self.token("bsuid", text))
        if "contact" in low:
            return self._people.get(self.token("contact", text))
        if "conversation" in low:
            return self._people.get(self.token("conversation", text))
        return None

    def _phone(self, text: str) -> str | None:
        known = phone_key(text).key
        return self._people.get(self.token("phone", known)) if known else None

    def _masked(self, text: str | None) -> str | None:
        """A text in which the phones of erased people are not to be read."""
        if text is None or not RUN.search(text):
            return text
        return RUN.sub(lambda run: GONE if self._pseudonym_of_phone(run[0]) else run[0], text)

    def _scrubbed(self, value: Any, path: str, pseudonym: str) -> Any:
        if isinstance(value, str) and value[:1] in ("{", "["):
            value = _loaded(value)
        if isinstance(value, dict):
            return {k: self._scrubbed(v, f"{path}.{k}", pseudonym) for k, v in value.items()}
        if isinstance(value, list):
            return [self._scrubbed(item, path, pseudonym) for item in value]
        if isinstance(value, str):
            return self._kept(value, path, pseudonym)
        return None if isinstance(value, float) and PERSONAL.search(path) else value

    def _kept(self, text: str, path: str, pseudonym: str) -> str | None:
        """What is kept of a text: who it is becomes the pseudonym, what was written goes."""
        *parents, key = path.split(".")
        is_phone = PHONE.fullmatch(text) and not TIMES.search(key)
        if (is_phone and self._pseudonym_of_phone(text)) or (
            BSUID.fullmatch(text) and self._is(key, text)
        ):
            return pseudonym
        if key == "id" or text.startswith("wamid."):
            return self._identity(text)
        is_personal = PERSONAL.search(key) and not any(name in parents for name in NAMED)
        is_plain = KEPT.fullmatch(text) or BSUID.fullmatch(text)
        return text if is_plain and not is_personal else None

    def _identity(self, value: str) -> str:
        """An id, replaced where it holds a phone: WhatsApp writes one into its message ids."""
        runs = [run for text in (value, *_decoded(value)) for run in re.findall(r"\d{8,15}", text)]
        if any(self._pseudonym_of_phone(run) for run in runs):
            return f"{GONE}.{_letters(self.token('id', value))}"
        return value


def _strings(value: Any, key: str) -> Iterator[tuple[str, str]]:
    """The texts in a value, each with the key it stands under; JSON in texts is read."""
    if isinstance(value, dict):
        for name, item in value.items():
            # A contact's own id is only called `id`.
            named = f"{key}.id" if name == "id" and "contact" in key.lower() else str(name)
            yield from _strings(item, named)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item, key)
    elif isinstance(value, str):
        if value[:1] in ("{", "["):
            loaded = _loaded(value)
            if not isinstance(loaded, str):
                yield from _strings(loaded, key)
        else:
            yield key, value


def _loaded(text: str) -> Any:
    try:
        return orjson.loads(text)
    except ValueError:
        return text


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else orjson.dumps(value).decode()


def _decoded(value: str) -> Iterator[str]:
    try:
        yield b64decode(value.partition(".")[2] + "===").decode("latin-1")
    except ValueError:
        return


def _letters(hexadecimal: str) -> str:
    """A hash without digits, so that it is never taken for a phone."""
    return hexadecimal.translate(str.maketrans("0123456789abcdef", "abcdefghijklmnop"))[:24]
