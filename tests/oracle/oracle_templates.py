"""Templates: the broadcasts they belong to, who answered them, and what they cost."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from oracle_identity import BSUID, Contact, kapso_contacts, phone_key
from oracle_messages import Message, in_order
from oracle_values import Raw, field, instant, text, word
from oracle_windows import Window

SEED = Path(__file__).parents[2] / "models" / "seeds" / "rate_cards.csv"
ANSWERED_WITHIN = timedelta(hours=72)
COUNTRIES = {"54": "AR", "52": "MX", "55": "BR", "14": "US"}
ARRIVED = ("delivered", "read", "played")


@dataclass(frozen=True)
class Catalogue:
    """The templates of every account, and how their categories changed."""

    ids: Mapping[tuple[str, str, str, str], str]
    categories: Mapping[str, Sequence[tuple[datetime | None, str | None]]]

    def key_of(self, message: Message) -> str | None:
        """The template that a message names, by its language if it tells one."""
        if message.template_name is None:
            return None
        place = (message.thread.provider, message.thread.account, message.template_name)
        return self.ids.get((*place, message.template_language or ""))

    def category_at(self, key: str, at: datetime) -> str | None:
        """What it was at a time; before anybody looked, what it was first seen as."""
        seen = self.categories.get(key, [])
        known = [category for since, category in seen if since is None or since <= at]
        return (known or [category for _, category in seen[:1]] or [None])[-1]


def catalogue(raw: Raw) -> Catalogue:
    """The listed templates; of two with one name and language the smaller id is meant."""
    ids: dict[tuple[str, str, str, str], str] = {}
    categories: dict[str, list[tuple[datetime | None, str | None]]] = {}
    for room in ("kapso", "waspy"):
        for row in sorted(raw[f"raw_{room}.templates"], key=lambda row: str(row["id"])):
            key = f"{room}:{row['account']}:{row['id']}"
            name, language = text(row["name"]) or "", text(row["language"]) or ""
            for spoken in (language, ""):
                ids.setdefault((room, row["account"], name, spoken), key)
            categories[key] = [(None, word(row["category"]))]
        for row in raw[f"raw_{room}.template_states"]:
            key = f"{room}:{row['account']}:{row['template_id']}"
            since = instant(row["observed_from"])
            kept = [seen for seen in categories.get(key, []) if seen[0] is not None]
            categories[key] = sorted([*kept, (since, word(row["category"]))], key=str)
    return Catalogue(ids, categories)


def countries(raw: Raw) -> dict[str, str]:
    """Contact key → country: as the list of contacts says, else as anybody wrote of them."""
    found: dict[str, str | None] = {}
    for contact in kapso_contacts(raw):
        found[contact.key] = _country(contact)
    for row in raw["raw_waspy.contacts"]:
        found[f"waspy:{row['account']}:{row['id']}"] = _country_of(row["phone_number"])
    for row in raw["raw_waspy.conversations"]:
        contact_id = text(row["contact_id"]) or text(field(row["contact"], "id"))
        phone = text(field(row["contact"], "phoneNumber"))
        key = f"waspy:{row['account']}:{contact_id}"
        listed = {(r["account"], r["id"]) for r in raw["raw_waspy.contacts"]}
        if contact_id and (row["account"], contact_id) not in listed and phone:
            found[key] = max(found.get(key) or "", _country_of(phone) or "") or None
    return {key: country for key, country in found.items() if country}


def _country(contact: Contact) -> str | None:
    return _country_of(contact.phone_key) or (contact.bsuid[:2] if contact.bsuid else None)


def _country_of(phone: str | None) -> str | None:
    raw = text(phone) or ""
    if BSUID.match(raw):
        return raw[:2]
    return COUNTRIES.get((phone_key(raw) or "")[:2])


def country_of(message: Message, known: Mapping[str, str]) -> str | None:
    """The customer's country; that of somebody on no list is in their key."""
    key = message.thread.contact_key or ""
    if key in known:
        return known[key]
    _, _, name = key.partition(":phone:")
    if name:
        bsuids = [message.bsuid[:2]] if message.bsuid else []
        return _country_of(name) or max(bsuids, default=None)
    _, _, name = key.partition(":bsuid:")
    return name[:2] or None


def replied_at(template: Message, thread: Sequence[Message]) -> datetime | None:
    """The first request within 72 hours after a template that went out, before the next one."""
    if template.type != "template" or not template.is_sent_content or template.at is None:
        return None
    ordered = in_order(thread)
    for later in ordered[ordered.index(template) + 1 :]:
        if later.type == "template" and later.is_sent_content:
            return None
        if later.is_request and later.at:
            return later.at if later.at - template.at <= ANSWERED_WITHIN else None
    return None


def send_row(
    message: Message, thread: Sequence[Message], key: str | None, cost: float | None
) -> dict[str, Any]:
    """A row of `fct_template_sends`."""
    return {
        "message_key": message.key,
        "thread": message.thread,
        "provider": message.thread.provider,
        "account": message.thread.account,
        "template_key": key,
        "channel_key": message.thread.channel_key,
        "contact_key": message.thread.contact_key,
        "broadcast_id": message.broadcast_id,
        "occurred_at": message.at,
        "is_delivered": message.status in ARRIVED,
        "is_read": message.status in ("read", "played"),
        "is_failed": message.status == "failed",
        "replied_at": replied_at(message, thread),
        "estimated_cost_usd": cost,
    }


class RateCard:
    """The seed, read row by row."""

    def __init__(self) -> None:
        """Read it."""
        with SEED.open(newline="") as file:
            self.rows = list(csv.DictReader(file))
        self.first = min(date.fromisoformat(row["valid_from"]) for row in self.rows)

    def row(self, on: date, country: str | None, category: str | None) -> Mapping[str, str]:
        """The row of a day: the category's before the country's, a default where there is none."""
        valid = [
            row
            for row in self.rows
            if date.fromisoformat(row["valid_from"]) <= on
            and (not row["valid_to"] or on <= date.fromisoformat(row["valid_to"]))
        ]
        for wanted in ((country, category), ("*", category), (country, "*"), ("*", "*")):
            for row in valid:
                if (row["country_code"], row["category"]) == wanted:
                    return row
        raise LookupError(on)


class Prices:
    """What every message costs. The free messages of a month are counted in order of time."""

    def __init__(self, raw: Raw) -> None:
        """Read what costs depend on."""
        self.card, self.catalogue, self.countries = RateCard(), catalogue(raw), countries(raw)
        self.used: Counter[tuple[object, ...]] = Counter()

    def cost(self, message: Message, windows: Sequence[Window], zone: ZoneInfo) -> float | None:
        """US dollars; None where no price applies. Ask in order of time, then of key."""
        if message.direction != "outbound" or not message.counts or message.at is None:
            return None
        on = message.at.astimezone(zone).date()
        if on < self.card.first:
            return None
        if message.status not in ARRIVED or not message.is_sent_content or message.is_on_phone:
            return 0.0
        row = self.card.row(on, country_of(message, self.countries), self._category(message))
        if row["free_per_month"]:
            place = (message.thread[:3], on.year, on.month)
            self.used[place] += 1
            if self.used[place] <= int(row["free_per_month"]):
                return 0.0
        is_in_window = any(window.holds(message.at) for window in windows)
        return 0.0 if row["is_free_in_window"] == "true" and is_in_window else float(row["usd"])

    def _category(self, message: Message) -> str | None:
        if message.type != "template":
            return "service"
        key = self.catalogue.key_of(message)
        return self.catalogue.category_at(key, message.at) if key and message.at else None
