"""What the providers' simulators share: a clock, paging, planned faults, a ledger and a server.

clock = Clock(now=world.ends_at - timedelta(days=1))
app = simulate(world, api_key="k", clock=clock, faults=[Fault(too_many(), path="messages")])
with serve(app) as base_url:
    ...                       # sync
    clock.now = world.ends_at
    ...                       # sync again: a day's news
len(app.state.requests)
"""

from pipelines.simulation.asking import Answer, Asked, Change, Clock, Handler, Manners, Refused
from pipelines.simulation.desk import Quota, Seen, make_app
from pipelines.simulation.faults import (
    Fault,
    Faults,
    broken,
    cut_off,
    dripping,
    empty,
    expired_cursor,
    html,
    instead,
    repeated_cursor,
    too_many,
    truncated,
    with_rows,
)
from pipelines.simulation.paging import keyset, moment, take, whole
from pipelines.simulation.posting import Posted, post
from pipelines.simulation.serving import serve
from pipelines.simulation.writing import encode, is_uuid, stamp, uuid_for

__all__ = [
    "Answer",
    "Asked",
    "Change",
    "Clock",
    "Fault",
    "Faults",
    "Handler",
    "Manners",
    "Posted",
    "Quota",
    "Refused",
    "Seen",
    "broken",
    "cut_off",
    "dripping",
    "empty",
    "encode",
    "expired_cursor",
    "html",
    "instead",
    "is_uuid",
    "keyset",
    "make_app",
    "moment",
    "post",
    "repeated_cursor",
    "serve",
    "stamp",
    "take",
    "too_many",
    "truncated",
    "uuid_for",
    "whole",
    "with_rows",
]
