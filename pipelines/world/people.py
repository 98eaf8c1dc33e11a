"""Customers: made-up names, and phones from blocks that no real person is known to have."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import datetime
from random import Random

from pipelines.world.things import Channel, Contact
from pipelines.world.words import CITIES

FIRST = (
    "Ana", "Bruno", "Carla", "Diego", "Elena", "Facundo", "Graciela", "Hernán", "Iara", "Julián",
    "Karina", "Leandro", "Marta", "Nicolás", "Ofelia", "Pablo", "Rocío", "Sergio", "Úrsula", "Zoe",
)  # fmt: skip
LAST = (
    "Acosta", "Bustos", "Cáceres", "Domínguez", "Escudero", "Farías", "Giménez", "Herrera", "Luna",
    "Juárez", "Ibáñez", "Muñoz", "Núñez", "Ortiz", "Paz", "Quiroga", "Sosa", "Toledo", "Vega",
)  # fmt: skip
TAGS = ("vip", "mayorista", "reclamo", "primera compra", "debe", "interior")
AREAS = ("11", "351", "341", "261", "223", "381", "299")
"""Argentine area codes; ten digits with the subscriber's number."""

RETURNS = 0.62
"""How often an arriving customer is someone a channel with many customers already knows."""
TWO_CARDS = 0.07
"""How often a new customer of a channel is known elsewhere under another spelling of the phone."""
SAME_CARD = 0.05
"""How often a new customer of a channel writes to another channel too, as the same contact."""


class People:
    """Hands out customers, old and new, and keeps two conversations with one from overlapping."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._pools: dict[str, list[str]] = {}
        self._twice: set[str] = set()  # persons who have both spellings already
        self._books: dict[str, set[str]] = defaultdict(set)
        self._busy: dict[tuple[str, str], int] = {}
        self.contacts: dict[str, Contact] = {}

    def known(self, channel: Channel) -> list[Contact]:
        """The channel's contacts, in the order in which they came."""
        return [self.contacts[contact_id] for contact_id in self._pools.get(channel.id, [])]

    def keep_busy(self, channel: Channel, contact: Contact, *, until: int) -> None:
        self._busy[channel.id, contact.id] = until

    def is_free(self, channel: Channel, contact: Contact, *, at: int) -> bool:
        return self._busy.get((channel.id, contact.id), 0) < at

    def someone(self, channel: Channel, *, at: int, since: datetime) -> Contact:
        """A customer who is free at `at`; a new one is on record from `since` on."""
        pool = self._pools.setdefault(channel.id, [])
        if self._rng.random() < RETURNS * len(pool) / (len(pool) + 60):
            for _ in range(4):
                contact = self.contacts[pool[int(self._rng.random() ** 1.5 * len(pool))]]
                if self.is_free(channel, contact, at=at):
                    return contact
        contact = self._newcomer(channel, since=since)
        pool.append(contact.id)
        return contact

    def _newcomer(self, channel: Channel, *, since: datetime) -> Contact:
        dice = self._rng.random()
        if dice < TWO_CARDS + SAME_CARD and (other := self._from_elsewhere(channel)):
            if dice < SAME_CARD:
                return self._keep(other, channel)
            if phone := self._spelling(other, channel):
                self._twice.add(other.person_id)
                card = replace(other, id=self._new_id(), phone=phone, created_at=since)
                return self._keep(card, channel)
        return self._keep(self._stranger(since), channel)

    def _spelling(self, contact: Contact, channel: Channel) -> str | None:
        """How another address book spells the phone, None where this one knows the person."""
        if channel.address_book in self._books[contact.person_id]:
            return None
        return other_spelling(contact.phone)

    def _from_elsewhere(self, channel: Channel) -> Contact | None:
        """A contact of another channel who is none of this one's."""
        others = [pool for name, pool in self._pools.items() if name != channel.id and pool]
        if not others:
            return None
        contact = self.contacts[self._rng.choice(self._rng.choice(others))]
        mine = {self.contacts[c].person_id for c in self._pools[channel.id][-2000:]}
        return None if contact.person_id in mine | self._twice else contact

    def _keep(self, contact: Contact, channel: Channel) -> Contact:
        self.contacts[contact.id] = contact
        self._books[contact.person_id].add(channel.address_book)
        return contact

    def _new_id(self) -> str:
        return f"contact-{len(self.contacts) + 1}"

    def _stranger(self, since: datetime) -> Contact:
        rng, number = self._rng, len(self.contacts)
        name = f"{rng.choice(FIRST)} {rng.choice(LAST)}"
        country, phone = phone_of(rng, number)
        hides = rng.random() < 0.03
        bsuid = f"{country}.{rng.randrange(10**15, 10**16)}"
        return Contact(
            id=self._new_id(),
            person_id=f"person-{number + 1}",
            name=None if rng.random() < 0.08 else name,
            phone=None if hides else phone,
            bsuid=bsuid if hides or rng.random() < 0.35 else None,
            username=f"@{name.split(maxsplit=1)[0].lower()}.{number}" if hides else None,
            country=country,
            email=f"cliente{number}@correo.example" if rng.random() < 0.2 else None,
            tags=tuple(rng.sample(TAGS, k=rng.choice((0, 0, 0, 1, 1, 2)))),
            fields={"ciudad": rng.choice(CITIES)} if rng.random() < 0.3 else {},
            opted_in=rng.random() < 0.7,
            sends_receipts=rng.random() < 0.88,
            created_at=since,
        )


def phone_of(rng: Random, number: int) -> tuple[str, str]:
    """Country and phone of the `number`th person: unique, and written as WhatsApp writes it."""
    line = f"{number % 100_000:05d}"
    dice = rng.random() if number < 100_000 else 1.0  # the small blocks hold no more
    if dice < 0.03:
        return "MX", f"+52155555{line}"  # WhatsApp keeps the old mobile 1 after 52
    if dice < 0.06:
        return "BR", f"+5511555{line}"  # … and often leaves out Brazil's ninth digit
    if dice < 0.08:
        return "UY", f"+598995{line}"
    area = AREAS[(number + number // 100_000) % len(AREAS)]
    block = "555" if len(area) == 2 else "55"
    with_nine = "9" if rng.random() < 0.85 else ""
    return "AR", f"+54{with_nine}{area}{block}{line}"


def other_spelling(phone: str | None) -> str | None:
    """The same line written the other way, None where there is only one way."""
    if phone is None or phone.startswith("+598"):
        return None
    if phone.startswith("+521"):
        return "+52" + phone[4:]
    if phone.startswith("+55"):
        return phone[:5] + "9" + phone[5:]
    return "+54" + phone[4:] if phone.startswith("+549") else "+549" + phone[3:]
