"""Tells a made-up world through Kapso's API, quirks and all. The room's README has the facts.

What Kapso's public pages leave open, or have changed, is a setting of `simulate`:

    list_family          "page": the numbered pages that the platform's lists had until 2026
    last_cursor          whether a list's last page still names a next cursor
    proxy_origin         whether the per-number message list carries `kapso.origin`
    call_case            how directions and statuses of calls are written
    requests_per_minute  429 beyond it; None: no limit, and no headers about one
    closed               resources that answer `closed_status`: phone_numbers, messages,
                         conversations, contacts, calls, templates, legacy_calls,
                         legacy_templates; the collection may change any time
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from starlette.applications import Starlette

from pipelines.providers.kapso import simulator_rows as rows
from pipelines.providers.kapso.simulator_listings import Listings
from pipelines.providers.kapso.simulator_lists import Listing, by_cursor, by_page
from pipelines.providers.kapso.simulator_messages import digits
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
from pipelines.world import World

PLATFORM = "/platform/v1/whatsapp"
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
    listings = Listings(
        story=Story(world),
        clock=clock or Clock(world.ends_at),
        proxy_origin=proxy_origin,
        upper=call_case == "upper",
    )
    api = _Api(listings, pages=list_family == "page", last_cursor=last_cursor == "given")
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
    pages: bool
    last_cursor: bool

    def routes(self) -> Mapping[str, tuple[str, Handler]]:
        """Path → the resource it belongs to, and who answers."""
        lists = self.lists
        return {
            f"{PLATFORM}/phone_numbers": ("phone_numbers", self.phone_numbers),
            f"{PLATFORM}/messages": ("messages", self.platform(lists.messages)),
            f"{PLATFORM}/messages/{{id:path}}": ("messages", self.message),
            f"{PLATFORM}/conversations": ("conversations", self.platform(lists.conversations)),
            f"{PLATFORM}/conversations/{{id}}": ("conversations", self.conversation),
            f"{PLATFORM}/contacts": ("contacts", self.platform(lists.contacts)),
            f"{PLATFORM}/contacts/{{contact}}": ("contacts", self.contact),
            f"{PROXY}/messages": ("messages", self.proxy(lists.messages)),
            f"{PROXY}/conversations": ("conversations", self.proxy(lists.conversations)),
            f"{PROXY}/contacts": ("contacts", self.proxy(lists.contacts)),
            f"{PROXY}/calls": ("calls", self.proxy(lists.calls)),
            f"{PROXY}/message_templates": ("templates", self.templates),
            f"{LEGACY}/whatsapp_calls": ("legacy_calls", self.legacy_calls),
            f"{LEGACY}/whatsapp_templates": ("legacy_templates", self.legacy_templates),
        }

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
        session = self.lists.story.session_by_id.get(asked.params["id"])
        if session is None or session.inserted[0] > self.lists.clock.now:
            raise Refused(404, "Not found")
        return Answer(encode({"data": self.lists.session_row(session, proxy=False)}))

    def contact(self, asked: Asked) -> Answer:
        wanted = asked.params["contact"].lstrip("+")
        shelf = self.lists.story.contacts.all
        for contact in shelf.items[: shelf.until(self.lists.clock.now)]:
            if wanted in (rows.contact_id(contact.id), digits(contact.phone), contact.bsuid):
                return Answer(encode({"data": rows.contact_row(contact)}))
        raise Refused(404, "Not found")

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
