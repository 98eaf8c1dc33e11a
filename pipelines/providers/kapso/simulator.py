"""Tells a made-up world through Kapso's API, quirks and all. The room's README has the facts.

What Kapso's public pages leave open, or have changed, is a setting of `simulate`:

    list_family          "page": the numbered pages that the platform's lists had until 2026
    last_cursor          whether a list's last page still names a next cursor
    proxy_origin         whether the per-number message list carries `kapso.origin`
    call_case            how directions and statuses of calls are written
    requests_per_minute  429 beyond it; None: no limit, and no headers about one
    closed               resources that answer `closed_status`, by the names of their tables,
                         and legacy_calls and legacy_templates; may change any time
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from starlette.applications import Starlette

from pipelines.providers.kapso import simulator_rows as rows
from pipelines.providers.kapso.simulator_broadcasts import RECIPIENTS_PER_PAGE, Mailings
from pipelines.providers.kapso.simulator_listings import Listings
from pipelines.providers.kapso.simulator_lists import Listing, by_cursor, by_page
from pipelines.providers.kapso.simulator_logs import Logs
from pipelines.providers.kapso.simulator_messages import digits
from pipelines.providers.kapso.simulator_office import Office
from pipelines.providers.kapso.simulator_sessions import Session
from pipelines.providers.kapso.simulator_story import Story
from pipelines.simulation import (
    Answer,
    Asked,
    Clock,
    Faults,
    Handler,
    Manners,
    Quota,
    Refused,
    encode,
    make_app,
)
from pipelines.world import Contact, World

PROJECT = "/platform/v1"
PLATFORM = f"{PROJECT}/whatsapp"
PROXY = "/meta/whatsapp/{version}/{number}"
LEGACY = "/api/v1"
MOST_PAGES = 50


def simulate(
    world: World,
    *,
    api_key: str,
    clock: Clock | None = None,
    faults: Faults | None = None,
    list_family: Literal["cursor", "page"] = "cursor",
    last_cursor: Literal["given", "null"] = "given",
    proxy_origin: bool = False,
    call_case: Literal["lower", "upper"] = "lower",
    requests_per_minute: int | None = None,
    closed: Collection[str] = (),
    closed_status: int = 403,
) -> Starlette:
    """Kapso's API over `world` as at `clock.now` (default: the world's end).

    The module's docstring explains the settings. `app.state.requests` is the ledger.
    """
    story, clock = Story(world), clock or Clock(world.ends_at)
    listings = Listings(story, clock, proxy_origin=proxy_origin, upper=call_case == "upper")
    api = _Api(
        listings,
        Office(story, clock),
        Mailings(story, clock),
        Logs(story, clock),
        pages=list_family == "page",
        last_cursor=last_cursor == "given",
    )
    return make_app(
        api.routes(),
        manners=_manners(api_key),
        faults=faults,
        quota=Quota(requests_per_minute),
        closed=closed,
        closed_status=closed_status,
    )


def _manners(api_key: str) -> Manners:
    return Manners(
        accepts=lambda headers: headers.get("X-API-Key") == api_key,
        error=lambda _, message: {"error": message},
        cursor_param="after",
    )


@dataclass(frozen=True)
class _Api:
    lists: Listings
    office: Office
    mailings: Mailings
    logs: Logs
    pages: bool
    last_cursor: bool

    def routes(self) -> Mapping[str, tuple[str, Handler]]:
        """Path → the resource it belongs to, and who answers."""
        return self._platform() | self._proxy() | self._legacy()

    def _platform(self) -> dict[str, tuple[str, Handler]]:
        lists, office, logs = self.lists, self.office, self.logs
        sessions, mailings = f"{PLATFORM}/conversations", f"{PLATFORM}/broadcasts"
        return {
            f"{PLATFORM}/phone_numbers": ("phone_numbers", self.phone_numbers),
            f"{PLATFORM}/messages": ("messages", self.platform(lists.messages)),
            f"{PLATFORM}/messages/{{id:path}}": ("messages", self.message),
            sessions: ("conversations", self.platform(lists.conversations)),
            f"{sessions}/{{id}}": ("conversations", self.conversation),
            f"{sessions}/{{id}}/assignments": ("assignments", self.assignments),
            f"{PLATFORM}/contacts": ("contacts", self.platform(lists.contacts)),
            f"{PLATFORM}/contacts/{{contact}}": ("contacts", self.contact),
            mailings: ("broadcasts", self.paged(self.mailings.broadcasts)),
            f"{mailings}/{{id}}": ("broadcasts", self.broadcast),
            f"{mailings}/{{id}}/recipients": ("broadcast_recipients", self.recipients),
            f"{PLATFORM}/webhooks": ("webhooks", self.paged(logs.webhooks)),
            f"{PROJECT}/webhook_deliveries": (
                "webhook_deliveries",
                self.platform(logs.deliveries),
            ),
            f"{PROJECT}/api_logs": ("api_logs", self.platform(logs.requests)),
            f"{PROJECT}/users": ("users", self.paged(office.users)),
            f"{PROJECT}/customers": ("customers", self.paged(office.customers)),
        }

    def _proxy(self) -> dict[str, tuple[str, Handler]]:
        lists = self.lists
        return {
            f"{PROXY}/messages": ("messages", self.proxy(lists.messages)),
            f"{PROXY}/conversations": ("conversations", self.proxy(lists.conversations)),
            f"{PROXY}/contacts": ("contacts", self.proxy(lists.contacts)),
            f"{PROXY}/calls": ("calls", self.proxy(lists.calls)),
            f"{PROXY}/message_templates": ("templates", self.templates),
        }

    def _legacy(self) -> dict[str, tuple[str, Handler]]:
        contact = f"{LEGACY}/whatsapp_contacts/{{contact}}"
        return {
            f"{LEGACY}/whatsapp_calls": ("legacy_calls", self.legacy_calls),
            f"{LEGACY}/whatsapp_templates": ("legacy_templates", self.legacy_templates),
            f"{contact}/notes": ("contact_notes", self.notes),
            f"{contact}/call_permissions": ("call_permissions", self.call_permissions),
        }

    def paged(self, listing: Callable[[Asked], Listing[Any]]) -> Handler:
        """A list of numbered pages."""
        return lambda asked: by_page(asked, listing(asked))

    def platform(self, listing: Callable[[Asked, str | None], Listing[Any]]) -> Handler:
        """A list over all channels, in the family of the day."""

        def answer(asked: Asked) -> Answer:
            if self.pages:
                return by_page(asked, listing(asked, None), most_pages=MOST_PAGES)
            return by_cursor(asked, listing(asked, None), last_cursor=self.last_cursor)

        return answer

    def proxy(self, listing: Callable[[Asked, str | None], Listing[Any]]) -> Handler:
        """A list of one channel."""

        def answer(asked: Asked) -> Answer:
            found = listing(asked, self._channel(asked.params["number"]))
            return by_cursor(asked, found, last_cursor=self.last_cursor)

        return answer

    def _channel(self, number: str) -> str:
        for channel_id in self.lists.story.channels:
            if rows.phone_number_id(channel_id) == number:
                return channel_id
        raise Refused(404, "Not found")

    def message(self, asked: Asked) -> Answer:
        message = self.lists.story.world.message_by_id.get(asked.params["id"])
        if message is None or message.inserted_at > self.lists.clock.now:
            raise Refused(404, "Not found")
        return Answer(encode({"data": self.lists.message_row(message, proxy=False)}))

    def conversation(self, asked: Asked) -> Answer:
        row = self.lists.session_row(self._session(asked), proxy=False)
        return Answer(encode({"data": row}))

    def assignments(self, asked: Asked) -> Answer:
        return by_page(asked, self.office.assignments(self._session(asked)), default=25)

    def _session(self, asked: Asked) -> Session:
        session = self.lists.story.session_by_id.get(asked.params["id"])
        if session is None or session.inserted[0] > self.lists.clock.now:
            raise Refused(404, "Not found")
        return session

    def contact(self, asked: Asked) -> Answer:
        return Answer(encode({"data": rows.contact_row(self._contact(asked))}))

    def notes(self, asked: Asked) -> Answer:
        return by_page(asked, self.office.notes(self._contact(asked)))

    def call_permissions(self, asked: Asked) -> Answer:
        """The one list without pages and without `meta`."""
        return Answer(encode({"data": self.office.call_permissions(self._contact(asked))}))

    def _contact(self, asked: Asked) -> Contact:
        wanted = asked.params["contact"].lstrip("+")
        shelf = self.lists.story.contacts.all
        for contact in shelf.items[: shelf.until(self.lists.clock.now)]:
            if wanted in (rows.contact_id(contact.id), digits(contact.phone), contact.bsuid):
                return contact
        raise Refused(404, "Not found")

    def broadcast(self, asked: Asked) -> Answer:
        campaign = self.mailings.find(asked.params["id"])
        return Answer(encode({"data": self.mailings.row(campaign)}))

    def recipients(self, asked: Asked) -> Answer:
        campaign = self.mailings.find(asked.params["id"])
        found = self.mailings.recipients(campaign)
        return by_page(asked, found, most_rows=RECIPIENTS_PER_PAGE)

    def phone_numbers(self, asked: Asked) -> Answer:
        return by_page(asked, self.lists.phone_numbers())

    def legacy_calls(self, asked: Asked) -> Answer:
        return by_page(asked, self.lists.legacy_calls(asked))

    def templates(self, asked: Asked) -> Answer:
        if asked.params["number"] != rows.WABA:
            raise Refused(404, "Not found")
        return by_cursor(asked, self.lists.templates())

    def legacy_templates(self, asked: Asked) -> Answer:
        return by_page(asked, self.lists.legacy_templates())
