"""What stands around every page: language, sign-in, banners, filters, navigation."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache, partial
from importlib import import_module
from importlib.resources import files
from typing import Any
from zoneinfo import ZoneInfo

import streamlit as st

from dashboards import formats, guard, parts, state
from dashboards.reading import QueryFailed, Reader, Row, Version, cached, parameters, reader, text
from dashboards.sheet import LANGUAGES, Sheet, Viewer, say
from dashboards.sidebar import Sidebar
from pipelines.errors import DoblecheckError, NotPublished

PAGES = {
    "now": ":material/notifications_active:",
    "response": ":material/timer:",
    "windows": ":material/hourglass_bottom:",
    "team": ":material/groups:",
    "delivery": ":material/done_all:",
    "calls": ":material/call:",
    "contacts": ":material/person_add:",
    "conversation": ":material/forum:",
    "health": ":material/health_metrics:",
}
URLS = {"response": "response-time"}
OF_TRENDS = ("grain", "compare")
WITHOUT_TREND = ("now", "team", "conversation", "health")
OF_TURNS = ("scope", "clock", "turns", "agent")
NOT_COUNTED: dict[str, tuple[str, ...]] = {
    "now": ("days", "clock", "turns", "agent"),
    "response": (),
    "team": (),
    "conversation": ("clock",),
    "thread": ("days", "clock", "turns", "agent", "channel", "provider", "account"),
}
"""Page → filters that it does not follow; those of Now only its median does. Pages that are not
here show no turns."""
OF_HEALTH = ("days", "channel", "provider", "account")
"""Filters that on Health only the ways follow in which messages came."""
VARIABLES = {
    "card": ("#ffffff", "#18201d"),
    "line": ("#dde3e0", "#2c3733"),
    "muted": ("#5a6762", "#9aa7a2"),
    "accent": ("#0b6e5f", "#4cc6ae"),
    "tip": ("#16211e", "#e6ecea"),
    "tip-text": ("#ffffff", "#101614"),
    "in": ("#eceff0", "#222c29"),
    "out": ("#d8f1e6", "#134238"),
}


WIDGETS = {"days": ("period", "span")}
"""Filter → its widgets, where they are called otherwise."""
WORDS = {"from": "span", "lang": "language"}
"""Name in the URL → what people call it, where that is another."""


def main(only: str | None = None) -> None:
    """Draw the page that the URL names, or `only` that one, for a test without a browser."""
    site = state.site()
    language = _language(site)
    st.set_page_config(page_title="doblecheck", page_icon="✔️", layout="wide")
    _style()
    viewer = _viewer(site, language)
    if viewer is None:
        return
    answers = reader(site, f"{site.data_path}:{id(site)}")
    try:
        version = answers.version()
        sheet = _sheet(site, answers, version, language, viewer)
    except NotPublished:
        parts.note(say(language, "banner.nothing"), tone="bad")
        return
    except (DoblecheckError, QueryFailed, OSError):
        # What is there can't be read: say so, and how old it is. Never a zero.
        parts.note(say(language, "banner.unreadable", age=_age_of_newest(site)), tone="bad")
        return
    _banner_if_stale(sheet)
    if only is not None:
        _drawn(only, sheet)()
        return
    page = st.navigation(
        [
            st.Page(
                _drawn(name, sheet),
                title=sheet.t(f"page.{name}"),
                icon=icon,
                url_path=URLS.get(name, name),
                default=name == "now",
            )
            for name, icon in PAGES.items()
        ],
        position="top",
    )
    page.run()


def _drawn(name: str, sheet: Sheet) -> Callable[[], None]:
    def drawn() -> None:
        _close(_idle(name))
        _view_line(sheet, name)
        view = import_module(f"dashboards.views.{name}")
        extra = [str(st.query_params.get("thread", ""))] if name == "conversation" else []
        try:
            view.show(sheet, *extra)
        except QueryFailed as error:
            parts.failed(sheet, error)

    return drawn


def _language(site: state.Site) -> str:
    """The URL's, else what was chosen before, else the installation's, else the browser's."""
    asked = st.query_params.get("lang")
    if asked in LANGUAGES:
        st.session_state["language"] = asked
    elif "language" not in st.session_state:
        browser = (st.context.locale or "es")[:2].lower()
        found = site.dashboard.language if site.dashboard.language != "auto" else browser
        st.session_state["language"] = found if found in LANGUAGES else "en"
    return str(st.session_state["language"])


