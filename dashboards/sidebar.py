"""The sidebar: what a viewer chooses, in the widgets and in the URL."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import streamlit as st

from dashboards import filters
from dashboards.filters import Filters
from dashboards.sheet import LANGUAGES, agent_name, say


@dataclass(frozen=True)
class Sidebar:
    """What there is to choose from.

    Attributes:
        known: filter → its values; one with fewer than two is not offered.
        channels, agents: the names of those.
        last: the newest day there is.
    """

    language: str
    known: Mapping[str, Sequence[str]]
    channels: Mapping[str, str]
    agents: Mapping[str, str | None]
    last: date

    def chosen(self) -> Filters:
        """The view: from the URL when it says something new, else from the widgets; both agree
        after.

        Going to another page empties the URL: then the widgets know.
        """
        query = {key: st.query_params.get_all(key) for key in st.query_params}
        ours = {k: v for k, v in query.items() if k not in ("thread", "lang")}
        is_spoken = query.get("lang", LANGUAGES)[-1] in LANGUAGES
        written = st.session_state.get("written")
        # Said once: with the viewer's next click the URL is what the page shows.
        st.session_state["ignored"] = [] if is_spoken else ["lang"]
        # Widgets that a run did not draw have forgotten what they were.
        is_forgotten = st.session_state.get("f-scope") is None
        if written is None or is_forgotten or (ours and ours != written):
            asked, unknown = filters.parse(ours or written or {}, self.known, self.last)
            st.session_state["ignored"] += unknown
            for name, value in _widget_values(asked).items():
                st.session_state[f"f-{name}"] = value
        with st.sidebar:
            found = Filters(last=self.last, **self._days(), **self._how(), **self._whose())
            _language_switch(self.language)
            if st.context.headers.get("Cookie") and st.user.get("is_logged_in"):
                st.button(self._t("sign_in.out"), on_click=st.logout, type="tertiary")
        _write_url(found, self.language, query)
        return found

    def _days(self) -> dict[str, Any]:
        """Which days; a custom span that is not whole yet is the default one."""
        period = st.selectbox(
            self._t("filter.period"),
            [*filters.PERIODS, "custom"],
            format_func=lambda option: self._t(f"period.{option}"),
            key="f-period",
        )
        start, end = None, None
        if period == "custom":
            span = st.date_input(self._t("filter.span"), key="f-span", format="DD/MM/YYYY")
            start, end = span if isinstance(span, tuple) and len(span) == 2 else (None, None)
        period = period if start or period != "custom" else "30d"
        return {"period": period, "start": start, "end": end}

    def _how(self) -> dict[str, Any]:
        """How they are counted, in the order of the widgets."""
        return {
            "grain": self._one("grain", filters.GRAINS),
            "compare": st.toggle(self._t("filter.compare"), key="f-compare"),
            "scope": self._one("scope", filters.SCOPES),
            "clock": self._one("clock", filters.CLOCKS),
            "turns": self._one("turns", filters.KINDS),
        }

    def _whose(self) -> dict[str, Any]:
        """Whose they are, in the order of the widgets; empty: everybody's."""
        return {
            "channel": self._several("channel", lambda key: self.channels.get(key, key)),
            "provider": self._several("provider", str),
            "account": self._several("account", lambda key: key.replace(":", " · ", 1)),
            "agent": self._several(
                "agent", lambda key: agent_name(self.language, key, self.agents)
            ),
        }

    def _one(self, name: str, options: Sequence[str]) -> str:
        return str(
            st.segmented_control(
                self._t(f"filter.{name}"),
                options,
                format_func=lambda option: self._t(f"{name}.{option}"),
                key=f"f-{name}",
                help=self._t(f"filter_means.{name}"),
                required=True,
                width="stretch",
            )
        )

    def _several(self, name: str, label: Callable[[str], str]) -> tuple[str, ...]:
        if len(self.known[name]) < 2:
            return ()
        found = st.multiselect(
            self._t(f"filter.{name}"),
            self.known[name],
            format_func=label,
            key=f"f-{name}",
            placeholder=self._t("filter.all"),
            help=self._t(f"filter_means.{name}") if name == "agent" else None,
        )
        return tuple(found)

    def _t(self, key: str) -> str:
        return say(self.language, key)


def _widget_values(asked: Filters) -> dict[str, Any]:
    return {
        "period": asked.period,
        "span": asked.days,
        "compare": asked.compare,
        **{name: getattr(asked, name) for name in filters.CHOICES},
        **{name: list(getattr(asked, name)) for name in filters.LISTS},
    }


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
