"""What a page says when the data are old, damaged, missing, hostile or not for the viewer."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from dashboard_stage import draw, installation
from test_filters import values

from dashboards import reading
from dashboards.last_build import last_build
from dashboards.reading import QueryFailed, Reader
from dashboards.serve import site
from dashboards.sheet import say
from pipelines.settings import Settings
from pipelines.settings.sections import Hours
from pipelines.warehouse import at

PAGES = ("now", "response", "windows", "team", "delivery", "calls", "contacts", "conversation",
         "health")  # fmt: skip
PAYLOADS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)>",
    '"><script>alert(1)</script>',
    "</td></table><script>alert(1)</script>",
    "<a href='javascript:alert(1)'>x</a>",
    "[x](javascript:alert(1))",
    "![x](http://evil.example/x.png)",
    "**bold** _it_ `code`",
    "# title",
    "<style>*{display:none}</style>",
    "<iframe src=//evil.example></iframe>",
    "{{7*7}} ${7*7}",
    "=cmd|' /C calc'!A0",
    "@SUM(1+1)",
    "+1+1",
    ":material/home: :red[x]",
    "$\\LaTeX$",
    "<!-- comment",
    "&lt;script&gt; \u202e\x1b[31m",
]


def _as_tables(db: duckdb.DuckDBPyConnection) -> None:
    """Marts that are views become tables, so that a test can change them."""
    views = db.execute(
        "select view_name from duckdb_views() where schema_name = 'marts' and not internal"
    ).fetchall()
    for (name,) in views:
        db.execute(f"create table marts.made_{name} as select * from marts.{name}")
    for (name,) in views:
        db.execute(f"drop view marts.{name}")
        db.execute(f"alter table marts.made_{name} rename to {name}")


def copied(shop: Path, folder: Path, change: Callable[[duckdb.DuckDBPyConnection], Any]) -> Path:
    """A published copy of the shop with something changed."""
    (folder / "published").mkdir(parents=True)
    target = folder / "published" / "analytics-20260101T000000000000.duckdb"
    shutil.copyfile((shop / "analytics.duckdb").resolve(), target)
    with duckdb.connect(str(target)) as db:
        _as_tables(db)
        change(db)
    (folder / "analytics.duckdb").symlink_to(target)
    return folder


@pytest.fixture(scope="module")
def hostile(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shop with a payload in every name, text and reason that comes from outside."""

    def poison(db: duckdb.DuckDBPyConnection) -> None:
        db.execute("create table payloads as select unnest($1) as p", [PAYLOADS])
        pick = "(select list(p) from payloads)[1 + cast(hash({}) % 20 as bigint)]"
        for table, column, key in (
            ("marts.dim_contacts", "display_name", "contact_key"),
            ("marts.dim_channels", "name", "channel_key"),
            ("marts.dim_agents", "name", "agent_key"),
            ("marts.dim_templates", "name", "template_key"),
            ("marts.fct_broadcasts", "name", "broadcast_key"),
            ("marts.fct_broadcasts", "status", "name"),
            ("marts.mart_sync_health", "last_error", "resource"),
            ("marts.fct_messages", "error_code", "message_key"),
        ):
            db.execute(f"update {table} set {column} = {pick.format(key)}")
        db.execute("update raw_kapso.messages set text = json_object('body', "
                   f"{pick.format('id')})")  # fmt: skip
        db.execute("update raw_waspy.messages set content = json_object('text', "
                   f"{pick.format('id')})")  # fmt: skip
        db.execute(
            "insert into marts.mart_quarantine select 'kapso', 'demo', 'messages', p, 1, now(), "
            "now() from payloads"
        )
        db.execute("drop table payloads")

    return copied(shop, tmp_path_factory.mktemp("hostile"), poison)


OURS = {"a", "b", "code", "div", "i", "span", "table", "tbody", "td", "th", "thead", "tr"}


