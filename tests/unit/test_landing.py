"""Rows become records: nothing is lost, secrets are, and what has no id is kept aside."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.provider import Table, fields
from pipelines.reading.landing import REMOVED, Lander, arrow, land

AT = datetime(2026, 1, 1, tzinfo=UTC)
TABLE = Table(
    "things",
    fields("id", "text", kapso_status="kapso.status"),
    secrets=("kapso.media_url", "image.url"),
    quotes=("kapso.content",),
)


def landed(row: dict[str, Any]) -> tuple[dict[str, str | None], dict[str, Any]]:
    (record,), _ = land(Lander(TABLE), [row], AT)
    return dict(zip(TABLE.columns, record.values, strict=True)), json.loads(record.payload)


def test_fields_land_as_text_and_the_rest_in_payload() -> None:
    row = {"id": 7, "text": {"body": "hola"}, "kapso": {"status": "read", "new": 1}, "odd": [1]}
    values, payload = landed(row)
    assert values == {"id": "7", "text": '{"body":"hola"}', "kapso_status": "read"}
    assert payload == {"kapso": {"new": 1}, "odd": [1]}


def test_media_links_are_removed_also_where_a_text_quotes_them() -> None:
    link = "https://app.example/blobs/secret"
    row = {
        "id": "a",
        "image": {"url": link, "id": "m"},
        "kapso": {"media_url": link, "content": f"foto URL: {link}"},
    }
    _, payload = landed(row)
    assert link not in json.dumps(payload)
    assert payload["image"] == {"url": REMOVED, "id": "m"}
    assert payload["kapso"]["content"] == f"foto URL: {REMOVED}"


def test_a_link_that_changes_with_every_answer_does_not_change_the_row() -> None:
    def digest(link: str) -> str:
        row = {"id": "a", "kapso": {"media_url": link, "content": f"URL: {link}"}}
        (record,), _ = land(Lander(TABLE), [row], AT)
        return record.row_hash

    assert digest("https://x/1") == digest("https://x/2")


@pytest.mark.parametrize("row", [{}, {"id": None}, {"id": ""}, "text", None, [1]])
def test_what_has_no_id_is_kept_aside_whole(row: Any) -> None:
    records, bad = land(Lander(TABLE), [row, {"id": "good"}], AT)
    assert [record.id for record in records] == ["good"]
    assert [json.loads(rejected["@body"]) for rejected in bad] == [row]


def test_an_id_of_any_length_that_a_key_may_have_is_kept() -> None:
    records, bad = land(Lander(TABLE), [{"id": "a" * 500}, {"id": "b" * 501}], AT)
    assert [record.id for record in records] == ["a" * 500]
    assert [row["@reason"] for row in bad] == ["an id of more than 500 characters"]


def test_what_is_kept_aside_holds_no_secret_either() -> None:
    link = "https://app.example/blobs/secret"
    (bad,) = land(Lander(TABLE), [{"image": {"url": link}}], AT)[1]
    assert link not in bad["@body"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["text", "kapso", "more", "image"]), json_values))
def test_every_field_of_a_row_stands_in_a_column_or_in_payload(row: dict[str, Any]) -> None:
    values, payload = landed({"id": "x", **json.loads(json.dumps(row))})
    if isinstance(row.get("text"), str):
        assert values["text"] == row["text"]
    elif row.get("text") is not None:
        assert json.loads(values["text"] or "") == row["text"]
    assert payload.get("more") == row.get("more")


def test_arrow_tables_hold_texts_and_an_instant() -> None:
    record = Lander(TABLE).record({"id": "a"}, AT)
    table = arrow(TABLE, "shop", [record])
    assert table.column_names == ["account", *TABLE.columns, "payload", "row_hash", "fetched_at"]
    assert table.to_pylist()[0]["fetched_at"] == AT
    assert table.to_pylist()[0]["account"] == "shop"


def test_a_row_that_is_kept_aside_shows_no_secret() -> None:
    table = Table("hooks", fields("id", "url"), secrets=("secret_key",))
    row = {"url": "https://a.example", "secret_key": "CANARY-secret"}
    _, bad = land(Lander(table), [row], datetime(2026, 3, 1, tzinfo=UTC))
    assert json.loads(bad[0]["@body"]) == {"url": "https://a.example", "secret_key": "[removed]"}


def test_a_link_that_stands_only_in_the_providers_own_words_is_removed() -> None:
    table = Table("things", fields("id", text="kapso.text"), links=("kapso.text",))
    row = {"id": "a", "kapso": {"text": "Image attached (a.jpg) URL: https://cdn.example/x?sig=1"}}
    (record,), _ = land(Lander(table), [row], AT)
    assert record.values[1] == f"Image attached (a.jpg) URL: {REMOVED}"
