import pytest

from pipelines.phones import NOBODY, phone_key


@pytest.mark.parametrize(
    "raw",
    [
        "5491126032641",
        "+5491126032641",
        "541126032641",
        "+54 11 2603-2641",
        "+5411 15 26032641",
        "+54 9 11 15 2603-2641",
        "+54 011 15 2603 2641",
        "0054 9 11 2603 2641",
    ],
)
def test_an_argentine_mobile_has_one_key_however_it_is_written(raw):
    assert phone_key(raw).key == "541126032641"


@pytest.mark.parametrize(
    ("raw", "key"),
    [
        ("+54 351 15 234 5678", "543512345678"),
        ("+54 9 2966 15 123456", "542966123456"),
        ("+54 11 1526 0326", "541115260326"),
        ("+54 9 351 155 1234", "543511551234"),
    ],
)
def test_a_15_is_dropped_only_where_the_number_is_too_long(raw, key):
    assert phone_key(raw).key == key


def test_the_mobile_9_is_shown_when_it_was_written():
    assert phone_key("5491126032641").e164 == "+5491126032641"
    assert phone_key("541126032641").e164 == "+541126032641"


def test_mexico_drops_the_1_after_its_country_code():
    assert phone_key("5215512345678") == phone_key("+52 55 1234 5678")


def test_brazil_gains_the_ninth_digit_of_mobiles_only():
    assert phone_key("551187654321").key == "5511987654321"
    assert phone_key("5511987654321").key == "5511987654321"
    assert phone_key("551133334444").key == "551133334444"


@pytest.mark.parametrize("raw", [None, "", "   ", "BR.1502576394655843", "US.ENT.5068", "abc"])
def test_what_is_no_phone_has_no_key(raw):
    assert phone_key(raw) == NOBODY


@pytest.mark.parametrize("raw", ["123", "1526032641", "99999999999999999999"])
def test_what_cannot_be_parsed_keeps_its_digits(raw):
    assert phone_key(raw) == (raw, None, None)


def test_a_number_knows_its_country():
    assert phone_key("+51 932 011 088") == ("51932011088", "+51932011088", "PE")


@pytest.mark.parametrize(
    "raw", ["5491126032641", "5215512345678", "551187654321", "14155550123", "123"]
)
def test_a_key_is_its_own_key(raw):
    key = phone_key(raw).key
    assert phone_key(key).key == key