@pytest.mark.parametrize("page", PAGES)
def test_hostile_text_is_text(page: str, hostile: Path) -> None:
    place = installation(hostile, show_personal_data=True, show_message_text=True)
    shown = draw(place, page, lang="es")
    assert shown.tags <= OURS
    assert "<script" not in shown.html
    assert "onerror=alert" not in shown.html.replace("&lt;img src=x onerror=alert(1)&gt;", "")


def test_the_payloads_were_shown(hostile: Path) -> None:
    place = installation(hostile, show_personal_data=True, show_message_text=True)
    cells = {
        cell
        for page in PAGES
        for table in draw(place, page).tables
        for row in table
        for cell in row
    }
    shown = [p for p in PAYLOADS if any(" ".join(p.split()) in " ".join(c.split()) for c in cells)]
    assert len(shown) == len(PAYLOADS) == 20


def thread_of(folder: Path, **settings: Any) -> str:
    shown = draw(installation(folder, **settings), "conversation")
    return shown.html.split("thread=", 1)[1].split("&amp;", 1)[0]


def test_hostile_messages_are_bubbles_of_text(hostile: Path) -> None:
    place = installation(hostile, show_personal_data=True, show_message_text=True)
    shown = draw(place, "conversation", thread=thread_of(hostile))
    assert shown.tags <= OURS
    assert shown.html.count("dc-bubble") > 0


def test_nobody_sees_names_phones_or_texts_by_default(shop: Path) -> None:
    with at(shop / "warehouse.duckdb", shop).reader() as db:
        names = db.execute("select display_name, phone_e164 from marts.dim_contacts").fetchall()
        texts = db.execute("select message_text from intermediate.int_messages__texts").fetchall()
    secrets = {text for row in names for text in row if text and len(text) > 8}
    long = {text for (text,) in texts if text and len(text) > 25}
    for page in PAGES:
        html = draw(installation(shop), page).html
        assert not [s for s in secrets if s in html]
    html = draw(installation(shop), "conversation", thread=thread_of(shop)).html
    assert "dc-bubble" in html
    assert not [s for s in (secrets | long) if s in html]


def test_whoever_may_sees_names_and_then_texts(shop: Path) -> None:
    link = thread_of(shop)
    named = draw(installation(shop, show_personal_data=True), "conversation", thread=link)
    assert "Contacto" not in named.text("dc-lead")
    assert "ocultos" in named.text("dc-note-box")
    place = installation(shop, show_personal_data=True, show_message_text=True)
    read = draw(place, "conversation", thread=link)
    assert "ocultos" not in read.text("dc-note-box")
    assert "[texto] ·" in named.html
    assert "[texto] ·" not in read.html
    alone = draw(installation(shop, show_message_text=True), "conversation", thread=link)
    assert "ocultos" in alone.text("dc-note-box")


def test_files_hold_no_phones_and_no_keys_of_threads(shop: Path) -> None:
    reader = Reader(installation(shop))
    with at(shop / "warehouse.duckdb", shop).reader() as db:
        phones = {p for (p,) in db.execute("select phone_key from marts.dim_contacts").fetchall()}
    files = [p.stem for p in Path(reading.__file__).parent.glob("queries/*_raw.sql")]
    assert len(files) == 7
    for name in files:
        answer = reader.answer(reader.version(), name, values(limit=100_000))
        assert answer.rows
        told = " ".join(str(v) for row in answer.rows for v in row if isinstance(v, str))
        assert not [p for p in phones if p and p in told]


def test_a_warehouse_without_anything_says_so(tmp_path: Path) -> None:
    shown = draw(installation(tmp_path), "now", lang="en")
    assert "Nothing is published" in shown.text("dc-note-box")
    assert not shown.tiles


