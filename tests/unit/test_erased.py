"""What is kept of a row about somebody who was erased, and who is recognised."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

from pipelines.care.erased import Erased
from pipelines.phones import phone_key
from pipelines.provider import Table, fields
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
