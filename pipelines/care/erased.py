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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import orjson

from pipelines.care.keys import (
    BSUID,
    CONTACT,
    CONVERSATION,
    FREE,
    KEPT,
    NETWORK_IDS,
    PHONE,
    THEIRS,
    TIMES,
    WHOSE,
    identities,
    is_id,
    is_number,
    is_personal,
    is_said,
    opened,
)
from pipelines.events.webhook_tables import UNREADABLE
from pipelines.phones import phone_key
from pipelines.provider import REJECTED, Table
from pipelines.reading.landing import Record, digest

GONE = "erased"

NOWHERE = "ZZ"
"""The country of somebody whose phone tells none."""

DIGITS = re.compile(r"\+?\d(?:[\s()./\u2010-\u2015\u202a-\u202e\u2060-]{0,4}\d){7,}")
"""Where a phone may be written, in groups or not; also with dashes and marks that nobody sees."""

GROUP = re.compile(r"\+?\d+")

WORD = re.compile(r"\w[\w.-]{2,62}\w")
"""What may be an id."""

MOST_DIGITS = 18
"""Of a phone, with its plus or zeros."""

ABOUT = {"contacts": "contact", "conversations": "conversation"}
"""Table → what the id of its rows is of."""

BLANK = "\ufeff \t\r\n"
"""What may stand before JSON."""


