"""What is wrong now, and telling it once: when it begins, and when it is over.

A condition has a key; what was wrong after the last run is kept, and only what is new or gone is
told. A message that could not be delivered is kept too, and goes out with the next one. While the
warehouse can't be read, nobody knows how fresh it is: then only that runs fail is news. A run that
was killed can't tell it, so the next one does when it begins: it may be killed too.

    <data_dir>/alerts.json      what was wrong after the last run
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pipelines.errors import ConfigError

if TYPE_CHECKING:
    from pipelines.commands.status import ResourceStatus, Status
    from pipelines.journal import Entry, Journal
    from pipelines.provider import Provider
    from pipelines.settings import Alerts, Settings
    from pipelines.warehouse import Warehouse
    from pipelines.webhooks.status import HookStatus

log = logging.getLogger(__name__)

POST_SECONDS = 5.0
UNSENT_KEPT = 20

Kind = Literal["failure", "stale", "quarantine", "silence"]


@dataclass(frozen=True)
class Condition:
    """Something that is wrong.

    Attributes:
        key: the same for the same trouble, run after run.
        account: `<provider>:<name>`; None when it is the whole installation's.
        text: for people; names no customer.
    """

    key: str
    kind: Kind
    account: str | None
    text: str


@dataclass(frozen=True)
class Changes:
    """What began and what ended since the last run."""

    began: tuple[Condition, ...] = ()
    ended: tuple[str, ...] = ()

    @property
    def lines(self) -> list[str]:
        """One line each, for a message."""
        return [f"⚠ {found.text}" for found in self.began] + [f"✓ over: {t}" for t in self.ended]


@dataclass
class State:
    """What was wrong after the last run.

    Attributes:
        known: key → text.
        rejected: rows that could not be landed so far, per resource.
        unsent: lines that no message has carried yet.
    """

    known: dict[str, str] = field(default_factory=dict)
    rejected: dict[str, int] = field(default_factory=dict)
    unsent: list[str] = field(default_factory=list)


def check(
    settings: Settings, entry: Entry, found: Status | None, state: State
) -> Iterator[Condition]:
    """Everything that is wrong now.

    Args:
        entry: the run that has just ended.
        found: how fresh everything is; None while that can't be read.
        state: of the last run.
    """
    yield from _failed(entry)
    if found is not None:
        yield from _stale(settings, found.resources)
        yield from _quarantined(found.resources, state)
        yield from _silent(settings, found.webhooks)


def _failed(entry: Entry) -> Iterator[Condition]:
    if entry.outcome == "killed":
        text = "a run was killed before its end; for want of memory?"
        yield Condition("failure:run", "failure", None, text)
    if entry.outcome == "failed" and entry.message != entry.not_whole:
        yield Condition("failure:run", "failure", None, f"a run failed: {entry.message}")
    for account, told in entry.accounts.items():
        if not told["ok"]:
            text = f"{account} was not read whole: {told['error'] or 'rows were set aside'}"
            yield Condition(f"failure:{account}", "failure", account, text)


def _stale(settings: Settings, resources: Sequence[ResourceStatus]) -> Iterator[Condition]:
    limit = settings.alerts.stale_minutes * 60
    wanted = {f"{a.provider}:{a.name}": a.resources or [] for a in settings.accounts}
    for found in resources:
        is_late = found.age_seconds is None or found.age_seconds > limit
        if limit and is_late and found.resource in wanted.get(found.account, ()):
            name = f"{found.account} {found.resource}"
            minutes = (found.age_seconds or 0) / 60
            text = (
                f"{name} was never read whole"
                if found.age_seconds is None
                else f"{name} was not read whole for {minutes:.0f} min"
            )
            yield Condition(f"stale:{name}", "stale", found.account, text)


def _quarantined(resources: Sequence[ResourceStatus], state: State) -> Iterator[Condition]:
    for found in resources:
        name = f"{found.account} {found.resource}"
        more = found.rejected - state.rejected.get(name, 0)
        if more > 0:
            text = f"{name}: {more} more rows could not be landed, {found.rejected} in total"
            yield Condition(f"quarantine:{name}", "quarantine", found.account, text)


def _silent(settings: Settings, hooks: Sequence[HookStatus]) -> Iterator[Condition]:
    limit = settings.alerts.silent_minutes * 60
    watched = {f"{a.provider}:{a.name}" for a in settings.accounts if a.webhook_secrets}
    for hook in hooks:
        if hook.account in watched and 0 < limit <= (hook.silent_seconds or 0):
            minutes = (hook.silent_seconds or 0) / 60
            text = f"{hook.account}: no webhook for {minutes:.0f} min, the API has newer messages"
            yield Condition(f"silence:{hook.account}", "silence", hook.account, text)


def _is_looked_at(key: str, settings: Settings, entry: Entry, found: Status | None) -> bool:
    """Whether it can be said that something is over: a run that did not come to an account, or
    that could not read the warehouse, says nothing of them."""
    kind, _, name = key.partition(":")
    if kind != "failure":
        return found is not None
    is_configured = any(name == f"{a.provider}:{a.name}" for a in settings.accounts)
    return name in entry.accounts or not is_configured  # an account, or the run itself


class Watch:
    """Remembers what was wrong, and tells what changed."""

    def __init__(self, data_dir: Path) -> None:
        self.path = data_dir / "alerts.json"

    def look(self, settings: Settings, entry: Entry, found: Status | None) -> Changes:
        """Compare what is wrong now with what was after the last run; tell and keep it. The
        arguments are those of `check`."""
        state = self._read()
        now = {c.key: c for c in check(settings, entry, found, state)}
        unseen = {
            key: text
            for key, text in state.known.items()
            if not _is_looked_at(key, settings, entry, found)
        }
        changes = Changes(
            began=tuple(c for key, c in now.items() if key not in state.known),
            ended=tuple(t for k, t in state.known.items() if k not in now and k not in unseen),
        )
        unsent = (state.unsent + changes.lines)[-UNSENT_KEPT:]
        if settings.alerts.url is None or (unsent and post(settings.alerts, unsent)):
            unsent = []
        resources = found.resources if found else ()
        rejected = {f"{each.account} {each.resource}": each.rejected for each in resources}
        # That more rows were set aside is no state that lasts: the next ones are told again.
        kept = {key: c.text for key, c in now.items() if c.kind != "quarantine"}
        self._write(State(unseen | kept, state.rejected | rejected, unsent))
        return changes

    def _read(self) -> State:
        try:
            return State(**json.loads(self.path.read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            return State()  # the first time, or a file that a crash tore

    def _write(self, state: State) -> None:
        part = self.path.with_name(f"{self.path.name}.part")
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(vars(state), file, ensure_ascii=False)
        part.replace(self.path)


def look_back(journal: Journal, settings: Settings) -> Changes:
    """Tell that the last run was killed, if it was. For the begin of a run."""
    # Webhooks are taken in every minute, between two runs.
    last = next((entry for entry in journal.last(100) if entry.kind != "ingest"), None)
    if last is None or last.outcome != "killed":
        return Changes()
    return Watch(settings.data_path).look(settings, last, None)


def before(journal: Journal, settings: Settings) -> None:
    """`look_back` for a run without a scheduler, when the settings name somebody to tell."""
    with _aside():
        if settings.alerts.url is not None:
            look_back(journal, settings)


def after(
    entry: Entry, warehouse: Warehouse, rooms: Sequence[Provider], settings: Settings
) -> None:
    """Tell what such a run began or ended to have wrong."""
    from pipelines.commands import status

    with _aside():
        if settings.alerts.url is not None:
            found = status.if_readable(warehouse, rooms, settings)
            Watch(settings.data_path).look(settings, entry, found)


@contextmanager
def _aside() -> Iterator[None]:
    """Never fail a run: it is what it is, whether somebody hears of it or not."""
    try:
        yield
    except Exception as error:  # noqa: BLE001
        log.warning("nobody was alerted (%s)", type(error).__name__)


def post(alerts: Alerts, lines: Sequence[str]) -> bool:
    """Send a message; return whether somebody took it. It never fails a run, and the log never
    holds the address: whoever has it can write to the channel."""
    import httpx

    try:
        target = alerts.target
        if target is None:
            return True
        text = "doblecheck\n" + "\n".join(lines)
        answer = httpx.post(
            target, json={"text": text}, timeout=POST_SECONDS, follow_redirects=False
        )
    except ConfigError as error:
        log.warning("no alert was sent: %s", error)
        return False
    except Exception as error:  # noqa: BLE001 - whatever it is, the run goes on
        log.warning("an alert could not be sent (%s)", type(error).__name__)
        return False
    if not answer.is_success:
        log.warning("an alert was refused (%d)", answer.status_code)
    return answer.is_success
