"""Views in the URL, and values that would do harm if they were SQL."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import pytest
from dashboard_stage import draw, installation
from hypothesis import given
from hypothesis import strategies as st

from dashboards import filters, reading
from dashboards.filters import Filters, buckets, parse
from dashboards.reading import Reader, numbered, parameters, text

LAST = date(2026, 11, 20)
KNOWN = {
    "provider": ["kapso", "waspy"],
    "account": ["kapso:a", "waspy:b"],
    "channel": ["kapso:a:1", "kapso:a:ñandú & co", "waspy:b:x=y"],
    "agent": ["kapso:a:unattributed", "kapso:a:7"],
}
TEXTS = ("providers", "accounts", "channels", "agents", "thread", "thread_key", "window_state",
         "account", "message_ids")  # fmt: skip
ANSWERING_NOTHING = ("response_summary", "now_longest", "windows_summary", "team_messages",
                     "thread_texts", "thread")  # fmt: skip
"""Queries that have no row, or one of nulls and zeros, when no row fits."""
QUERIES = sorted(path.stem for path in Path(reading.__file__).parent.glob("queries/*.sql"))
HOSTILE = [
    "'; drop table marts.fct_turns; --",
    '"; drop schema marts cascade; --',
    "' or '1'='1",
    "' or 1=1 --",
    "') or ('1'='1",
    "1; select pg_sleep(10)",
    "' union select phone_e164, null from marts.dim_contacts --",
    "' union all select table_name from information_schema.tables --",
    "'||(select display_name from marts.dim_contacts limit 1)||'",
    "%",
    "_",
    "\\",
    "\\'",
    "\\x27",
    "''",
    "'",
    '"',
    "`",
    "$1",
    "$channels",
    "$$; drop table x; $$",
    ":channels",
    "?",
    "{channels}",
    "%(channels)s",
    "%s",
    "${jndi:ldap://x}",
    "/* */",
    "--",
    ";",
    "null",
    "NULL",
    "true",
    "0",
    "-1",
    "1e309",
    "{}",
    "[]",
    "{a,b}",
    "(1,2)",
    "read_csv('/etc/passwd')",
    "copy (select 1) to '/tmp/x'",
    "attach '/tmp/x.db'",
    "install httpfs",
    "set lock_configuration = false",
    "💬🔥",
    "\u202eabc",
    "ｆｕｌｌ",
    "../../etc/passwd",
    "<script>alert(1)</script>",
    "x" * 100_000,
]


def views() -> st.SearchStrategy[Filters]:
    day = st.dates(date(2020, 1, 1), date(2030, 1, 1))
    spans = st.tuples(day, st.integers(0, 800)).map(lambda s: (s[0], s[0] + timedelta(days=s[1])))
    some = {k: st.lists(st.sampled_from(v), unique=True).map(tuple) for k, v in KNOWN.items()}
    choices = {name: st.sampled_from(values) for name, values in filters.CHOICES.items()}
    rest = {**choices, **some, "compare": st.booleans(), "last": st.just(LAST)}
    preset = st.builds(Filters, period=st.sampled_from(list(filters.PERIODS)), **rest)
    custom = spans.flatmap(
        lambda s: st.builds(
            Filters, period=st.just("custom"), start=st.just(s[0]), end=st.just(s[1]), **rest
        )
    )
    return preset | custom


def as_url(view: Filters) -> dict[str, list[str]]:
    return {k: v if isinstance(v, list) else [v] for k, v in view.query().items()}


@given(views())
def test_a_view_is_what_its_url_says(view: Filters) -> None:
    assert parse(as_url(view), KNOWN, LAST) == (view, [])


@given(views())
def test_the_period_before_is_as_long_and_ends_the_day_before(view: Filters) -> None:
    (start, end), (old_start, old_end) = view.days, view.before().days
    assert old_end == start - timedelta(days=1)
    assert old_end - old_start == end - start


@given(views())
def test_buckets_cover_every_day_once(view: Filters) -> None:
    found = buckets(view)
    start, end = view.days
    assert found == sorted(set(found))
    assert found[0] <= start
    assert filters.bucket_end(found[-1], view.grain) >= end
    for first, after in pairwise(found):
        assert filters.bucket_end(first, view.grain) + timedelta(days=1) == after


NAMES = [*filters.LISTS, *filters.CHOICES, "from", "to", "period", "compare"]


@given(st.dictionaries(st.sampled_from(NAMES), st.lists(st.text(max_size=30), max_size=3)))
def test_any_url_gives_a_view(query: dict[str, list[str]]) -> None:
    view, _ = parse(query, KNOWN, LAST)
    assert buckets(view)
    assert all(set(getattr(view, name)) <= set(KNOWN[name]) for name in filters.LISTS)


FAR_OFF = [("9999-12-01", "9999-12-31"), ("0001-01-01", "0001-01-31"), ("1969-12-31", "1970-01-01")]


@pytest.mark.parametrize(("start", "end"), FAR_OFF)
def test_days_that_no_calendar_reaches_are_ignored(start: str, end: str) -> None:
    view, unknown = parse({"from": [start], "to": [end], "compare": ["1"]}, KNOWN, LAST)
    assert unknown == ["from"]
    assert view == Filters(last=LAST, compare=True)


def test_the_first_and_last_days_of_the_calendar_have_pages() -> None:
    for start, end in (("1970-01-01", "1970-01-31"), ("2100-12-01", "2100-12-31")):
        view, unknown = parse({"from": [start], "to": [end]}, KNOWN, LAST)
        assert unknown == []
        for grain in filters.GRAINS:
            assert buckets(replace(view, grain=grain))
            assert buckets(replace(view.before(), grain=grain))


def test_unknown_values_are_told(shop: Path) -> None:
    shown = draw(installation(shop), "now", lang="en", channel="'; drop table x", scope="everybody")
    assert "ignored: Who answers, Channel" in shown.text("dc-note-box")
    assert shown.query == {"lang": ["en"]}
    shown = draw(installation(shop), "now", lang="fr", compare="yes")
    assert "Idioma, Comparar" in shown.text("dc-note-box")
    assert shown.query == {"lang": ["es"]}


def values(**given: Any) -> dict[str, Any]:
    """A value for every name that a query binds."""
    return {
        **Filters(last=LAST).values(),
        **dict.fromkeys(
            ("pick_from", "pick_to", "pick_low", "pick_high", "pick_weekday", "pick_hour")
        ),
        "timezone": "UTC",
        "pepper": "p",
        "personal": False,
        "limit": 20,
        "window_state": None,
        "thread": "t",
        "thread_key": "t",
        "message_ids": ["m"],
        "provider": "kapso",
        "account": "demo",
        **given,
    }


def test_every_hostile_value_of_every_filter_is_only_a_value(shop: Path) -> None:
    """51 values in every text that a query binds: no rows come back and nothing changes."""
    assert len(HOSTILE) > 50
    reader = Reader(installation(shop))
    version = reader.version()
    before = reader.answer(version, "health_checks", values())
    bound = 0
    for name, key in product(ANSWERING_NOTHING, TEXTS):
        if key in parameters(text(name)):
            for hostile in HOSTILE:
                many = key.endswith("s")
                given = {key: [hostile] if many else hostile}
                answer = reader.answer(version, name, values(**given))
                bound += 1
                assert not answer.rows or answer.rows[0][0] in (0, None), (name, key)
    assert bound > 800
    assert reader.answer(version, "health_checks", values()) == before


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_binds_its_values_and_names_no_schema_but_marts(name: str) -> None:
    sql, names = numbered(text(name))
    assert set(names) <= values().keys()
    assert "{" not in sql
    assert "%" not in sql
    assert "raw_" not in sql
    if name != "thread_texts":
        assert "intermediate." not in sql


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_is_asked_somewhere(name: str) -> None:
    folder = Path(reading.__file__).parent
    code = "".join(p.read_text() for p in [*folder.glob("*.py"), *folder.glob("views/*.py")])
    assert f'"{name}"' in code
