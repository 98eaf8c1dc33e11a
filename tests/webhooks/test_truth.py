"""Against the truth: a made-up shop whose every status and call is known, told by pulls and by
webhooks of which one in ten was lost."""

from __future__ import annotations

import random
from datetime import timedelta

import orjson
import pytest
from hook_bench import T0, Bench

from pipelines.loading.sync import Order, sync_account
from pipelines.providers import find
from pipelines.receiver.log import Arrival
from pipelines.settings import Account
from pipelines.simulation import Clock, serve
from pipelines.world import make_world

ENDS_AT = T0 + timedelta(days=1)
PULLED_AT = ENDS_AT - timedelta(days=2)
KEY = "made-up-key"


@pytest.fixture(scope="module")
def kapso():
    return next(room for room in find() if room.name == "kapso")


@pytest.fixture(scope="module")
def world():
    world = make_world(seed=5, ends_at=ENDS_AT, days=12)
    return world.only(channels=[world.channels[0].id])


@pytest.fixture(scope="module")
def steps(tmp_path_factory, kapso, world):
    """The marts after the first pull and the webhooks that came since, and after the next pull."""
    b = Bench(tmp_path_factory.mktemp("truth"))
    clock = Clock(PULLED_AT)
    rng = random.Random(1)
    sent = kapso.simulated_webhooks(world, since=PULLED_AT, until=ENDS_AT)
    came = [each for each in sent if rng.random() < 0.9]
    rng.shuffle(came)
    with serve(kapso.simulate(world, api_key=KEY, clock=clock)) as url:
        account = Account.model_validate(
            {"provider": "kapso", "api_key": KEY, "base_url": url, "legacy_base_url": url,
             "requests_per_minute": 1_000_000}
        )  # fmt: skip
        wanted = frozenset({"phone_numbers", "conversations", "messages", "contacts", "calls"})

        def pull():
            report = sync_account(
                b.warehouse, kapso, account, Order(resources=wanted, now=clock.now)
            )
            assert report.is_ok

        pull()
        b.receive(*(Arrival("kapso", "default", p.at, p.headers, p.body) for p in came))
        b.ingest()
        b.build(as_of=ENDS_AT)
        before = facts(b)
        clock.now = ENDS_AT
        pull()
        b.build(as_of=ENDS_AT)
    return before, facts(b), came


COLUMNS = "occurred_at, status, sent_at, delivered_at, read_at, failed_at, seen_in, direction"


def facts(b):
    rows = b.rows(f"select message_id, {COLUMNS} from marts.fct_messages")
    return {row["message_id"]: row for row in rows}


def told(came):
    """The messages that a webhook told of itself: received, sent."""
    bodies = [orjson.loads(p.body) for p in came if p.event.endswith(("received", "sent"))]
    return {item["message"]["id"] for body in bodies for item in body.get("data", [body])}


def test_messages_of_webhooks_are_there_before_the_next_pull_with_their_own_time(steps, world):
    before, _, came = steps
    new = [m for m in world.messages if m.id in told(came) and m.inserted_at >= PULLED_AT]
    assert len(new) > 20
    for message in new:
        row = before[message.id]
        assert (row["occurred_at"], row["direction"]) == (message.occurred_at, message.direction)
        assert row["seen_in"] == "webhook"


def test_after_one_pull_the_marts_are_complete(steps, world):
    _, after, _ = steps
    assert set(after) == {message.id for message in world.messages}
    for message in world.messages:
        row = after[message.id]
        assert row["occurred_at"] == message.occurred_at
        if message.direction == "inbound" or message.is_imported:
            continue
        times = {f"{c.status}_at": c.at for c in message.statuses_at(ENDS_AT)}
        assert {name: row[name] for name in times} == times, message.id
        assert row["status"] == message.status_at(ENDS_AT)


def test_who_told_of_each_message_is_right(steps, world):
    _, after, came = steps
    both = {name for name, row in after.items() if row["seen_in"] == "both"}
    assert told(came) <= both
    assert {row["seen_in"] for row in after.values()} == {"api", "both"}
