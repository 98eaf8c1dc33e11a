"""What is kept of a row about somebody who was erased, and who is recognised."""

from __future__ import annotations

import base64
import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest

from pipelines.care.erased import Erased
from pipelines.care.erasure import Person
from pipelines.care.keys import BSUID
from pipelines.phones import phone_key
from pipelines.provider import REJECTED, Table, fields
from pipelines.reading.landing import Record

PHONE = "5491123456789"
AT = datetime(2026, 3, 20, tzinfo=UTC)
COLUMNS = ("id", "from", "to", "type", "text", "status", "sent_at", "template")
TABLE = Table("messages", fields(*COLUMNS))


def erased() -> Erased:
    bare = Erased(b"key", {})
    tokens = [bare.token("phone", str(phone_key(PHONE).key)), bare.token("bsuid", "AR.12345")]
    tokens.append(bare.token("conversation", "thread-1"))
    return Erased(b"key", dict.fromkeys(tokens, "ZZ.erasedabc"))


def stored(payload: str = "{}", **row: str | None) -> dict[str, Any]:
    values = tuple({**dict.fromkeys(TABLE.columns), "id": "one", **row}.values())
    record = erased().record(TABLE, Record("one", values, payload, "h", AT))
    return {**dict(zip(TABLE.columns, record.values, strict=True)), "payload": record.payload}


def test_every_spelling_of_the_phone_becomes_the_pseudonym() -> None:
    for spelling in (PHONE, f"+{PHONE}", "+54 9 11 2345-6789", "541123456789"):
        assert stored(**{"from": spelling})["from"] == "ZZ.erasedabc"


def test_what_numbers_are_made_of_stays_and_what_was_written_goes() -> None:
    row = stored(
        **{"from": PHONE, "to": "15550009999"},
        type="text",
        text=json.dumps({"body": "hola"}),
        status="delivered",
        sent_at="1774040400",
        template=json.dumps({"name": "promo", "language": {"code": "es"}}),
        payload=json.dumps({"profile": {"name": "Ana"}, "wa_id": PHONE, "n": 3, "x": "dos cosas"}),
    )
    assert row["to"] == "15550009999"
    assert (row["type"], row["status"], row["sent_at"]) == ("text", "delivered", "1774040400")
    assert json.loads(row["text"]) == {"body": None}
    assert json.loads(row["template"])["name"] == "promo"
    assert json.loads(row["payload"]) == {
        "profile": {"name": None}, "wa_id": "ZZ.erasedabc", "n": 3, "x": None
    }  # fmt: skip


def test_a_row_is_theirs_by_its_id_or_its_conversation_alone() -> None:
    for about in ({"user": "AR.12345"}, {"conversation_id": "thread-1"}):
        row = stored(json.dumps({**about, "body": "x"}))
        assert json.loads(row["payload"])["body"] is None


def test_others_are_left_alone_but_do_not_name_them() -> None:
    row = stored(**{"from": "5491187654321"}, text=f"llama a {PHONE} ya", status="sent")
    assert row["text"] == "llama a erased ya"
    assert (row["from"], row["status"]) == ("5491187654321", "sent")
    row = stored(**{"from": "5491187654321"}, text="hola")
    assert row["text"] == "hola"


def test_others_do_not_name_them_however_they_write_the_phone() -> None:
    for spelling in (
        PHONE,
        "+54 9 11 2345-6789",
        "+54 (9) 11.2345.6789",
        "\u202a+54\xa09\xa011\xa02345\u20116789\u202c",
        "005491123456789",
    ):
        for before, after in (
            ("", "."),
            ("tel.", ", ya"),
            ("el 15 de 8 a ", " 30"),
            ("wa.me/", ""),
        ):
            text = stored(**{"from": "15550009999"}, text=before + spelling + after)["text"]
            assert re.sub("[\u202a\u202c]", "", text) == f"{before}erased{after}"
    for text in ("11 2345 678 1 2026-03-20 20:52 -34.60372", "5491187654321. 54 9 11 8765 4321"):
        assert stored(**{"from": "15550009999"}, text=text)["text"] == text


def test_a_message_id_that_holds_the_phone_is_replaced_always_by_the_same() -> None:
    inside = "wamid." + base64.b64encode(b"\x1d\x0d" + PHONE.encode() + b"\x15").decode()
    found = {stored(id=inside, **{"from": PHONE})["id"] for _ in range(2)}
    assert len(found) == 1
    assert found.pop().startswith("erased.")
    assert stored(id="wamid.x7", **{"from": PHONE})["id"] == "wamid.x7"


