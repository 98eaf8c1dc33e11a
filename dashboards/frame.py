"""What stands around every page: language, sign-in, banners, filters, navigation."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime
from functools import cache
from importlib import import_module
from importlib.resources import files
from typing import Any
from zoneinfo import ZoneInfo

import streamlit as st

from dashboards import filters, formats, guard, parts, state
from dashboards.filters import Filters
from dashboards.reading import QueryFailed, Reader, Version, cached, parameters, reader, text
from dashboards.sheet import LANGUAGES, Sheet, Viewer, agent_name, say
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
URLS = {"now": "now", "response": "response-time"}
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
    chosen = _filters(language, known, names, agents, as_of.astimezone(ZoneInfo(zone)).date())
    return Sheet(
        site=site,
        reader=answers,
        version=version,
        language=language,
        filters=chosen,
        viewer=viewer,
        as_of=as_of,
        zone=zone,
        channels=names,
        agents=agents,
        accounts=accounts,
    )


def _filters(
    language: str,
    known: dict[str, list[str]],
    channels: dict[str, str],
    agents: dict[str, str | None],
    last: date,
) -> Filters:
    """The view: from the URL when it says something new, else from the widgets; both agree after.

    Going to another page empties the URL: then the widgets know.
    """
    query = {key: st.query_params.get_all(key) for key in st.query_params}
    ours = {k: v for k, v in query.items() if k not in ("thread", "lang")}
    written = st.session_state.get("written")
    if written is None or (ours and ours != written):
        asked, unknown = filters.parse(ours, known, last)
        st.session_state["ignored"] = unknown
        for name, value in _widget_values(asked).items():
            st.session_state[f"f-{name}"] = value
    chosen = _widgets(language, known, channels, agents, last)
    _write_url(chosen, language, query)
    return chosen


def _widget_values(asked: Filters) -> dict[str, Any]:
    return {
        "period": asked.period,
        "span": asked.days,
        "compare": asked.compare,
        **{name: getattr(asked, name) for name in filters.CHOICES},
        **{name: list(getattr(asked, name)) for name in filters.LISTS},
    }


def _widgets(
    language: str,
    known: dict[str, list[str]],
    channels: dict[str, str],
    agents: dict[str, str | None],
    last: date,
) -> Filters:
    def t(key: str) -> str:
        return say(language, key)

    def choose(name: str, options: Any, prefix: str) -> str:
        return str(
            st.segmented_control(
                t(f"filter.{name}"),
                options,
                format_func=lambda option: t(f"{prefix}.{option}"),
                key=f"f-{name}",
                help=t(f"filter_means.{name}"),
                required=True,
                width="stretch",
            )
        )

    def several(name: str, label: Callable[[str], str]) -> tuple[str, ...]:
        if len(known[name]) < 2:
            return ()
        found = st.multiselect(
            t(f"filter.{name}"),
            known[name],
            format_func=label,
            key=f"f-{name}",
            placeholder=t("filter.all"),
            help=t(f"filter_means.{name}") if name == "agent" else None,
        )
        return tuple(found)

    with st.sidebar:
        period = st.selectbox(
            t("filter.period"),
            [*filters.PERIODS, "custom"],
            format_func=lambda option: t(f"period.{option}"),
            key="f-period",
        )
        start, end = None, None
        if period == "custom":
            span = st.date_input(t("filter.span"), key="f-span", format="DD/MM/YYYY")
            start, end = span if isinstance(span, tuple) and len(span) == 2 else (None, None)
        grain = choose("grain", filters.GRAINS, "grain")
        compare = st.toggle(t("filter.compare"), key="f-compare")
        scope = choose("scope", filters.SCOPES, "scope")
        clock = choose("clock", filters.CLOCKS, "clock")
        turns = choose("turns", filters.KINDS, "turns")
        channel = several("channel", lambda key: channels.get(key, key))
        provider = several("provider", str)
        account = several("account", lambda key: key.replace(":", " · ", 1))
        agent = several("agent", lambda key: agent_name(language, key, agents))
        _language_switch(language)
        if st.context.headers.get("Cookie") and st.user.get("is_logged_in"):
            st.button(t("sign_in.out"), on_click=st.logout, type="tertiary")
    return Filters(
        last=last,
        period=period if start or period != "custom" else "30d",
        start=start,
        end=end,
        grain=grain,
        scope=scope,
        clock=clock,
        turns=turns,
        compare=compare,
        channel=channel,
        provider=provider,
        account=account,
        agent=agent,
    )


def _language_switch(language: str) -> None:
    def switched() -> None:
        chosen = st.session_state["f-lang"]
        st.session_state["language"] = chosen
        st.query_params["lang"] = chosen
        # New words make new widgets: they take their values from the URL again.
        st.session_state["written"] = None

    names = {"es": "Español", "en": "English"}
    st.segmented_control(
        say(language, "filter.language"),
        LANGUAGES,
        default=language,
        format_func=lambda key: names[key],
        key="f-lang",
        on_change=switched,
        required=True,
        label_visibility="collapsed",
    )


def _write_url(chosen: Filters, language: str, query: dict[str, list[str]]) -> None:
    wanted: dict[str, Any] = chosen.query()
    st.session_state["written"] = {
        key: value if isinstance(value, list) else [value] for key, value in wanted.items()
    }
    full = {**wanted, "lang": language}
    if thread := query.get("thread"):
        full["thread"] = thread[-1]
    if {k: v if isinstance(v, list) else [v] for k, v in full.items()} != query:
        st.query_params.from_dict(full)


def _view_line(sheet: Sheet, page: str) -> None:
    """What the page shows, in words: the view can be read off a screenshot."""
    chosen = sheet.filters
    start, end = chosen.days
    shown = [f"{sheet.day(start)} – {sheet.day(end)}"]
    if page in ("now", "response", "team", "conversation"):
        shown += [sheet.t(f"scope.{chosen.scope}"), sheet.t(f"clock.{chosen.clock}")]
        shown += [sheet.t("turns.first")] if chosen.turns == "first" else []
        shown += [sheet.agent(key) for key in chosen.agent]
    shown += [sheet.channels.get(key, key) for key in chosen.channel]
    shown += list(chosen.provider)
    shown += [key.replace(":", " · ", 1) for key in chosen.account]
    shown.append(sheet.t("as_of", at=sheet.moment(sheet.as_of)))
    spans = "".join(f"<span>{parts.html(text_)}</span>" for text_ in shown)
    st.html(f'<div class="dc-view">{spans}</div>')
    if ignored := st.session_state.get("ignored"):
        names = ", ".join(sheet.t(f"filter.{'span' if n == 'from' else n}") for n in ignored)
        parts.note(sheet.t("banner.ignored", names=names), tone="warn")


def _banner_if_stale(sheet: Sheet) -> None:
    age = (datetime.now(UTC) - sheet.version.published_at).total_seconds()
    if age > 60 * sheet.site.dashboard.stale_after_minutes:
        parts.note(sheet.t("banner.stale", age=formats.duration(age)), tone="warn")


def _age_of_newest(site: state.Site) -> str:
    try:
        newest = site.warehouse.newest()
    except (DoblecheckError, OSError):
        newest = None
    return formats.duration((datetime.now(UTC) - newest.at).total_seconds() if newest else None)
