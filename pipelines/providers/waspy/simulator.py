"""Tells a made-up world through Waspy's API, quirks and all. The room's README has the facts.

Little of that API is public; each open question is a setting of `simulate`:

    nulls                where conversations without any message stand in the newest-first list
    last_cursor          whether a last page (`hasMore` false) still names a cursor
    contacts_order       the order of the numbered contact pages
    content_key          under which key a message's text stands
    with_authors         whether message rows carry `origin`, `sentByAi` and `campaignId`
    lost_channels        a few conversations have a null `phoneNumberId`
    requests_per_minute  429 beyond it; None: no limit, and no headers about one
    closed               resources that answer `closed_status`: conversations, messages, contacts,
                         templates, channels; the collection may change any time
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any, Literal

from starlette.applications import Starlette

from pipelines.providers.waspy import simulator_rows as rows
from pipelines.providers.waspy.simulator_story import (
    BEGINNING,
    ContactsOrder,
    Key,
    Nulls,
    Story,
    Talk,
    conversation_id,
)
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
    keyset,
    make_app,
    stamp,
    uuid_for,
    whole,
)
from pipelines.world import World

BASE = "/api/v2"
NULL = "null"
ENDING = (b'"hasMore":false', b'"hasMore":true')


def simulate(
    world: World,
    *,
    api_key: str,
    clock: Clock | None = None,
    faults: Faults | None = None,
    nulls: Nulls = "last",
    last_cursor: Literal["given", "null"] = "given",
    contacts_order: ContactsOrder = "created_desc",
    content_key: Literal["text", "body"] = "text",
    with_authors: bool = True,
    lost_channels: bool = False,
    requests_per_minute: int | None = None,
    closed: Collection[str] = (),
    closed_status: int = 403,
) -> Starlette:
    """Waspy's API over `world` as at `clock.now` (default: the world's end).

    The module's docstring explains the settings. `app.state.requests` is the ledger.
    """
    api = _Api(
        story=Story(world, nulls=nulls),
        clock=clock or Clock(world.ends_at),
        last_cursor=last_cursor == "given",
        contacts_order=contacts_order,
        content_key=content_key,
        with_authors=with_authors,
        lost_channels=lost_channels,
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
        accepts=lambda headers: headers.get("Authorization") == f"Bearer {api_key}",
        error=_error,
        cursor_param="cursor",
    )


def _error(status: int, message: str) -> dict[str, Any]:
    code = "INVALID_REQUEST" if status == 400 else message.upper().replace(" ", "_")
    return {"error": {"code": code, "message": message}}


@dataclass(frozen=True)
class _Api:
    story: Story
    clock: Clock
    last_cursor: bool
    contacts_order: ContactsOrder
    content_key: str
    with_authors: bool
    lost_channels: bool
    numbers: count[int] = field(default_factory=lambda: count(1))

    def routes(self) -> Mapping[str, tuple[str, Handler]]:
        """Path → the resource it belongs to, and who answers."""
        return {
            f"{BASE}/conversations": ("conversations", self.conversations),
            f"{BASE}/conversations/{{id}}": ("conversations", self.conversation),
            f"{BASE}/conversations/{{id}}/messages": ("messages", self.messages),
            f"{BASE}/contacts": ("contacts", self.contacts),
            f"{BASE}/contacts/{{contact}}": ("contacts", self.contact),
            f"{BASE}/templates": ("templates", self.templates),
            f"{BASE}/channels": ("channels", self.channels),
        }

    def conversations(self, asked: Asked) -> Answer:
        """Newest last message first."""
        now = self.clock.now
        moment = self.story.at(now)
        found, more = keyset(
            moment.keys,
            limit=whole(asked.query, "limit", default=50, most=100),
            after=_conversation_key(asked.cursor, moment.keys),
            keep=self._conversation_filter(asked, moment.talks),
        )
        data = [self._conversation_row(moment.talks[index]) for index in found]
        last = moment.keys[found[-1]] if found else None
        cursor = f"{_at(last[1])}|{last[2]}" if last else None
        return self._page(data, cursor=cursor, more=more)

    def _conversation_filter(self, asked: Asked, talks: Any) -> Callable[[int], bool] | None:
        status, search = asked.query.get("status"), asked.query.get("search", "").lower()
        if not status and not search:
            return None
        now, contacts = self.clock.now, self.story.world.contact_by_id

        def keep(index: int) -> bool:
            thread = talks[index].thread
            change, contact = thread.change_at(now), contacts[thread.contact_id]
            text = f"{contact.name} {contact.phone}".lower()
            return search in text and status in (None, change.status if change else "open")

        return keep

    def conversation(self, asked: Asked) -> Answer:
        return self._single(self._conversation_row(self._talk(asked)))

    def _talk(self, asked: Asked) -> Talk:
        talk = self.story.talk_by_id.get(asked.params["id"])
        if talk is None or talk.thread.created_at > self.clock.now:
            raise Refused(404, "Conversation not found")
        return talk

    def _conversation_row(self, talk: Talk) -> dict[str, Any]:
        return rows.conversation_row(
            talk,
            contact=self.story.world.contact_by_id[talk.thread.contact_id],
            now=self.clock.now,
            with_channel=self._has_channel(talk),
        )

    def _has_channel(self, talk: Talk) -> bool:
        return not (self.lost_channels and uuid_for("lost", talk.thread.id).startswith("0"))

    def messages(self, asked: Asked) -> Answer:
        """Oldest first."""
        talk, now = self._talk(asked), self.clock.now
        found, more = keyset(
            talk.keys,
            limit=whole(asked.query, "limit", default=50, most=100),
            before=_message_key(asked.cursor),
            keep=lambda index: talk.messages[index].inserted_at <= now,
        )
        found.reverse()
        data = [self._message_row(talk, index) for index in found]
        last = talk.keys[found[-1]] if found else None
        return self._page(data, cursor=f"{_at(last[0])}|{last[1]}" if last else None, more=more)

    def _message_row(self, talk: Talk, index: int) -> dict[str, Any]:
        world, message = self.story.world, talk.messages[index]
        return rows.message_row(
            message,
            thread_id=conversation_id(talk.thread),
            contact=world.contact_by_id[message.contact_id],
            template=world.template_by_id.get(message.template_id or ""),
            now=self.clock.now,
            content_key=self.content_key,
            with_authors=self.with_authors,
            with_channel=self._has_channel(talk),
        )

    def contacts(self, asked: Asked) -> Answer:
        """Numbered pages, over rows that may move in between."""
        page = whole(asked.query, "page", default=1, most=None)
        size = whole(asked.query, "pageSize", default=20, most=100)
        known = self.story.contacts(self.clock.now, self.contacts_order)
        if tag := asked.query.get("tag"):
            known = [contact for contact in known if tag in contact.tags]
        if search := asked.query.get("search", "").lower():
            known = [c for c in known if search in f"{c.name} {c.phone} {c.email}".lower()]
        last = self.story.at(self.clock.now).last_of_contact
        shown = known[(page - 1) * size : page * size]
        data = [rows.contact_row(c, last_message_at=last.get(c.id)) for c in shown]
        return self._answer(data, page=page, pageSize=size, total=len(known))

    def contact(self, asked: Asked) -> Answer:
        contact = self.story.contact_by_id.get(asked.params["contact"])
        if contact is None or contact.created_at > self.clock.now:
            raise Refused(404, "Contact not found")
        last = self.story.at(self.clock.now).last_of_contact.get(contact.id)
        return self._single(rows.contact_row(contact, last_message_at=last))

    def templates(self, asked: Asked) -> Answer:
        status = asked.query.get("status")
        templates = self.story.world.templates
        return self._answer([rows.template_row(t) for t in templates if status in (None, t.status)])

    def channels(self, _: Asked) -> Answer:
        now = self.clock.now
        channels = (c for c in self.story.world.channels if c.connected_at <= now)
        return self._answer([rows.channel_row(channel) for channel in channels])

    def _page(self, data: list[dict[str, Any]], *, cursor: str | None, more: bool) -> Answer:
        named = cursor if more or self.last_cursor else None
        return self._answer(data, cursor=named, hasMore=more)

    def _single(self, data: dict[str, Any]) -> Answer:
        return self._answer(data)

    def _answer(self, data: Any, **meta: Any) -> Answer:
        meta = {"requestId": uuid_for("request", next(self.numbers)), **meta}
        body = encode({"data": data, "meta": meta})
        return Answer(body, cursor=meta.get("cursor"), ending=ENDING)


def _at(time: datetime) -> str:
    return NULL if time == BEGINNING else str(stamp(time, digits=3))


def _message_key(cursor: str | None) -> tuple[datetime, str]:
    """The key after which a page begins; the lowest of all without a cursor."""
    if not cursor:
        return BEGINNING, ""
    at, _, id_ = cursor.partition("|")
    try:
        return datetime.fromisoformat(at).astimezone(UTC), id_
    except (ValueError, OverflowError):
        raise Refused(400, "Invalid cursor") from None


def _conversation_key(cursor: str | None, keys: Any) -> Key | None:
    if not cursor:
        return None
    if cursor.startswith(f"{NULL}|"):
        rank = next((key[0] for key in keys if key[0] != 1), 0)
        return rank, BEGINNING, cursor.partition("|")[2]
    return 1, *_message_key(cursor)