def test_an_old_snapshot_has_a_banner_with_its_age(shop: Path, tmp_path: Path) -> None:
    folder = copied(shop, tmp_path, lambda db: None)
    target = (folder / "analytics.duckdb").resolve()
    old = target.stat().st_mtime - 3 * 86400
    os.utime(target, (old, old))
    shown = draw(installation(folder, stale_after_minutes=60), "now", lang="en")
    assert "3 d 00 h ago" in shown.text("dc-note-box").replace("\xa0", " ")
    assert shown.tiles["waiting_open"][0] != "0"
    assert "ago" not in draw(installation(folder), "now", lang="en").text("dc-note-box")


@pytest.mark.parametrize("page", ["now", "calls"])
def test_an_account_whose_messages_are_not_read_any_more_has_a_banner_while_builds_go_on(
    page: str, shop: Path, tmp_path: Path
) -> None:
    def break_off(db: duckdb.DuckDBPyConnection) -> None:
        db.execute(
            "update marts.mart_sync_health set last_synced_at = now() - "
            "case when provider = 'kapso' and resource = 'messages' then interval '49 hours' "
            "else interval '1 minute' end"
        )

    folder = copied(shop, tmp_path, break_off)
    note = draw(installation(folder, stale_after_minutes=60), page, lang="en").text("dc-note-box")
    assert "The messages of kapso" in note
    assert "2 d 01 h ago" in note.replace("\xa0", " ")
    assert note.count("last read") == 1
    of_another = draw(
        installation(folder, stale_after_minutes=60), page, lang="en", account="waspy:demo"
    )
    assert "last read" not in of_another.text("dc-note-box")
    assert "last read" not in draw(installation(folder), page, lang="en").text("dc-note-box")


def test_a_damaged_snapshot_shows_no_number(shop: Path, tmp_path: Path) -> None:
    folder = copied(shop, tmp_path, lambda db: None)
    (folder / "analytics.duckdb").resolve().write_bytes(b"not a database" * 1000)
    shown = draw(installation(folder), "response", lang="en")
    assert "can't be read" in shown.text("dc-note-box")
    assert not shown.tiles


@pytest.mark.parametrize("page", PAGES)
def test_a_mart_that_is_not_there_is_named_so_and_the_page_goes_on(
    page: str, shop: Path, tmp_path: Path
) -> None:
    later = ("dim_agents", "mart_daily_agents", "fct_template_sends", "fct_broadcasts",
             "fct_assignments", "mart_quarantine", "fct_service_windows")  # fmt: skip

    def drop(db: duckdb.DuckDBPyConnection) -> None:
        for name in later:
            db.execute(f"drop table marts.{name}")

    shown = draw(installation(copied(shop, tmp_path, drop)), page, lang="en")
    told = "earlier version" in shown.text("dc-note-box")
    assert told is (page in ("windows", "team", "delivery", "health"))


def test_an_empty_shop_has_pages_without_numbers(shop: Path, tmp_path: Path) -> None:
    def empty(db: duckdb.DuckDBPyConnection) -> None:
        tables = db.execute("select table_name from duckdb_tables() where schema_name = 'marts'")
        for (name,) in tables.fetchall():
            db.execute(f"delete from marts.{name}")

    folder = copied(shop, tmp_path, empty)
    for page in PAGES:
        shown = draw(installation(folder), page, lang="en")
        assert all(value in ("0", "–") or key in ("published", "as_of", "tests")
                   for key, (value, _) in shown.tiles.items()), page  # fmt: skip
        assert not shown.charts or page == "now", page


def test_a_new_snapshot_appears_without_a_restart(shop: Path, tmp_path: Path) -> None:
    folder = copied(shop, tmp_path, lambda db: None)
    place = installation(folder)
    first = draw(place, "now").tiles["waiting_expired"][0]
    target = folder / "published" / "analytics-20270101T000000000000.duckdb"
    shutil.copyfile((folder / "analytics.duckdb").resolve(), target)
    with duckdb.connect(str(target)) as db:
        db.execute("delete from marts.mart_backlog where window_seconds_left = 0")
    link = folder / "analytics.new"
    link.symlink_to(target)
    link.replace(folder / "analytics.duckdb")
    assert first != "0"
    assert draw(place, "now").tiles["waiting_expired"][0] == "0"


