"""Whose message it is: BSUIDs, phones in several forms, and nobody."""

from datetime import UTC, datetime

import pytest

T0 = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def built(warehouse):
    w = warehouse

    def contact(contact_id, created="2026-01-01T00:00:00Z", **row):
        w.add("raw_kapso.contacts", id=contact_id, created_at=created, **row)

    contact("ana", wa_id="5491126032641", business_scoped_user_id="AR.ana")
    contact("older", wa_id="5215512345678", created="2025-01-01T00:00:00Z")
    contact("newer", wa_id="+52 55 1234 5678", created="2026-01-01T00:00:00.000000Z")
    contact("moved", wa_id="5491126032641", account="second")
    for contact_id, missed_since in (("erased", "2026-03-01T00:00:00Z"), ("returned", None)):
        contact(contact_id)
        w.add(
            "raw_kapso.gone",
            id=f"contacts|{contact_id}",
            resource="contacts",
            provider_id=contact_id,
            missed_since=missed_since,
        )
    w.asks("by bsuid", 0, id="bsuid", kapso_phone_number="", business_scoped_user_id="AR.ana")
    w.asks("by sender id", 0, id="sender", kapso_phone_number=None, from_user_id="AR.ana")
    w.asks("by phone", 0, id="phone", kapso_phone_number="+54 11 15 2603-2641")
    w.asks("by from", 0, id="from", **{"kapso_phone_number": None, "from": "541126032641"})
    w.asks("as the newer", 0, id="newer spelling", kapso_phone_number="525512345678")
    w.asks("as the older", 0, id="older spelling", kapso_phone_number="52 1 55 1234 5678")
    w.asks("unlisted", 0, id="unlisted", kapso_phone_number="+1 415 555 9999")
    w.asks("bsuid only", 0, id="bsuid only", kapso_phone_number=None, from_user_id="US.x1")
    w.asks("bsuid as phone", 0, id="bsuid as phone", kapso_phone_number="US.x1")
    nobody = {"kapso_phone_number": None, "kapso_whatsapp_conversation_id": "v-nobody"}
    w.asks("nobody", 0, id="nobody", **nobody)
    w.asks("nobody", 60, id="nobody again", **nobody)
    w.asks("alone", 0, id="alone", kapso_phone_number=None)
    w.add(
        "raw_kapso.conversations",
        id="v-named",
        phone_number="+5491126032641",
        phone_number_id="100",
        status="active",
        created_at="2026-03-01T00:00:00Z",
    )
    w.asks(
        "by conversation",
        0,
        id="by conversation",
        kapso_phone_number=None,
        kapso_phone_number_id=None,
        kapso_whatsapp_conversation_id="v-named",
    )
    w.add(
        "raw_kapso.templates",
        id="t1",
        name="hi",
        language="es_AR",
        category="UTILITY",
        status="APPROVED",
    )
    w.asks(
        "template",
        0,
        id="templated",
        type="template",
        template={"name": "hi", "language": {"code": "es_AR"}},
    )
    w.waspy_thread(
        "embedded",
        contact_id=None,
        contact={"id": "contact-only-here", "phoneNumber": "+541126032641", "name": "Ana"},
    )
    w.waspy("embedded", 0, id="embedded")
    w.run(
        "insert into raw_waspy.sync_state (account, resource, is_complete, last_error)"
        " values ('default', 'messages', false, '403')"
    )
    w.build()
    return w


@pytest.mark.parametrize("message", ["bsuid", "sender", "phone", "from", "by conversation"])
def test_bsuid_phone_and_conversation_lead_to_the_same_contact(built, message):
    row = built.message(message)
    assert row["contact_key"] == "kapso:default:ana"
    assert row["thread_key"] == "kapso:default:100:ana"


def test_among_contacts_of_one_phone_the_oldest_wins_however_it_is_spelt(built):
    for message in ("newer spelling", "older spelling"):
        assert built.message(message)["contact_key"] == "kapso:default:older"


def test_a_customer_in_no_list_is_known_by_phone_or_bsuid(built):
    assert built.message("unlisted")["contact_key"] == "kapso:default:phone:14155559999"
    assert built.message("bsuid only")["contact_key"] == "kapso:default:bsuid:US.x1"
    assert built.message("bsuid as phone")["contact_key"] == "kapso:default:bsuid:US.x1"


def test_messages_of_nobody_share_their_conversation_and_nothing_else(built):
    first, second, alone = (built.message(m) for m in ("nobody", "nobody again", "alone"))
    assert first["contact_key"] is None
    assert first["thread_key"] == second["thread_key"] != alone["thread_key"]


def test_every_contact_key_of_a_message_is_in_dim_contacts_once(built):
    [row] = built.rows(
        "select count(*) as missing from marts.fct_messages where contact_key is not null"
        " and contact_key not in (select contact_key from marts.dim_contacts)"
    )
    assert row["missing"] == 0


def test_one_person_is_recognised_across_accounts_and_providers(built):
    persons = {
        row["contact_key"]: row["person_key"]
        for row in built.rows("select contact_key, person_key from marts.dim_contacts")
    }
    same = {
        persons[key]
        for key in ("kapso:default:ana", "kapso:second:moved", "waspy:default:contact-only-here")
    }
    assert len(same) == 1
    assert persons["kapso:default:older"] == persons["kapso:default:newer"] not in same


def test_a_contact_that_only_a_conversation_names_is_known(built):
    assert built.message("embedded")["contact_key"] == "waspy:default:contact-only-here"
    [row] = built.rows("select * from marts.dim_contacts where contact_id = 'contact-only-here'")
    assert (row["display_name"], row["phone_key"]) == ("Ana", "541126032641")


def test_a_template_is_found_by_name_and_language(built):
    assert built.message("templated")["template_key"] == "kapso:default:t1"


def test_health_shows_rows_and_the_state_of_the_last_walk(built):
    [row] = built.rows(
        "select * from marts.mart_sync_health where provider = 'waspy' and resource = 'messages'"
    )
    assert (row["rows"], row["is_complete"], row["last_error"]) == (1, False, "403")


def test_author_coverage_is_null_without_outbound_messages(built):
    coverage = {row["author_coverage"] for row in built.rows("select * from marts.dim_accounts")}
    assert coverage == {None}


def test_a_contact_that_was_erased_is_deleted_until_it_comes_back(built):
    deleted = built.rows("select contact_id from marts.dim_contacts where is_deleted")
    assert deleted == [{"contact_id": "erased"}]
