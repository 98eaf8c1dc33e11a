"""Who a row is about: phone keys, contacts and threads."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import phonenumbers
from oracle_values import Raw, Row, field, first, text

BSUID = re.compile(r"^[A-Z]{2}\.")


class Thread(NamedTuple):
    """What turns and windows are computed for. An unknown channel or contact is None.

    Nobody knows whether two unknown contacts are one person, so they never share a thread: a
    `stranger` is the conversation in which somebody unnamed writes, or else the lone row.
    """

    provider: str
    account: str
    channel_key: str | None
    contact_key: str | None
    stranger: str | None = None


def thread_of(
    row: Row, provider: str, channel: str | None, contact_key: str | None, conversation: str | None
) -> Thread:
    """The thread of a row: of its contact, else of its conversation, else its own."""
    account = row["account"]
    channel_key = key_of(provider, account, channel)
    stranger = None if contact_key else f"in {conversation}" if conversation else f"is {row['id']}"
    return Thread(provider, account, channel_key, contact_key, stranger)


class Identity(NamedTuple):
    """What a row says about its customer."""

    bsuid: str | None = None
    phone: str | None = None

    def __bool__(self) -> bool:
        """Whether the row names anybody."""
        return bool(self.bsuid or self.phone)


def identity(bsuids: Iterable[object], phones: Iterable[object]) -> Identity:
    """The first BSUID and the first phone; a BSUID that stands in a phone's place is a BSUID."""
    names = [text(value) for value in phones]
    misplaced = [name for name in names if name and BSUID.match(name)]
    real = [name for name in names if name and not BSUID.match(name)]
    return Identity(first(*map(text, bsuids), *misplaced), first(*real))


def phone_key(phone: str | None) -> str | None:
    """Digits that are equal for every way to write one number; None for what is not a number."""
    digits = re.sub(r"\D", "", phone or "").removeprefix("00")
    if not digits or BSUID.match(phone or ""):
        return None
    if digits.startswith("54"):
        return "54" + _argentina(digits[2:])
    if re.fullmatch(r"521\d{10}", digits):
        return "52" + digits[3:]
    if re.fullmatch(r"55\d{2}[6-9]\d{7}", digits):
        return digits[:4] + "9" + digits[4:]
    return digits


def _argentina(national: str) -> str:
    """Without the mobile 9 and without a 15 between area code and subscriber.

    Only `phonenumbers` knows where an area code of two, three or four digits ends.
    """
    national = national.lstrip("0")
    if len(national) in (11, 13):
        national = national.removeprefix("9")
    if len(national) != 12:
        return national
    parsed = phonenumbers.parse("+54" + national, None)
    return str(parsed.national_number).removeprefix("9")


@dataclass(frozen=True)
class Contact:
    """One row of a provider's contact list."""

    key: str
    account: str
    bsuid: str | None
    phone_key: str | None
    created_at: str


def kapso_contacts(raw: Raw) -> list[Contact]:
    """Every Kapso contact, oldest first: of two that share a phone the older is meant."""
    contacts = [_kapso_contact(row) for row in raw["raw_kapso.contacts"]]
    return sorted(contacts, key=lambda contact: (contact.created_at, contact.key))


def _kapso_contact(row: Row) -> Contact:
    who = identity([row["business_scoped_user_id"]], [row["wa_id"]])
    return Contact(
        key=f"kapso:{row['account']}:{row['id']}",
        account=row["account"],
        bsuid=who.bsuid,
        phone_key=phone_key(who.phone),
        created_at=row["created_at"] or "9999",
    )


def kapso_contact_key(account: str, who: Identity, contacts: Sequence[Contact]) -> str | None:
    """The contact by BSUID, then by phone key; nobody on the list: a key made of the identity."""
    mine = [contact for contact in contacts if contact.account == account]
    key = phone_key(who.phone)
    by_bsuid = [c.key for c in mine if who.bsuid and c.bsuid == who.bsuid]
    by_phone = [c.key for c in mine if key and c.phone_key == key]
    made_of_bsuid = who.bsuid and f"kapso:{account}:bsuid:{who.bsuid}"
    made_of_phone = key and f"kapso:{account}:phone:{key}"
    return first(*by_bsuid, *by_phone, made_of_phone, made_of_bsuid)


def kapso_conversation_identity(row: Row | None) -> Identity:
    """Whom a Kapso session is with."""
    return identity([row["business_scoped_user_id"]], [row["phone_number"]]) if row else Identity()


def kapso_message_identity(row: Row, direction: str | None) -> Identity:
    """Whom a Kapso message is from or to. `from` and `to` are the customer on one side only."""
    side = {"inbound": ("from_user_id", "from"), "outbound": ("to_user_id", "to")}.get(
        direction or ""
    )
    user_id, phone = (row[side[0]], row[side[1]]) if side else (None, None)
    return identity([row["business_scoped_user_id"], user_id], [row["kapso_phone_number"], phone])


def kapso_call_identity(row: Row) -> Identity:
    """Whom a Kapso call is with."""
    embedded = field(row["whatsapp_contact"], "wa_id")
    return identity([row["business_scoped_user_id"]], [row["user_wa_id"], embedded])


def key_of(provider: str, account: str, identifier: str | None) -> str | None:
    """The warehouse's name for a provider's id."""
    return f"{provider}:{account}:{identifier}" if identifier else None