def test_a_query_that_takes_too_long_is_stopped(
    shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    endless = (
        "select count(*) from range(100000000) a, range(100000000) b where a.range % 7 = b.range"
    )
    monkeypatch.setattr(reading, "SECONDS", 0.2)
    monkeypatch.setattr(reading, "text", lambda name: endless)
    reader = Reader(installation(shop))
    with pytest.raises(QueryFailed) as failed:
        reader.answer(reader.version(), "anything", {})
    assert failed.value.reason == "too_slow"
    for language in ("es", "en"):
        assert "10 s" in say(language, "failed.too_slow")


def test_a_query_that_takes_too_much_memory_is_stopped(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MEMORY", "60MB")
    reader = Reader(installation(copied(shop, tmp_path, lambda db: None)))
    assert reader.answer(reader.version(), "response_summary", values()).rows
    # A list is in memory as a whole: there is no way to work on disk.
    monkeypatch.setattr(
        reading, "text", lambda name: "select len(list(range)) from range(40000000)"
    )
    with pytest.raises(QueryFailed) as failed:
        reader.answer(reader.version(), "anything", {})
    assert failed.value.reason == "too_large"


def test_an_error_shows_neither_its_text_nor_its_chain(shop: Path) -> None:
    reader = Reader(installation(shop))
    wrong = dict.fromkeys(reading.parameters(reading.text("response_summary")), "x")
    with pytest.raises(QueryFailed) as failed:
        reader.answer(reader.version(), "response_summary", wrong)
    assert failed.value.__cause__ is None
    assert failed.value.__suppress_context__


def test_the_last_build_is_told_by_its_tests(shop: Path, tmp_path: Path) -> None:
    told = last_build(shop)
    assert told is not None
    assert (told.passed, told.failures) == (told.tests, ())
    assert told.tests > 30
    assert last_build(tmp_path) is None
    (tmp_path / "dbt").mkdir()
    (tmp_path / "dbt" / "tests.json").write_text(
        '{"ended_at": "2026-11-20T21:00:00+00:00", "tests": ['
        '{"name": "a", "status": "pass", "rows": 0}, {"name": "b", "status": "fail", "rows": 3}]}'
    )
    broken = last_build(tmp_path)
    assert broken is not None
    assert [(f.name, f.status, f.rows) for f in broken.failures] == [("b", "fail", 3)]


def test_the_reader_can_do_nothing_but_read(shop: Path) -> None:
    warehouse = at(shop / "warehouse.duckdb", shop)
    with warehouse.reader() as connection:
        for sql in ("select * from read_csv('/etc/passwd')", "copy (select 1) to '/tmp/x'",
                    "set memory_limit = '1GB'", "install httpfs", "attach '/tmp/x.db'",
                    "delete from marts.fct_turns"):  # fmt: skip
            with pytest.raises(duckdb.Error):
                connection.execute(sql)


def test_a_missed_call_of_no_seconds_is_no_talk(shop: Path, tmp_path: Path) -> None:
    missed = "update marts.fct_calls set duration_seconds = 0 where is_missed"
    folder = copied(shop, tmp_path, lambda db: db.execute(missed))
    before, after = (draw(installation(place), "calls").tiles for place in (shop, folder))
    assert after["talk"] == before["talk"]


def test_an_unknown_channel_has_the_days_of_the_default_opening_hours(tmp_path: Path) -> None:
    hours = {"default": Hours(timezone="America/Lima")}
    settings = Settings.model_construct(
        data_dir=tmp_path, folder=tmp_path, timezone="UTC", business_hours=hours
    )
    place = at(tmp_path / "warehouse.duckdb", tmp_path)
    assert site(settings, place).timezone == "America/Lima"
    assert site(settings.model_copy(update={"business_hours": {}}), place).timezone == "UTC"