def _style() -> None:
    is_dark = st.context.theme.type == "dark"
    palette = parts.palette()
    colours = {name: pair[is_dark] for name, pair in VARIABLES.items()}
    colours |= {name: palette[name] for name in ("red", "green", "blue", "orange")}
    variables = "".join(f"--dc-{name}:{value};" for name, value in colours.items())
    st.html(f"<style>:root{{{variables}}}{_css()}</style>")


@cache
def _css() -> str:
    return (files("dashboards") / "style.css").read_text("utf-8")


def _viewer(site: state.Site, language: str) -> Viewer | None:
    """Who looks; None when they have to sign in first or may not come in."""
    dashboard = site.dashboard
    name = ""
    if dashboard.auth == "oidc":
        if not st.user.is_logged_in:
            parts.note(say(language, "sign_in.first"))
            st.button(say(language, "sign_in.button"), on_click=st.login, type="primary")
            return None
        name = str(st.user.get("email") or "")
        if st.user.get("email_verified") is False or not guard.is_listed(name, dashboard.viewers):
            parts.note(say(language, "sign_in.refused"), tone="bad")
            st.button(say(language, "sign_in.out"), on_click=st.logout)
            return None
    elif dashboard.auth == "proxy":
        # The guard let the request in: here the name only decides what is shown.
        name = st.context.headers.get(dashboard.proxy_header, "").strip()
    sees = dashboard.show_personal_data or guard.is_listed(name, dashboard.personal_data_viewers)
    return Viewer(name, sees_people=sees, sees_texts=sees and dashboard.show_message_text)


def _sheet(
    site: state.Site, answers: Reader, version: Version, language: str, viewer: Viewer
) -> Sheet:
    def ask(name: str) -> list[dict[str, Any]]:
        assert not parameters(text(name))
        return cached(answers, version, version.name, name, ()).dicts()

    as_of = ask("as_of")[0]["as_of"] or version.published_at
    channels = ask("channels")
    accounts = ask("accounts")
    agents: dict[str, str | None] = {}
    with suppress(QueryFailed):  # a warehouse from before agents were known
        agents = {row["agent_key"]: row["name"] for row in ask("agents")}
    zones = {row["timezone"] for row in channels}
    zone = zones.pop() if len(zones) == 1 else site.timezone
    names = {row["channel_key"]: row["name"] for row in channels}
    known = {
        "provider": sorted({row["provider"] for row in accounts}),
        "account": [row["account_key"] for row in accounts],
        "channel": list(names),
        "agent": list(agents),
    }
    last = as_of.astimezone(ZoneInfo(zone)).date()
    return Sheet(
        site=site,
        reader=answers,
        version=version,
        language=language,
        filters=Sidebar(language, known, names, agents, last).chosen(),
        viewer=viewer,
        as_of=as_of,
        zone=zone,
        channels=names,
        agents=agents,
        accounts=accounts,
    )


def _place(page: str) -> str:
    """The page, or `thread` where the conversation is one that a link names."""
    return "thread" if page == "conversation" and st.query_params.get("thread") else page


def _idle(page: str) -> frozenset[str]:
    """Filters that nothing on the page follows."""
    if page == "now":
        return frozenset(OF_TRENDS)  # its median follows the others
    trends = OF_TRENDS if page in WITHOUT_TREND else ()
    return frozenset((*trends, *NOT_COUNTED.get(_place(page), OF_TURNS)))


