"""Both providers' lists over a shop of any size, for benchmarks.

The rooms' simulators hold a story in memory and write every row anew: a shop of two million
messages would take more time to tell than to read. Here the rows are made by arithmetic. A few
hundred of them are taken from the room's own simulator, so they have its true shape and size; of
each copy the ids, the times and what refers to them are filled in by the row's number.

    conversation i of n, its messages i, i + n, i + 2n, …    the newest has the highest number

After `Served.happen()` every hundredth conversation has one more message, and stands at the head.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing import get_context
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from pipelines.provider import Provider
from pipelines.providers import find
from pipelines.world import make_world

KEY = "made-up-key"
PAGE = 100
EVERY = 100
"""One conversation in so many changes."""

BEGAN = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
MARKS = {"\x01i": "%(i)s", "\x01c": "%(c)s", "\x01t": "%(t)s", "\x01u": "%(u)s", "\x01b": "%(b)s"}
"""In a row's copy: its id, its conversation, its time as ISO text and in seconds, its contact."""


@dataclass(frozen=True)
class Shop:
    """How much there is.

    Attributes:
        conversations: how many, each with a contact of its own.
        each: messages in each of them.
        changed: how many have one message more.
    """

    conversations: int
    each: int
    changed: int = 0

    @property
    def messages(self) -> int:
        return self.conversations * self.each + self.changed

    def messages_of(self, conversation: int) -> list[int]:
        """The numbers of a conversation's messages, oldest first."""
        n = self.conversations
        numbers = [conversation + n * j for j in range(self.each)]
        if self.changed and conversation % EVERY == 0:
            numbers.append(n * self.each + conversation // EVERY)
        return numbers

    def conversation_of(self, message: int) -> int:
        rest = message - self.conversations * self.each
        return message % self.conversations if rest < 0 else rest * EVERY

    def newest(self, below: int | None, count: int) -> list[int]:
        """Places in the list of conversations, newest first; what changed stands above all."""
        n, found = self.conversations, []
        place = n + self.changed if below is None else below
        while place > 0 and len(found) < count:
            place -= 1
            if not (self.changed and place < n and place % EVERY == 0):
                found.append(place)
        return found

    def conversation_at(self, place: int) -> int:
        rest = place - self.conversations
        return place if rest < 0 else rest * EVERY


class Mould:
    """Makes rows of one list: copies of real ones, with their own ids and times."""

    def __init__(self, rows: Sequence[dict[str, Any]], marks: Mapping[str, str]) -> None:
        self._shapes = [_shape(row, marks) for row in rows]

    def row(self, number: int, **values: Any) -> str:
        return self._shapes[number % len(self._shapes)] % values


def _shape(row: dict[str, Any], marks: Mapping[str, str]) -> str:
    copy = json.loads(json.dumps(row))
    for path, mark in marks.items():
        *parents, key = path.split(".")
        holder: Any = copy
        for parent in parents:
            holder = holder.get(parent) if isinstance(holder, dict) else None
        if isinstance(holder, dict) and holder.get(key) is not None:
            holder[key] = mark
    text = json.dumps(copy, ensure_ascii=False, separators=(",", ":")).replace("%", "%%")
    for mark, place in MARKS.items():
        text = text.replace(json.dumps(mark)[1:-1], place)
    return text


def _iso(second: float) -> str:
    return datetime.fromtimestamp(BEGAN + second, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _uuid(kind: int, number: int) -> str:
    # Spread as random ones are: databases like ids that come in order.
    spread = (number * 0x9E3779B97F4A7C15 + kind) & 0xFFFFFFFFFFFFFFFF
    head = f"{spread >> 32:08x}-{spread >> 16 & 0xFFFF:04x}-4{spread & 0xFFF:03x}"
    return f"{head}-8{kind:03x}-{number:012x}"


Query = Mapping[str, str]
Handler = Callable[[Shop, Query, str], str]


class KapsoLists:
    """Kapso's lists, newest first, with cursors."""

    marks: Mapping[str, Mapping[str, str]] = {
        "conversations": {
            "id": "\x01c",
            "last_active_at": "\x01t",
            "updated_at": "\x01t",
            "kapso.last_message_id": "\x01i",
            "kapso.last_message_timestamp": "\x01t",
        },
        "messages": {
            "id": "\x01i",
            "timestamp": "\x01u",
            "kapso.whatsapp_conversation_id": "\x01c",
        },
        "contacts": {"id": "\x01b", "wa_id": "\x01u", "created_at": "\x01t"},
    }
    path = "/platform/v1/whatsapp/"

    def __init__(self, moulds: Mapping[str, Mould]) -> None:
        self._moulds = moulds

    def answer(self, shop: Shop, path: str, query: Query) -> str:
        name = path.rpartition("/")[2]
        if name not in self.marks:
            return '{"data":[],"meta":{"page":1,"per_page":100,"total_pages":1,"total_count":0}}'
        after = query.get("after")
        below = int(after) if after else None
        limit = int(query.get("limit", PAGE))
        numbers = getattr(self, f"_{name}")(shop, below, limit)
        rows = ",".join(getattr(self, f"_{name}_row")(shop, number) for number in numbers)
        cursor = f'"{numbers[-1]}"' if len(numbers) == limit else "null"
        return (
            f'{{"data":[{rows}],"paging":{{"cursors":{{"before":null,"after":{cursor}}},'
            f'"next":{cursor}}}}}'
        )

    def _conversations(self, shop: Shop, below: int | None, limit: int) -> list[int]:
        return shop.newest(below, limit)

    def _conversations_row(self, shop: Shop, place: int) -> str:
        number = shop.conversation_at(place)
        last = shop.messages_of(number)[-1]
        mould = self._moulds["conversations"]
        return mould.row(number, c=_uuid(1, number), t=_iso(place), i=_wamid(last))

    def _messages(self, shop: Shop, below: int | None, limit: int) -> list[int]:
        first = (shop.messages if below is None else below) - 1
        return list(range(first, max(-1, first - limit), -1))

    def _messages_row(self, shop: Shop, number: int) -> str:
        conversation = _uuid(1, shop.conversation_of(number))
        mould = self._moulds["messages"]
        return mould.row(number, i=_wamid(number), u=int(BEGAN) + number, c=conversation)

    def _contacts(self, shop: Shop, below: int | None, limit: int) -> list[int]:
        first = (shop.conversations if below is None else below) - 1
        return list(range(first, max(-1, first - limit), -1))

    def _contacts_row(self, _: Shop, number: int) -> str:
        mould = self._moulds["contacts"]
        return mould.row(number, b=_uuid(2, number), u=5490000000000 + number, t=_iso(number))


def _wamid(number: int) -> str:
    return f"wamid.HBgNNTQ5{number * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF:016X}{number:010X}A"


class WaspyLists:
    """Waspy's lists: conversations newest first, the messages of each oldest first, contacts by
    number."""

    marks: Mapping[str, Mapping[str, str]] = {
        "conversations": {
            "id": "\x01c",
            "contactId": "\x01b",
            "contact.id": "\x01b",
            "lastMessageAt": "\x01t",
        },
        "messages": {
            "id": "\x01i",
            "conversationId": "\x01c",
            "contactId": "\x01b",
            "waMessageId": "\x01u",
            "createdAt": "\x01t",
        },
        "contacts": {"id": "\x01b", "phoneNumber": "\x01u", "createdAt": "\x01t"},
    }
    path = "/api/v2/"

    def __init__(self, moulds: Mapping[str, Mould]) -> None:
        self._moulds = moulds

    def answer(self, shop: Shop, path: str, query: Query) -> str:
        parts = path.removeprefix(self.path).split("/")
        if parts == ["conversations"] and "status" not in query:
            return self._conversations(shop, query)
        if parts[-1] == "messages":
            return self._messages(shop, int(parts[1].rpartition("-")[2], 16), query)
        if parts == ["contacts"]:
            return self._contacts(shop, query)
        return '{"data":[],"meta":{"requestId":"-","cursor":null,"hasMore":false}}'

    def _conversations(self, shop: Shop, query: Query) -> str:
        limit = int(query["limit"])
        below = int(query["cursor"]) if "cursor" in query else None
        places = shop.newest(below, limit)
        rows = []
        for place in places:
            number = shop.conversation_at(place)
            last = shop.messages_of(number)[-1]
            values = {"c": _uuid(1, number), "b": _uuid(2, number), "t": _iso(last)}
            rows.append(self._moulds["conversations"].row(number, **values))
        return _listed(rows, str(places[-1]) if places else "", is_more=len(places) == limit)

    def _messages(self, shop: Shop, conversation: int, query: Query) -> str:
        after = int(query.get("cursor", 0))
        numbers = shop.messages_of(conversation)[after : after + PAGE]
        shared = {"c": _uuid(1, conversation), "b": _uuid(2, conversation)}
        rows = [
            self._moulds["messages"].row(n, i=_uuid(3, n), u=_wamid(n), t=_iso(n), **shared)
            for n in numbers
        ]
        return _listed(rows, str(after + len(numbers)), is_more=len(numbers) == PAGE)

    def _contacts(self, shop: Shop, query: Query) -> str:
        page, size = int(query["page"]), int(query["pageSize"])
        numbers = range(shop.conversations)[(page - 1) * size : page * size]
        mould = self._moulds["contacts"]
        rows = [mould.row(n, b=_uuid(2, n), u=f"+549{n:010d}", t=_iso(n)) for n in numbers]
        meta = f'"page":{page},"pageSize":{size},"total":{shop.conversations}'
        return f'{{"data":[{",".join(rows)}],"meta":{{{meta}}}}}'


def _listed(rows: Sequence[str], cursor: str, *, is_more: bool) -> str:
    more = "true" if is_more else "false"
    return (
        f'{{"data":[{",".join(rows)}],"meta":{{"requestId":"-","cursor":"{cursor}",'
        f'"hasMore":{more}}}}}'
    )


LISTS: Mapping[str, Any] = {"kapso": KapsoLists, "waspy": WaspyLists}


async def _samples(room: Provider) -> dict[str, list[dict[str, Any]]]:
    """Rows of each list as the room's simulator writes them."""
    ends_at = datetime(2026, 3, 20, 21, 0, tzinfo=UTC)
    world = make_world(seed=7, ends_at=ends_at, days=5)
    app = room.simulate(world, api_key=KEY)
    headers = {"Authorization": f"Bearer {KEY}", "X-API-Key": KEY}
    path = LISTS[room.name].path
    client = httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url=f"http://shop{path}", headers=headers
    )
    async with client:

        async def rows(name: str) -> list[dict[str, Any]]:
            size = (
                {"pageSize": PAGE}
                if (room.name, name) == ("waspy", "contacts")
                else {"limit": PAGE}
            )
            found = (await client.get(name, params=size)).json()["data"]
            return [row for row in found if row]

        samples = {name: await rows(name) for name in ("conversations", "contacts")}
        if room.name == "waspy":
            ids = [row["id"] for row in samples["conversations"][:30]]
            samples["messages"] = [
                row for i in ids for row in await rows(f"conversations/{i}/messages")
            ]
        else:
            samples["messages"] = await rows("messages")
    return samples


class _Protocol(asyncio.Protocol):
    """As little HTTP as a client needs: GET, one request after another on a connection."""

    def __init__(self, desk: _Desk) -> None:
        self._desk, self._rest = desk, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        self._rest += data
        while b"\r\n\r\n" in self._rest:
            head, _, self._rest = self._rest.partition(b"\r\n\r\n")
            target = head.split(b" ", 2)[1].decode()
            answer = self._desk.answer(target)
            asyncio.get_running_loop().call_later(self._desk.latency, self._send, answer)

    def _send(self, answer: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(answer)


class _Desk:
    def __init__(self, room: Provider, shop: Shop, latency: float, shared: _Shared) -> None:
        moulds = {
            name: Mould(rows, LISTS[room.name].marks[name])
            for name, rows in asyncio.run(_samples(room)).items()
        }
        self._lists = LISTS[room.name](moulds)
        self._shop, self.latency, self._shared = shop, latency, shared

    def answer(self, target: str) -> bytes:
        self._shared.requests.value += 1
        changed = self._shop.conversations // EVERY if self._shared.has_happened.value else 0
        shop = Shop(self._shop.conversations, self._shop.each, changed)
        parts = urlsplit(target)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        body = self._lists.answer(shop, parts.path, query).encode()
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
        return head.encode() + b"\r\n\r\n" + body


class _Shared:
    def __init__(self, context: Any) -> None:
        self.requests = context.Value("i", 0, lock=False)
        self.has_happened = context.Value("i", 0, lock=False)
        self.port = context.Value("i", 0, lock=False)


@dataclass(frozen=True)
class Served:
    """A shop on loopback."""

    room: Provider
    shop: Shop
    url: str
    _shared: Any

    @property
    def requests(self) -> int:
        """Requests answered so far."""
        return int(self._shared.requests.value)

    def happen(self) -> None:
        """Let every hundredth conversation have a new message."""
        self._shared.has_happened.value = 1


def _serve(name: str, shop: Shop, latency: float, shared: _Shared) -> None:
    room = next(room for room in find() if room.name == name)
    desk = _Desk(room, shop, latency, shared)

    async def forever() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Protocol(desk), "127.0.0.1", 0)
        shared.port.value = server.sockets[0].getsockname()[1]
        await server.serve_forever()

    asyncio.run(forever())


@contextmanager
def served(room: Provider, shop: Shop, *, latency: float = 0.02) -> Iterator[Served]:
    """A shop served by a process of its own, each answer `latency` seconds after its request."""
    context = get_context("spawn")
    shared = _Shared(context)
    process = context.Process(target=_serve, args=(room.name, shop, latency, shared), daemon=True)
    process.start()
    try:
        while not shared.port.value:
            if not process.is_alive():
                raise RuntimeError("the shop did not open")
            time.sleep(0.05)
        yield Served(room, shop, f"http://127.0.0.1:{shared.port.value}", shared)
    finally:
        process.terminate()
        process.join()