def test_the_same_row_is_the_same_record_when_it_comes_again() -> None:
    values = ("one", PHONE, None, "text", "hola", "sent", None, None)
    first = erased().record(TABLE, Record("one", values, '{"name":"Ana"}', "h", AT))
    assert erased().record(TABLE, first) == first


def test_webhooks_are_told_by_their_bodies() -> None:
    body = json.dumps({"message": {"from": PHONE, "text": {"body": "hola"}, "type": "text"}})
    assert json.loads(erased().document(body) or "") == {
        "message": {"from": "ZZ.erasedabc", "text": {"body": None}, "type": "text"}
    }
    assert erased().document("not JSON") == "not JSON"


OTHER = "5491187654321"


def hook(body: Any) -> Any:
    return json.loads(erased().document(json.dumps(body)) or "")


def test_what_somebody_writes_makes_nothing_another_ones() -> None:
    for text in (PHONE, "AR.12345", "thread-1"):
        told = {
            "message": {"from": OTHER, "type": "text", "text": {"body": text}},
            "conversation": {
                "id": "thread-2",
                "phone_number": f"+{OTHER}",
                "kapso": {"contact_name": "Beto", "last_message_text": text},
                "metadata": {"phone": text, "contact_id": text},
            },
        }
        written = json.dumps(told).replace(PHONE, "erased")
        assert hook(told) == json.loads(written)
    row = stored(**{"from": OTHER}, text=json.dumps({"body": PHONE}), template='{"to":"thread-1"}')
    assert (row["from"], row["text"]) == (OTHER, '{"body":"erased"}')


def test_what_is_told_together_is_judged_one_by_one() -> None:
    def value(ana: Any, phone: str, text: str | None) -> Any:
        contacts = [
            {"wa_id": phone, "profile": {"name": ana}},
            {"wa_id": OTHER, "profile": {"name": "Beto"}},
        ]
        messages = [
            {"from": phone, "text": {"body": text}},
            {"from": OTHER, "text": {"body": "dos"}},
        ]
        return {"contacts": contacts, "messages": messages}

    told = {"entry": [{"changes": [{"value": value("Ana", PHONE, "uno")}]}]}
    assert hook(told) == {"entry": [{"changes": [{"value": value(None, "ZZ.erasedabc", None)}]}]}


def test_the_phones_of_the_business_stay_and_theirs_do_not() -> None:
    row = stored(
        json.dumps({"conversation_id": "thread-1", "config_display_phone_number": "+15550009999"}),
        **{"from": "+15550009999", "to": PHONE},
    )
    assert (row["from"], row["to"]) == ("+15550009999", "ZZ.erasedabc")
    assert json.loads(row["payload"])["config_display_phone_number"] == "+15550009999"
    moved = json.dumps({"conversation_id": "thread-1", "wa_id": "5491155554444"})
    assert json.loads(stored(moved)["payload"])["wa_id"] == "ZZ.erasedabc"


def test_a_row_that_was_set_aside_is_judged_as_it_was_sent() -> None:
    def body(sent: Any) -> Any:
        values = ("one", "conversations", "no id", json.dumps(sent))
        kept = erased().record(REJECTED, Record("one", values, "{}", "h", AT))
        return json.loads(kept.values[3] or "")

    assert body({"wa_id": PHONE, "name": "Ana"}) == {"wa_id": "ZZ.erasedabc", "name": None}
    assert body({"id": "thread-1", "name": "Ana"})["name"] is None
    assert body({"wa_id": OTHER, "name": "Beto"}) == {"wa_id": OTHER, "name": "Beto"}


def test_a_phone_that_is_written_as_a_number_leaves_json_whole() -> None:
    told = {"message": {"from": OTHER}, "extra": {"referred_by": int(PHONE), "n": 3}}
    assert hook(told) == {"message": {"from": OTHER}, "extra": {"referred_by": "erased", "n": 3}}
    row = stored(json.dumps({"raw": {"phone": int(PHONE)}, "opted_in": True}), **{"from": PHONE})
    assert json.loads(row["payload"]) == {"raw": {"phone": "ZZ.erasedabc"}, "opted_in": True}


