"""No order in which webhooks arrive, and no number of copies, changes a number."""

from __future__ import annotations

import itertools
import random
from datetime import timedelta

import pytest
from hook_bench import T0, Bench, arrival, ended, message, meta, unix

from pipelines.receiver.log import Arrival
from pipelines.world import make_world

DAYS = 3
ENDS_AT = T0 + timedelta(days=DAYS)


def made_up() -> list[Arrival]:
    """Some days of a made-up shop's webhooks, of both rooms, and what such a shop has too little
    of."""
    from pipelines.providers import find

    world = make_world(seed=3, ends_at=ENDS_AT, days=10)
    found = []
    for i, room in enumerate(find()):
        share = world.only(channels=[c.id for c in world.channels[i::2]])
        sent = room.simulated_webhooks(share, since=ENDS_AT - timedelta(days=1), until=ENDS_AT)
        found += [Arrival(room.name, "default", p.at, p.headers, p.body) for p in sent]
    return [*found, *odd()]


def odd() -> list[Arrival]:
    """Tellings that disagree, batches that fell apart, failures, closes, calls, revokes."""
    one, two = message("wamid.1", 5), message("wamid.2", 9)
    batch = {"type": "whatsapp.message.received", "batch": True, "data": [one, two]}
    statuses = ("sent", "delivered", "read", "failed", "played")
    bodies = [
        batch, one, two, message("wamid.1", 5, type="image"),
        *(message("wamid.3", 20, direction="outbound", status=status, told_at=30 + i)
          for i, status in enumerate(statuses)),
        message("wamid.3", 20, direction="outbound", status="read", told_at=28),
        message("wamid.4", 40, direction="outbound", status="delivered", told_at=44),
        ended("conversation-1", 500), ended("conversation-1", 900),
        meta("messages", messages=[{"id": "wamid.2", "type": "text", "from": "5491150000001",
             "from_user_id": "AR.1", "timestamp": unix(9), "text": {"body": "hola"}}]),
        meta("messages", messages=[{"id": "r", "type": "revoke", "from": "5491150000001",
             "timestamp": unix(11), "revoke": {"original_message_id": "wamid.2"}}]),
        *(meta("calls", calls=[{"id": "wacid.1", "event": event, "direction": "USER_INITIATED",
               "from": "5491150000001", "timestamp": unix(at), **more}])
          for event, at, more in (("connect", 50, {}), ("terminate", 80, {"status": "COMPLETED"}),
                                  ("terminate", 80, {"status": "COMPLETED", "duration": 9,
                                                     "start_time": unix(70)}))),
        {"neither": "this"}, b"nor that",
    ]  # fmt: skip
    waspy = {"id": "w-1", "waMessageId": "wamid.w", "direction": "inbound", "type": "text",
             "phoneNumberId": "channel", "contactId": "c", "status": "delivered",
             "createdAt": "2026-03-02T12:00:07.000Z"}  # fmt: skip
    nameless = {key: value for key, value in waspy.items() if key != "id"} | {"status": "read"}
    told = [{"event": "message.received", "attempt": i, "data": d}
            for i, d in enumerate((waspy, waspy, nameless))]  # fmt: skip
    return [
        *(arrival(body, seconds=i) for i, body in enumerate(bodies)),
        *(arrival(body, provider="waspy", seconds=i) for i, body in enumerate(told)),
    ]


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    b = Bench(tmp_path_factory.mktemp("order"))
    b.pulled("wamid.1", 5)
    b.load(made_up())
    b.compile()
    return b


@pytest.fixture(scope="module", autouse=True)
def live(bench):
    """The marts that dbt built of everything, in the order in which it was sent: looked at before
    any test loads something else."""
    return bench.digests()


def shuffled(arrivals, seed):
    """Another order, with up to five copies of some."""
    rng = random.Random(seed)
    many = [each for each in arrivals for _ in range(rng.choice((1, 1, 1, 2, 5)))]
    rng.shuffle(many)
    return many


def in_portions(bench, arrivals, seed):
    cuts = sorted(random.Random(seed).randrange(len(arrivals)) for _ in range(3))
    pairs = itertools.pairwise([0, *cuts, len(arrivals)])
    bench.load(*(arrivals[start:end] for start, end in pairs))


def marts_of(bench, arrivals, seed):
    bench.forget()
    in_portions(bench, arrivals, seed)
    bench.rebuild()
    return bench.digests()


def everything(bench):
    bench.forget()
    bench.load(made_up())
    bench.rebuild()


def test_the_compiled_models_build_what_dbt_built(bench, live):
    everything(bench)
    assert bench.digests() == live


def test_something_is_compared(bench, live):
    everything(bench)
    rows = bench.one("select count(*) as n from marts.fct_messages where seen_in = 'webhook'")
    assert rows["n"] > 50
    bench.forget()
    bench.rebuild()
    assert bench.digests() != live


@pytest.mark.parametrize("seed", range(3))
def test_any_order_and_any_number_of_copies_give_the_same_marts(bench, live, seed):
    assert marts_of(bench, shuffled(made_up(), seed), seed) == live


@pytest.mark.matrix
@pytest.mark.parametrize("seed", range(5))
def test_builds_of_what_is_new_end_where_one_build_of_everything_ends(bench, live, seed):
    arrivals = shuffled(made_up(), seed)
    bench.forget()
    bench.build()
    for i in range(0, len(arrivals), 1 + len(arrivals) // 3):
        bench.load(arrivals[i : i + 1 + len(arrivals) // 3])
        bench.build()
    assert bench.digests() == live


@pytest.mark.matrix
@pytest.mark.parametrize("seed", range(500))
def test_five_hundred_orders_give_the_same_marts(bench, live, seed):
    assert marts_of(bench, shuffled(made_up(), 1000 + seed), seed) == live


def test_models_read_the_same_whatever_the_order(bench):
    found = set()
    for seed in range(60):
        bench.forget()
        in_portions(bench, shuffled(odd(), seed), seed)
        found.add(str(bench.digests("staging", like="stg_webhooks__%")))
    assert len(found) == 1


def test_every_order_of_a_messages_statuses_gives_the_same_row(bench):
    """One message per order, in one log: 5! messages, and each of them the same."""
    bench.forget()
    told = (("sent", 0), ("delivered", 3), ("read", 4), ("failed", 2), ("played", 9))
    orders = [
        (f"order {number}", order) for number, order in enumerate(itertools.permutations(told))
    ]
    for place in range(5):
        for wamid, order in orders:
            status, at = order[place]
            body = message(wamid, 0, direction="outbound", status=status, told_at=at)
            bench.receive(arrival(body, seconds=place))
    assert bench.ingest().stored == 600
    bench.rebuild()
    columns = "status, occurred_at, sent_at, delivered_at, read_at, played_at, failed_at, is_reply"
    rows = bench.rows(f"select {columns}, count(*) as n from marts.fct_messages group by all")
    mine = [row for row in rows if row["n"] >= 120]
    assert [(row["n"], row["status"], row["occurred_at"]) for row in mine] == [(120, "played", T0)]
