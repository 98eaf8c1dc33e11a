"""What a page shows of rows that the made-up shop does not have."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest
from dashboard_stage import SCRIPT, Shown, draw, installation
from recount import LAST, numbers
from streamlit.testing.v1 import AppTest
from test_states import copied

from dashboards import charts, frame, parts, state
from dashboards.filters import Filters
from dashboards.views.response import in_order
from pipelines.errors import NotPublished

Change = Callable[[duckdb.DuckDBPyConnection], Any]


def drawn(shop: Path, folder: Path, page: str, *changes: str, **query: Any) -> Shown:
    """A page in English of a shop with something changed."""

    def change(db: duckdb.DuckDBPyConnection) -> None:
        for sql in changes:
            db.execute(sql)

    return draw(installation(copied(shop, folder, change)), page, lang="en", **query)


def asked(shop: Path, sql: str) -> Any:
    """One value of the published marts."""
    with duckdb.connect(str((shop / "analytics.duckdb").resolve()), read_only=True) as db:
        [found] = db.execute(sql).fetchone() or (None,)
    return found


def test_a_turn_after_the_builds_clock_does_not_move_it(shop: Path, tmp_path: Path) -> None:
    later = (
        "update marts.mart_backlog set waiting_seconds = 0, "
        "started_at = started_at + interval 9 day "
        "where turn_key = (select max(turn_key) from marts.mart_backlog)"
    )
    shown = drawn(shop, tmp_path, "now", later)
    assert "as of 20 Nov 2026 18:00" in shown.text("dc-view")


MISSED = (
    "select min(thread_key) from marts.fct_calls where is_missed and thread_key in "
    "(select thread_key from marts.fct_messages)"
)


def test_a_call_before_the_first_message_stands_in_its_thread(shop: Path, tmp_path: Path) -> None:
    key = asked(shop, MISSED)
    pepper = installation(shop).pepper
    (tmp_path / "dashboard.key").write_text(pepper)
    thread = asked(shop, f"select md5('{pepper}{key}')")
    earlier = (
        "update marts.fct_calls set started_at = (select min(occurred_at) - interval 1 hour from "
        f"marts.fct_messages where thread_key = '{key}') where thread_key = '{key}'"
    )
    shown = drawn(shop, tmp_path, "conversation", earlier, thread=thread)
    first = re.search(r"dc-mark|dc-bubble", shown.html)
    assert first is not None
    assert first[0] == "dc-mark"
    assert "missed call" in shown.html


def test_a_delivery_is_timed_from_the_messages_own_time(shop: Path, tmp_path: Path) -> None:
    told = (
        "update marts.fct_messages set sent_at = null, read_at = null, "
        "delivered_at = occurred_at + interval 7 second where direction = 'outbound'"
    )
    shown = drawn(shop, tmp_path, "delivery", told)
    assert shown.tiles["to_delivery"][0] == "7\xa0s"
    assert shown.tiles["to_read"] == ["–", "n = 0"]


def test_a_delivery_before_the_message_took_no_time(shop: Path, tmp_path: Path) -> None:
    told = "update marts.fct_messages set delivered_at = occurred_at - interval 1 minute"
    assert drawn(shop, tmp_path, "delivery", told).tiles["to_delivery"][0] == "0\xa0s"


def test_what_can_not_be_delivered_is_nowhere_on_the_page(shop: Path, tmp_path: Path) -> None:
    plain = draw(installation(shop), "delivery", lang="en")
    failed = "update marts.fct_messages set status = 'failed' where message_type in {}"
    for i, kind in enumerate(("('reaction')", "('edit', 'revoke', 'system')")):
        shown = drawn(shop, tmp_path / str(i), "delivery", failed.format(kind))
        assert (shown.tiles, shown.tables) == (plain.tiles, plain.tables)
    assert asked(shop, "select count(*) from marts.fct_messages where message_type = 'revoke' "
                       "and direction = 'outbound'") > 0  # fmt: skip


def test_a_failure_without_a_code_is_said_in_the_readers_words(shop: Path, tmp_path: Path) -> None:
    no_code = "update marts.fct_messages set error_code = null"
    folder = copied(shop, tmp_path, lambda db: db.execute(no_code))
    for language, word in (("es", "desconocido"), ("en", "unknown")):
        [row] = draw(installation(folder), "delivery", lang=language).tables[0][1:]
        assert row[:2] == [word, "–"]


def test_windows_that_expired_last_come_first(shop: Path, tmp_path: Path) -> None:
    expired = "window_seconds_left = 0 and scope = 'any'"
    first = "update marts.mart_backlog set window_closes_at = window_closes_at + interval 90 day"
    oldest = f"(select max(waiting_seconds) from marts.mart_backlog where {expired})"
    shown = drawn(
        shop, tmp_path, "now", f"delete from marts.mart_backlog where not ({expired})",
        f"{first} where waiting_seconds = {oldest}",
    )  # fmt: skip
    assert shown.tables[0][1][3] in shown.tiles["waiting_expired"][1]


def test_the_longest_expired_wait_is_of_those_that_expired(shop: Path, tmp_path: Path) -> None:
    long = (
        "update marts.mart_backlog set waiting_seconds = 9999999, "
        "started_at = started_at - interval 9 day where window_seconds_left > 0"
    )
    plain = draw(installation(shop), "now", lang="en").tiles["waiting_expired"]
    shown = drawn(shop, tmp_path, "now", long)
    assert numbers(shown.tiles["waiting_expired"][1]) == numbers(plain[1])
    assert "115\xa0d" in shown.tiles["waiting_open"][1]


def test_a_click_of_another_grain_or_period_counts_no_more() -> None:
    def days(clicked: str, **view: Any) -> dict[str, Any] | None:
        sheet: Any = SimpleNamespace(filters=Filters(last=LAST, **view))
        return parts.picked_days(sheet, {"bucket": clicked})

    wednesday, monday = date(2026, 11, 18), date(2026, 11, 16)
    assert days("2026-11-18") == {"pick_from": wednesday, "pick_to": wednesday}
    assert days("2026-11-16", grain="week") == {"pick_from": monday, "pick_to": date(2026, 11, 22)}
    assert days("2026-11-18", grain="week") is None
    assert days("2026-11-18", grain="month") is None
    assert days("2026-10-30", period="7d") is None


def test_the_chart_that_was_clicked_last_names_the_turns() -> None:
    friday, fast, slow = {"name": "Friday"}, {"name": "< 1 min"}, {"name": "≥ 24 h"}
    standing: dict[str, dict[str, Any]] = {}
    for trend, bars, last in (
        (None, None, None),
        (friday, None, friday),
        (friday, fast, fast),
        (friday, slow, slow),
        (None, slow, slow),
        (friday, slow, friday),
        (friday, None, friday),
        (None, None, None),
    ):
        standing = in_order(standing, {"trend": trend, "distribution": bars, "hours": None})
        assert next(reversed(standing.values()), None) == last


def test_the_list_of_windows_says_what_it_is_of(shop: Path) -> None:
    shown = draw(installation(shop), "windows", lang="es")
    assert re.match(r"Las últimas de la vista; .* · 15 de \d+$", shown.text("dc-legend"))


def test_what_a_link_asked_for_in_vain_is_said_until_the_next_click(shop: Path) -> None:
    state.use(installation(shop))
    app = AppTest.from_string(SCRIPT.format(page="calls"), default_timeout=60)
    app.query_params["lang"] = "en"
    app.query_params["scope"] = "everybody"
    app.run()
    assert "ignored: Who answers" in "".join(e.proto.body for e in app.get("html"))
    app.toggle[0].set_value(True).run()
    assert app.query_params["compare"] == "1"
    assert "ignored" not in "".join(e.proto.body for e in app.get("html"))


def test_a_view_outlives_a_moment_in_which_nothing_could_be_read(
    shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state.use(installation(shop))
    app = AppTest.from_string(SCRIPT.format(page="response"), default_timeout=60)
    app.query_params["lang"] = "en"
    app.query_params["scope"] = "human"
    app.run()
    before = "".join(e.proto.body for e in app.get("html"))
    with monkeypatch.context() as broken:
        broken.setattr(frame, "_sheet", not_published)
        app.run()
    assert "Nothing is published" in "".join(e.proto.body for e in app.get("html"))
    app.run()
    assert not app.exception
    assert app.query_params["scope"] in ("human", ["human"])
    assert "".join(e.proto.body for e in app.get("html")) == before


def not_published(*_: Any) -> None:
    raise NotPublished("nothing")


def test_a_median_of_nothing_has_its_line() -> None:
    bucket = {"at": "2026-11-20", "mid": "2026-11-20", "until": "2026-11-21"}
    values = [{**bucket, "p50": 0.0, "p90": None, "is_provisional": False}]
    names = {"p50": "Median", "p90": "90th percentile"}
    spec = charts.percentiles(charts.PALETTES["light"], "en", values, names)
    [point] = spec["layer"][1]["data"]["values"]
    assert (point["line"], point["seconds"]) == ("Median", 1)
