"""A seeded history of a made-up shop in Argentina, for demo and tests. It knows no provider.

    world = make_world(seed=7, ends_at=datetime(2026, 11, 1, tzinfo=UTC), days=30)
    [m.id for m in world.messages if m.author == "human" and m.agent_id == "agent-1"]
    world.only(channels=["ventas"])

The same arguments always give the same world.
"""

from pipelines.world.history import make_world
from pipelines.world.office import Assignment, CallPermission, Customer, Note, Outage
from pipelines.world.paperwork import assignments_of, call_permissions_of
from pipelines.world.things import (
    WINDOW,
    WINDOW_CLOSED,
    Agent,
    Call,
    Campaign,
    Channel,
    Contact,
    Media,
    Message,
    Opening,
    StatusChange,
    Template,
    Thread,
    ThreadChange,
    World,
)

__all__ = [
    "WINDOW",
    "WINDOW_CLOSED",
    "Agent",
    "Assignment",
    "Call",
    "CallPermission",
    "Campaign",
    "Channel",
    "Contact",
    "Customer",
    "Media",
    "Message",
    "Note",
    "Opening",
    "Outage",
    "StatusChange",
    "Template",
    "Thread",
    "ThreadChange",
    "World",
    "assignments_of",
    "call_permissions_of",
    "make_world",
]