class Erased:
    """Everybody who was erased.

    Args:
        key: of the hashes; without it they say nothing.
        people: token → pseudonym.

    Attributes:
        learned: token → id, of contacts and conversations that rows showed to be theirs. Other rows
            hold nothing else to know them by.
    """

    def __init__(self, key: bytes, people: Mapping[str, str]) -> None:
        self._key, self._people = key, {**people}
        self.learned: dict[str, str] = {}
        self._pseudonym_of_phone = lru_cache(65_536)(self._phone)

    def __bool__(self) -> bool:
        return bool(self._people)

    def token(self, kind: str, value: str) -> str:
        """The keyed hash of a phone's key, a BSUID, a contact's or a conversation's id."""
        text = f"{kind}:{value}".encode()
        return hmac.new(self._key, text, hashlib.sha256).hexdigest()[:32]

    @property
    def key_id(self) -> str:
        """What tells one key from another."""
        return hashlib.sha256(b"doblecheck erasure key" + self._key).hexdigest()[:16]

    def pseudonym_of(self, token: str) -> str:
        """The pseudonym of a person who is known by a token."""
        return self._people[token]

    def pseudonym(self, tokens: Iterable[str], country: str | None) -> str:
        """One name for a person: it reads as a business-scoped id, so that threads stay whole, and
        begins with their country, which prices depend on."""
        return f"{country or NOWHERE}.{GONE}{_letters(self.token('person', min(tokens)))}"

    def record(self, table: Table, record: Record) -> Record:
        """A record as it may be stored."""
        if not self._people or not table.holds_people:
            return record
        row = dict(zip(table.columns, record.values, strict=True))
        told = {**row, "payload": record.payload}
        new = self._stored(told, ABOUT.get(table.name, ""))
        if table is REJECTED:  # its body is a row
            about = ABOUT.get(row["resource"] or "", "")
            new["body"] = self._document(row["body"], about) if row["body"] else row["body"]
        if new == told:
            return record
        payload = new.pop("payload") or "{}"
        hashed = digest([*new.values(), payload])
        return Record(str(new["id"]), tuple(new.values()), payload, hashed, record.fetched_at)

    def document(self, text: str | None) -> str | None:
        """A JSON text as it may be stored: a webhook's body. What can't be taken apart and names
        one of them is gone whole."""
        return self._document(text, "") if self._people and text else text

    def _document(self, text: str, about: str) -> str:
        bare = text.lstrip(BLANK)
        if opened(bare) is bare:
            gone = f'"{GONE}"' if bare[:1] == '"' else GONE  # a quoted text stays one
            return gone if self._names_them(bare) else text
        new = str(self._stored(bare, about))
        if new != bare:
            return new
        return text if self._masked(text) == text else GONE  # in a key that stands twice

    def _stored(self, value: Any, path: str, found: str | None = None) -> Any:
        """A value as it may be stored, JSON in texts too.

        Args:
            path: the keys that lead to it.
            found: the pseudonym of the person it is about; None when nobody is known by now.
        """
        if isinstance(value, dict):
            found = found or self._who(value, path)
            return {
                self._masked(key): self._stored(item, f"{path}.{key}", found)
                for key, item in value.items()
            }
        if isinstance(value, list):  # each may be about somebody else
            return [self._stored(item, path, found) for item in value]
        if path.endswith(UNREADABLE) and isinstance(value, str):
            return GONE if found or self._names_them(value) else value
        loaded = opened(value)
        if loaded is not value:
            new = self._stored(loaded, path, found)
            return value if new == loaded else orjson.dumps(new).decode()
        return self._kept(value, path, found) if found else self._unnamed(value)

    def _who(self, value: Mapping[str, Any], path: str) -> str | None:
        """The pseudonym of the person that an object is about; None when it is none of them."""
        if any(map(is_said, path.split("."))):
            return None
        told = [*identities(value, path)]
        found = self._first(each for each in told if not CONVERSATION.search(each[0]))
        if found:
            self._learn(told, found)
        # In a conversation others may write too: it tells whose this is, and of no contact.
        return found or self._first(told)

    def _first(self, told: Iterable[tuple[str, str]]) -> str | None:
        return next((found for key, text in told if (found := self._is(key, text))), None)

    def _learn(self, told: Iterable[tuple[str, str]], pseudonym: str) -> None:
        """Know the person by the contact and the conversation of an object that is about them."""
        named = dict(told)
        for key, text in {} if named.get("group_id") else named.items():
            kinds = {"contact": CONTACT, "conversation": CONVERSATION}
            for token in (self.token(k, text) for k, keys in kinds.items() if keys.search(key)):
                if text and token not in self._people:
                    self._people[token], self.learned[token] = pseudonym, text

    def _is(self, key: str, text: str) -> str | None:
        if len(text) > 64:
            return None
        if BSUID.fullmatch(text):
            return self._people.get(self.token("bsuid", text))
        if CONTACT.search(key):
            return self._people.get(self.token("contact", text))
        if CONVERSATION.search(key):
            return self._people.get(self.token("conversation", text))
        if WHOSE.search(key) and PHONE.fullmatch(text):
            return self._pseudonym_of_phone(text)
        return None

    def _phone(self, text: str) -> str | None:
        known = phone_key(text).key
        return self._people.get(self.token("phone", known)) if known else None

    def _unnamed(self, value: Any) -> Any:
        """A text or a number that is not about them, in which their phones are not to be read."""
        if isinstance(value, str):
            return self._masked(value)
        return GONE if is_number(value) and self._pseudonym_of_phone(str(value)) else value

    def _masked(self, text: str) -> str:
        return DIGITS.sub(lambda found: self._without_phones(found[0]), text)

    def _names_them(self, text: str) -> bool:
        """Whether a phone or an id of one of them stands anywhere in a text."""
        kinds = ("bsuid", "contact", "conversation")
        tokens = (self.token(kind, word) for word in WORD.findall(text) for kind in kinds)
        return self._masked(text) != text or any(token in self._people for token in tokens)

    def _without_phones(self, digits: str) -> str:
        groups = GROUP.findall(digits)
        between = GROUP.split(digits)
        kept, first = [between[0]], 0
        while first < len(groups):
            count = self._groups_of_phone(groups[first : first + MOST_DIGITS])
            last = first + max(count, 1)
            kept += [GONE if count else groups[first], between[last]]
            first = last
        return "".join(kept)

    def _groups_of_phone(self, groups: Sequence[str]) -> int:
        """How many of the first groups of digits are a phone of theirs together; 0 when none is."""
        for count in range(len(groups), 0, -1):
            digits = "".join(groups[:count])
            if len(digits) <= MOST_DIGITS and self._pseudonym_of_phone(digits):
                return count
        return 0

    def _kept(self, value: Any, path: str, pseudonym: str) -> Any:
        """What is kept of a text or a number: who it is becomes the pseudonym, what was written
        goes."""
        if not (isinstance(value, str) or is_number(value)):
            return value
        key, text = path.rpartition(".")[2], str(value)
        if text == pseudonym or self._is_name(text, key, path):
            return pseudonym
        if FREE.search(path):
            return None
        if isinstance(value, str) and (is_id(key) or text.startswith(NETWORK_IDS)):
            return self._identity(text)
        is_business = WHOSE.search(key) and PHONE.fullmatch(text)
        is_plain = KEPT.fullmatch(text) or BSUID.fullmatch(text)
        return value if is_business or (is_plain and not is_personal(path)) else None

    def _is_name(self, text: str, key: str, path: str) -> bool:
        """Whether a text says who the person is that it is about."""
        if FREE.search(path):
            return False
        if BSUID.fullmatch(text):
            return self._is(key, text) is not None
        if not PHONE.fullmatch(text) or TIMES.search(key):
            return False
        is_theirs = THEIRS.fullmatch(key) or self._pseudonym_of_phone(text)
        return bool(is_theirs and (WHOSE.search(key) or not is_personal(path)))

    def _identity(self, value: str) -> str:
        """An id, replaced where it holds a phone: WhatsApp writes one into its message ids."""
        runs = [run for text in (value, *_decoded(value)) for run in re.findall(r"\d{8,15}", text)]
        if any(self._pseudonym_of_phone(run) for run in runs):
            return f"{GONE}.{_letters(self.token('id', value))}"
        return value


def _decoded(value: str) -> Iterator[str]:
    try:
        yield b64decode(value.partition(".")[2] + "===").decode("latin-1")
    except ValueError:
        return


def _letters(hexadecimal: str) -> str:
    """A hash without digits, so that it is never taken for a phone."""
    return hexadecimal.translate(str.maketrans("0123456789abcdef", "abcdefghijklmnop"))[:24]
