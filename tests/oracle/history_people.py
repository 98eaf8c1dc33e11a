"""The people of the histories: one number in many spellings, hidden numbers, unlisted contacts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Listing = tuple[str | None, str | None]
"""What a contact row says: a phone and a BSUID."""


@dataclass(frozen=True)
class Person:
    """A customer: every spelling of the phone, a BSUID perhaps, and their contact rows.

    The rows may know less than the messages do: then some messages find them and some do not.
    """

    number: int
    phones: tuple[str, ...]
    bsuid: str | None
    listed: tuple[Listing, ...]

    @property
    def contact_id(self) -> str:
        """The provider's id; the same one in every account."""
        return f"contact-{self.number:05d}"

    def phone(self, chance: int) -> str | None:
        """One of the spellings; a hidden number is missing in two ways."""
        if not self.phones:
            return ("", None)[chance % 2]
        return self.phones[chance % len(self.phones)]


def person(number: int) -> Person:
    """The n-th person: country, identity and contact rows follow from the number."""
    if number % 11 == 5:
        return Person(number, (), None, ())  # nobody says who this is
    spell = (_argentina, _mexico, _brazil, _usa, _cordoba)[number % 5]
    bsuid = f"AR.{9_000_000_000 + number}" if number % 3 == 1 else None
    phones = () if number % 9 == 1 else spell(number)
    first, second = (*phones[:2], None, "")[:2]
    listings: tuple[tuple[Listing, ...], ...] = (
        ((first, bsuid), (second, bsuid)),  # listed twice: the older row is meant
        ((first, None),),
        (),  # on no list
        ((second, bsuid),),
        ((first, None), (None, bsuid)),  # two rows that nobody has joined
        ((None, bsuid),),
    )
    return Person(number, phones, bsuid, listings[number // 5 % len(listings)])


Spelling = Callable[[int], tuple[str, ...]]


def _argentina(number: int) -> tuple[str, ...]:
    local = f"{26_000_000 + number:08d}"
    return (
        f"54911{local}",
        f"+5411{local}",
        f"+54 11 15 {local[:4]}-{local[4:]}",
        f"+54 9 11 15 {local}",
        f"54 9 11 {local}",
    )


def _cordoba(number: int) -> tuple[str, ...]:
    local = f"{5_000_000 + number:07d}"
    return (f"+549351{local}", f"54351{local}", f"+54 351 15 {local[:3]} {local[3:]}")


def _mexico(number: int) -> tuple[str, ...]:
    local = f"55{10_000_000 + number:08d}"
    return (f"521{local}", f"+52{local}", f"+52 1 {local}")


def _brazil(number: int) -> tuple[str, ...]:
    local = f"{88_000_000 + number:08d}"
    return (f"55119{local}", f"+5511{local}", f"+55 (11) 9{local[:4]}-{local[4:]}")


def _usa(number: int) -> tuple[str, ...]:
    local = f"{2_000_000 + number:07d}"
    return (f"1415{local}", f"+1415{local}", f"+1 (415) {local[:3]}-{local[3:]}")