def test_nothing_is_left_of_what_filled_a_template_or_of_fields_of_ones_own() -> None:
    parameters = [{"type": "text", "text": word} for word in ("ANA", "maria", "30111222")]
    template = {
        "name": "promo",
        "language": {"code": "es"},
        "components": [{"type": "body", "parameters": [*parameters, {"amount_1000": 41}]}],
    }
    own = {"dni": "30111222", "city": "rosario", "family": "GARCIA", "age": 41, "id": "x7"}
    row = stored(
        json.dumps({"customFields": own, "tags": ["vip"], "contact": {"metadata": own}}),
        **{"to": PHONE},
        template=json.dumps(template),
    )
    kept = json.loads(row["template"])
    assert (kept["name"], kept["language"]) == ("promo", {"code": "es"})
    left = json.dumps(kept["components"]) + row["payload"]
    for word in ("ANA", "maria", "30111222", "rosario", "GARCIA", "41", "x7", "vip"):
        assert word not in left


def test_what_is_counted_stays_below_what_was_written() -> None:
    told: dict[str, Any] = {
        "contact_id": "c1",
        "phoneNumber": PHONE,
        "content": {"type": "call_permission_reply", "originalMessageId": "m1", "text": "hola"},
        "metadata": {"agentId": "a1", "note": "hola"},
        "templateNameSnapshot": "promo",
        "call_id": "wacid.HBgN7x",
    }
    assert hook({"data": told})["data"] == {
        **told,
        "phoneNumber": "ZZ.erasedabc",
        "content": {**told["content"], "text": None},
        "metadata": {"agentId": "a1", "note": None},
    }


def test_what_cannot_be_taken_apart_is_gone_whole_when_it_names_them() -> None:
    for named in (PHONE, "+54 9 11 2345-6789", "AR.12345", "thread-1"):
        torn = f'{{"id":"{named}","text":{{"body":"mirlo \\ud83d"}}}}'
        assert erased().document(torn) == "erased"
        assert erased().document(json.dumps(torn)) == '"erased"'
        part = {"from": OTHER, "data": [{"@unreadable": torn, "reason": "not JSON"}]}
        assert hook(part) == {
            "from": OTHER,
            "data": [{"@unreadable": "erased", "reason": "not JSON"}],
        }
        rejected = Record("one", ("one", "messages", "not JSON", torn), "{}", "h", AT)
        assert erased().record(REJECTED, rejected).values[3] == "erased"
    torn = f'{{"id":"{OTHER}","text":{{"body":"mirlo \\ud83d"}}}}'
    assert erased().document(torn) == torn
    assert hook([{"@unreadable": torn}]) == [{"@unreadable": torn}]
    assert erased().document(f'{{"from":"{PHONE}","from":"{OTHER}","text":"mirlo"}}') == "erased"


def test_who_is_known_by_a_phone_is_known_by_contact_and_conversation_afterwards() -> None:
    people = erased()

    def content(table: str, **row: str) -> Any:
        made = Table(
            table, fields("id", "contact", "contactId", "conversationId", "content", "group_id")
        )
        values = tuple({**dict.fromkeys(made.columns), "id": "one", **row}.values())
        return people.record(made, Record("one", values, "{}", "h", AT)).values[4]

    def message(**row: str) -> Any:
        return content("messages", content='{"text":"hola"}', **row)

    ana, other = json.dumps({"phoneNumber": f"+{PHONE}"}), json.dumps({"phoneNumber": f"+{OTHER}"})
    gone, there = '{"text":null}', '{"text":"hola"}'
    assert message(conversationId="t-1", contactId="c-1") == there
    content("conversations", id="t-1", contact=ana, contactId="c-1")
    assert {message(conversationId="t-1"), message(contactId="c-1")} == {gone}
    assert {*people.learned.values()} == {"t-1", "c-1"}
    # By a conversation alone nobody else becomes the person, nor by a group.
    assert message(conversationId="t-1", contactId="c-2") == gone
    message(contact=ana, conversationId="t-3", group_id="g")
    assert {message(contactId="c-2"), message(conversationId="t-3")} == {there}
    content("contacts", id="c-4", contact=other)
    assert message(contactId="c-4") == there


@pytest.mark.parametrize(
    ("phones", "bsuids", "country"),
    [
        ({"541123456789"}, set(), "AR"),
        (set(), {"MX.12345"}, "MX"),
        ({"80012345678"}, set(), None),
        ({"123"}, set(), None),
    ],
)
def test_a_pseudonym_begins_with_the_country(
    phones: set[str], bsuids: set[str], country: str | None
) -> None:
    assert Person(phones, bsuids).country == country
    name = Erased(b"key", {}).pseudonym(["token"], country)
    assert BSUID.fullmatch(name)
    assert name.startswith(f"{country or 'ZZ'}.erased")