def _close(idle: Iterable[str]) -> None:
    """Show some filters as closed. By style: when they are drawn the page is not known yet, and to
    know it sooner costs the browser's way back, which then finds a page without its filters."""
    names = [WIDGETS.get(name, (name,)) for name in idle]
    keys = sorted(f".st-key-f-{key}" for widgets in names for key in widgets)
    if keys:
        st.html(f"<style>{','.join(keys)}{{opacity:.4;pointer-events:none}}</style>")


def _chips(sheet: Sheet) -> dict[str, list[str]]:
    """The view in words, by filter."""
    chosen = sheet.filters
    start, end = chosen.days
    return {
        "days": [f"{sheet.day(start)} – {sheet.day(end)}"],
        "scope": [sheet.t(f"scope.{chosen.scope}")],
        "clock": [sheet.t(f"clock.{chosen.clock}")],
        "turns": [sheet.t("turns.first")] if chosen.turns == "first" else [],
        "agent": [sheet.agent(key) for key in chosen.agent],
        "channel": [sheet.channels.get(key, key) for key in chosen.channel],
        "provider": list(chosen.provider),
        "account": [key.replace(":", " · ", 1) for key in chosen.account],
    }


def _apart(sheet: Sheet, page: str, chips: dict[str, list[str]]) -> list[str]:
    """Which of the filters that the page shows elsewhere do not count for all of it here."""

    def told(key: str, filters: Iterable[str]) -> list[str]:
        names = [text_ for name in filters for text_ in chips[name]]
        return [sheet.t(f"view.{key}", names=", ".join(names))] if names else []

    if page == "now":
        return told("median_only", NOT_COUNTED[page])
    changed = {"days" if key in ("period", "from") else key for key in sheet.filters.query()}
    ignored = [name for name in NOT_COUNTED.get(page, OF_TURNS) if name in changed]
    return told("ways_only", OF_HEALTH if page == "health" else ()) + told("ignored", ignored)


def _view_line(sheet: Sheet, page: str) -> None:
    """What the page shows, in words: the view can be read off a screenshot."""
    chips, page = _chips(sheet), _place(page)
    left_out = NOT_COUNTED.get(page, OF_TURNS) + (OF_HEALTH if page == "health" else ())
    shown = [text_ for name in chips if name not in left_out for text_ in chips[name]]
    shown.append(sheet.t("as_of", at=sheet.moment(sheet.as_of)))
    shown += _apart(sheet, page, chips)
    spans = "".join(f"<span>{parts.html(text_)}</span>" for text_ in shown)
    st.html(f'<div class="dc-view">{spans}</div>')
    if ignored := st.session_state.get("ignored"):
        names = ", ".join(sheet.t(f"filter.{WORDS.get(name, name)}") for name in ignored)
        parts.note(sheet.t("banner.ignored", names=names), tone="warn")


def _banner_if_stale(sheet: Sheet) -> None:
    limit = 60 * sheet.site.dashboard.stale_after_minutes
    published_at = sheet.version.published_at
    age = (datetime.now(UTC) - published_at).total_seconds()
    if age > limit:
        parts.note(sheet.t("banner.stale", age=formats.duration(age)), tone="warn")
    # Builds go on where an account can't be read: its numbers end there all the same.
    for row in filter(partial(_is_in_view, sheet), sheet.accounts):
        read_at = row["messages_read_at"]
        behind = (published_at - read_at).total_seconds() if read_at else 0
        if behind > limit:
            name = f"{row['provider']} · {row['account']}"
            text_ = sheet.t("banner.unread", name=name, age=formats.duration(age + behind))
            parts.note(text_, tone="warn")


def _is_in_view(sheet: Sheet, account: Row) -> bool:
    """Whether the filters leave an account."""
    chosen = sheet.filters
    return not (
        (chosen.account and account["account_key"] not in chosen.account)
        or (chosen.provider and account["provider"] not in chosen.provider)
    )


def _age_of_newest(site: state.Site) -> str:
    try:
        newest = site.warehouse.newest()
    except (DoblecheckError, OSError):
        newest = None
    return formats.duration((datetime.now(UTC) - newest.at).total_seconds() if newest else None)
