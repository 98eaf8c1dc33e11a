"""Keys of providers' rows: which say whom a row is about, and under which something may be kept
when it is about somebody who was erased."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import orjson

PHONE = re.compile(r"\+?[\d ().-]{7,24}")
BSUID = re.compile(r"[A-Z]{2}\.\S{4,}")

KEPT = re.compile(
    r"-?\d{1,19}(\.\d+)?"
    r"|\d{4}-\d\d-\d\d([T ][\d:.]+)?(Z|[+-]\d\d:?\d\d)?"
    r"|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
    r"|wamid\.[A-Za-z0-9+/=_-]+"
    r"|[a-z][a-z0-9_.]{0,63}|[A-Z][A-Z_]{1,39}"
    r"|[a-z]{2,3}_[A-Z]{2}"
    r"|true|false|null"
)
"""Numbers, times, ids, languages and the words that providers use for types and statuses."""

PERSONAL = re.compile(
    r"name|text|body|caption|content|title|mail|link|url|file|descr|address|note|tag|label|meta"
    r"|profile|avatar|vcard|data|display|location|latitude|longitude|birth|custom|quoted|preview"
    r"|component|parameter|transcript|response_json|^template$",
    re.IGNORECASE,
)
"""Keys of what a person is called or wrote, whatever its value looks like, and of all below it."""

FREE = re.compile(
    r"custom|\btags?\b|label|component|parameter|response_json|(contact|conversation)\.metadata",
    re.IGNORECASE,
)
"""Paths below which no key is the provider's own."""

OWN = re.compile(
    r"type|timestamp|phone_number_id|(original_?)?message_?id|(agent|user)_?id", re.IGNORECASE
)
"""Keys that are the provider's own, also below what a person wrote."""

NAMED = re.compile(
    r"\btemplate\.(name|language(\.\w+)?)$|template_?name(_?snapshot)?$", re.IGNORECASE
)
"""Paths of names that are the business's own."""

NETWORK_IDS = ("wamid.", "wacid.")

SAID = frozenset({"template", "interactive", "referral", "reaction", "context", "phones"})
"""Keys of what somebody wrote, quotes or, as the phones of a card, shows, beside the personal."""

ENVELOPES = frozenset({"data", "context"})
"""Keys of what is around an event, or before it."""

CONTACT = re.compile(r"^(whatsapp_?)?contact(_?id|\.id)$", re.IGNORECASE)
CONVERSATION = re.compile(r"^(kapso_)?(whatsapp_?)?conversation(_?id|\.id)$", re.IGNORECASE)

WHOSE = re.compile(r"^(from|to|user|customer|recipient)$|phone|wa_?id|recipient_id|\.id$", re.I)
"""Keys of whom a thing is about. A phone under another key may be one that somebody wrote."""

THEIRS = re.compile(r"((conversation|kapso)_)?phone(_?number)?|(\w+_)?wa_?id", re.I)
"""Those that are never the business's own: what is theirs has no other phone either."""

TIMES = re.compile(r"(_at|At|time|timestamp)$")


def identities(value: Mapping[str, Any], path: str) -> Iterator[tuple[str, str]]:
    """What an object tells of whom it is about, each with its key: ids and phones, but neither
    those of its lists nor those in what somebody wrote."""
    for key, item in value.items():
        if is_said(key):
            continue
        held = opened(item)
        if isinstance(held, dict):
            yield from identities(held, key)
        elif isinstance(held, str) or is_number(held):
            # A contact's own id is only called `id`.
            yield f"{path.rpartition('.')[2]}.id" if key == "id" else key, str(held)


@lru_cache(4096)
def is_said(key: str) -> bool:
    """Whether what stands under a key is somebody's words, which name nobody."""
    return key in SAID or (key not in ENVELOPES and bool(PERSONAL.search(key)))


@lru_cache(4096)
def is_personal(path: str) -> bool:
    """Whether what stands there is what a person is called or wrote."""
    *parents, key = path.split(".")
    if NAMED.search(path):
        return False
    is_below = any(PERSONAL.search(each) for each in parents if each not in ENVELOPES)
    return bool(PERSONAL.search(key)) or (is_below and not OWN.fullmatch(key))


def is_id(key: str) -> bool:
    """Whether an id stands under a key that says whose or which it is."""
    return key == "id" or bool(CONTACT.search(key) or CONVERSATION.search(key))


def opened(value: Any) -> Any:
    """What a text holds when it is a JSON object or list; else the value itself."""
    if not isinstance(value, str) or value[:1] not in ("{", "["):
        return value
    try:
        return orjson.loads(value)
    except ValueError:
        return value


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
