"""One canonical key per phone, so that a customer written in two ways is one customer.

The key is for matching only; the raw value stays beside it. Three countries write one mobile in
two ways: Argentina with or without a mobile 9 (and an old 15 after the area code), Mexico with or
without a 1 after 52, Brazil with or without a ninth digit.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import phonenumbers

_BSUID = re.compile(r"[A-Z]{2}\.")
_NOT_A_DIGIT = re.compile(r"\D")
_AR_NATIONAL = 10
_AR_WITH_15 = 12


class PhoneKey(NamedTuple):
    """What one raw phone is known by.

    Attributes:
        key: digits without a plus, canonical; None when the text is no phone.
        e164: the number as one would dial it, with a plus; None when it could not be parsed.
        country_code: ISO 3166 country of the number; None when unknown.
    """

    key: str | None
    e164: str | None
    country_code: str | None


NOBODY = PhoneKey(None, None, None)


def phone_key(raw: str | None) -> PhoneKey:
    """The canonical key of a phone in international form, with or without plus and punctuation.

    A business-scoped user id is not a phone. What can't be parsed keeps its digits as the key.
    """
    text = (raw or "").strip()
    if _BSUID.match(text):  # before parsing: its letters and digits would pass for a number
        return NOBODY
    digits = _digits(text)
    if not digits:
        return NOBODY
    return _canonical(digits)


def _digits(text: str) -> str:
    """ASCII digits, without the 00 that some countries dial before a country code."""
    ascii_digits = phonenumbers.normalize_digits_only(_NOT_A_DIGIT.sub("", text))
    return str(ascii_digits).removeprefix("00")


def _canonical(digits: str) -> PhoneKey:
    if digits.startswith("54"):
        return _argentina(digits) or _parsed(digits)
    if digits.startswith("521") and len(digits) == 13:
        return _parsed("52" + digits[3:])
    if digits.startswith("55") and len(digits) == 12 and digits[4] in "6789":
        return _parsed(digits[:4] + "9" + digits[4:])
    return _parsed(digits)


def _argentina(digits: str) -> PhoneKey | None:
    """54 and ten national digits; None when they can't be found."""
    national = digits[2:].lstrip("0")
    is_mobile = national.startswith("9") and len(national) > _AR_NATIONAL
    national = national[1:].lstrip("0") if is_mobile else national
    if len(national) == _AR_WITH_15:  # never from ten digits: they may hold a 15 of their own
        is_mobile, national = True, _without_15(national)
    if len(national) != _AR_NATIONAL:
        return None
    return PhoneKey("54" + national, f"+54{'9' if is_mobile else ''}{national}", "AR")


def _without_15(national: str) -> str:
    """Drop the 15 after the area code; the library knows which area codes have 2, 3 or 4 digits."""
    number = _parse("54" + national)
    if number is not None and phonenumbers.is_valid_number(number):
        known = str(number.national_number).removeprefix("9")
        if len(known) == _AR_NATIONAL:
            return known
    places = [2] if national.startswith("11") else [3, 4]
    cuts = [at for at in places if national[at : at + 2] == "15"]
    return national[: cuts[0]] + national[cuts[0] + 2 :] if cuts else national


def _parsed(digits: str) -> PhoneKey:
    number = _parse(digits)
    if number is None or not phonenumbers.is_possible_number(number):
        return PhoneKey(digits, None, None)
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    country = phonenumbers.region_code_for_number(number)
    return PhoneKey(e164.removeprefix("+"), e164, country if country != "001" else None)


def _parse(digits: str) -> phonenumbers.PhoneNumber | None:
    try:
        return phonenumbers.parse("+" + digits)
    except phonenumbers.NumberParseException:
        return None
