"""Fills the shop's office: what follows from its chats, and what somebody made up besides.

It draws from dice of its own, so that the chats stay what they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from random import Random

from pipelines.world.office import Assignment, CallPermission, Customer, Note, Outage
from pipelines.world.things import Agent, Contact, Message, Thread, World

PERMISSION = timedelta(days=7)
"""How long WhatsApp lets a shop call after a customer said yes."""

DAYS_PER_OUTAGE = 6
NOTED = 0.15
"""How many contacts somebody wrote a note about."""

TITLES = ("Facturación", "Envío", "Preferencias", None)
NOTES = (
    "Pide factura A, el CUIT está en el chat.",
    "Prefiere que le escriban por la tarde.",
    "Retira por el local, no enviar.",
    "Reclamó dos veces por el envío: tratar con cuidado 🙏",
    "Compra por mayor todos los meses.",
)
CUSTOMERS = (
    ("Almacén Don Ramiro", "CLI-001"),
    ("Regalería La Ñata", "CLI-002"),
    ("Distribuidora Sur SRL", None),
)


def customers(*, starts_at: datetime) -> tuple[Customer, ...]:
    """The businesses that the shop works for, as old as the world."""
    return tuple(
        Customer(f"customer-{number}", name, reference, starts_at + timedelta(hours=number))
        for number, (name, reference) in enumerate(CUSTOMERS, start=1)
    )


def notes(
    seed: int, contacts: Sequence[Contact], agents: Sequence[Agent], *, ends_at: datetime
) -> tuple[Note, ...]:
    """Notes about some of the contacts, in no order of time."""
    rng = Random(f"notes of {seed}")  # noqa: S311
    found = (
        _note(rng, f"{contact.id}-note-{number}", contact, rng.choice(agents))
        for contact in contacts
        if rng.random() < NOTED
        for number in range(1, rng.choice((1, 1, 2)) + 1)
    )
    return tuple(note for note in found if note.written_at <= ends_at)


def _note(rng: Random, id_: str, contact: Contact, agent: Agent) -> Note:
    written_at = contact.created_at + timedelta(seconds=rng.randrange(10 * 86_400))
    is_edited = rng.random() < 0.3
    edited_at = written_at + timedelta(seconds=60 + rng.randrange(86_400)) if is_edited else None
    return Note(
        id=id_,
        contact_id=contact.id,
        agent_id=agent.id,
        title=rng.choice(TITLES),
        text=rng.choice(NOTES),
        written_at=written_at,
        edited_at=edited_at,
        edited_text=f"{rng.choice(NOTES)} (corregido)" if is_edited else None,
    )


def outages(
    seed: int, messages: Sequence[Message], *, starts_at: datetime, ends_at: datetime
) -> tuple[Outage, ...]:
    """Bad minutes, each with a customer who writes in its first half minute."""
    rng = Random(f"outages of {seed}")  # noqa: S311
    live = [m.inserted_at for m in messages if m.direction == "inbound" and not m.is_imported]
    count = min(len(live), (ends_at - starts_at).days // DAYS_PER_OUTAGE)
    return tuple(
        Outage(at - timedelta(seconds=20), at + timedelta(seconds=rng.randrange(15, 900)))
        for at in sorted(rng.sample(live, k=count))
    )


def assignments_of(thread: Thread) -> Iterator[Assignment]:
    """Whose hands a thread went through, in order of time."""
    agent, since = None, thread.created_at
    for change in thread.changes:
        if change.agent_id == agent:
            continue
        if agent is not None:
            yield Assignment(thread.id, agent, since, change.at)
        agent, since = change.agent_id, change.at
    if agent is not None:
        yield Assignment(thread.id, agent, since, None)


def call_permissions_of(world: World) -> Iterator[CallPermission]:
    """Every answer to a request to be called, in the order in which they became known."""
    for message in world.messages:
        if message.type == "call_permission_reply":
            yield CallPermission(
                channel_id=message.channel_id,
                contact_id=message.contact_id,
                message_id=message.id,
                is_accepted=message.text == "accept",
                answered_at=message.inserted_at,
                expires_at=message.occurred_at + PERMISSION,
            )
