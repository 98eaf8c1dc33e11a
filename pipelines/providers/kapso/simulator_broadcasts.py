"""Tells a world's campaigns as Kapso's broadcasts, and their messages as recipients.

Counts are cumulative, as Kapso's are: who has read was also delivered to and sent to.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from pipelines.providers.kapso import simulator_rows as rows
from pipelines.providers.kapso.simulator_lists import Listing, created
from pipelines.providers.kapso.simulator_messages import ERRORS, digits
from pipelines.providers.kapso.simulator_story import Shelf, Story, shelved
from pipelines.simulation import Asked, Clock, Refused, stamp, uuid_for
from pipelines.world import Campaign, Contact, Message

RECIPIENTS_PER_PAGE = 50
"""Recipient pages hold no more, whatever was asked for and whatever `meta.per_page` says."""

ANSWERS_WITHIN = timedelta(days=5)
STAGES = ("sent", "delivered", "read", "responded")


@dataclass(frozen=True)
class Recipient:
    """One message of a campaign, and when its contact wrote next, None if not soon."""

    message: Message
    contact: Contact
    responded_at: datetime | None

    @property
    def id(self) -> str:
        return uuid_for("kapso", "recipient", self.message.id)

    def stages(self, now: datetime) -> Mapping[str, datetime]:
        """Stage → when it was reached, of those that were."""
        reached = {change.status: change.at for change in self.message.statuses_at(now)}
        found: dict[str, datetime] = {str(status): at for status, at in reached.items()}
        if self.responded_at and self.responded_at <= now and "failed" not in found:
            found["responded"] = self.responded_at
        return found


@dataclass(frozen=True)
class Mailings:
    """The broadcasts of one project at the clock's time."""

    story: Story
    clock: Clock

    def broadcasts(self, _: Asked) -> Listing[Campaign]:
        shelf = self._shelf
        return Listing(
            shelf=shelf,
            bounds=(0, shelf.until(self.clock.now)),
            column="",
            style="platform",
            row=self.row,
            filters={
                "phone_number_id": lambda v: lambda c: rows.phone_number_id(c.channel_id) == v,
                "status": lambda v: lambda c: self._status(c) == v,
                **created(_written_at),
            },
        )

    def find(self, id_: str) -> Campaign:
        """A broadcast that is there by now; any other is refused with 404."""
        for campaign in self._shelf.items:
            if broadcast_id(campaign) == id_ and _written_at(campaign) <= self.clock.now:
                return campaign
        raise Refused(404, "Not found")

    def recipients(self, campaign: Campaign) -> Listing[Recipient]:
        shelf = shelved(self._recipients[campaign.id], lambda r: (r.message.occurred_at, r.id))
        return Listing(
            shelf=shelf,
            bounds=(0, len(shelf.keys)),
            column="",
            style="platform",
            row=self._recipient_row,
            filters={},
        )

    @cached_property
    def _shelf(self) -> Shelf[Campaign]:
        campaigns = self.story.world.campaigns
        return shelved(campaigns, lambda c: (_written_at(c), broadcast_id(c)))

    @cached_property
    def _recipients(self) -> Mapping[str, Sequence[Recipient]]:
        spoken: dict[tuple[str, str], list[datetime]] = defaultdict(list)
        for message in self.story.world.messages:
            if message.direction == "inbound":
                spoken[message.channel_id, message.contact_id].append(message.inserted_at)
        found: dict[str, list[Recipient]] = defaultdict(list)
        for message in self.story.world.messages:
            if message.campaign_id:
                sent = message.occurred_at
                times = spoken[message.channel_id, message.contact_id]
                soon = (at for at in times if sent < at < sent + ANSWERS_WITHIN)
                recipient = Recipient(message, self.story.contact(message), min(soon, default=None))
                found[message.campaign_id].append(recipient)
        return found

    def row(self, campaign: Campaign) -> dict[str, Any]:
        """A broadcast as at the clock's time."""
        status, ended = self._status(campaign), self._ended_at(campaign)
        started = campaign.started_at if status in ("sending", "completed") else None
        counts = self._counts(campaign)
        changed = max((at for at in (started, ended) if at), default=_written_at(campaign))
        row: dict[str, Any] = {
            "id": broadcast_id(campaign),
            "name": campaign.name,
            "status": status,
            "phone_number_id": rows.phone_number_id(campaign.channel_id),
            "whatsapp_template": self._template(campaign),
            "started_at": stamp(started),
            "completed_at": stamp(ended if status == "completed" else None),
            "created_at": stamp(_written_at(campaign)),
            "updated_at": stamp(changed),
            **counts,
            "response_rate": _rate(counts["responded_count"], counts["sent_count"]),
        }
        if status == "scheduled":
            row["scheduled_at"] = stamp(campaign.started_at)
        return row

    def _template(self, campaign: Campaign) -> dict[str, Any]:
        template = self.story.world.template_by_id[campaign.template_id]
        return {
            "id": uuid_for("kapso", "template", template.id),
            "meta_template_id": template.id,
            "name": template.name,
            "language_code": template.language,
            "category": template.category,
            "status": template.status.lower(),
            "components": rows.components(template),
        }

    def _status(self, campaign: Campaign) -> str:
        now = self.clock.now
        if campaign.started_at > now:
            return "scheduled" if now >= _written_at(campaign) + timedelta(hours=1) else "draft"
        return "completed" if self._ended_at(campaign) <= now else "sending"

    def _ended_at(self, campaign: Campaign) -> datetime:
        """When the last message was on its way."""
        sent = (r.message.inserted_at for r in self._recipients[campaign.id])
        return max(sent, default=campaign.started_at) + timedelta(seconds=5)

    def _counts(self, campaign: Campaign) -> dict[str, int]:
        recipients = self._recipients[campaign.id]
        reached = [self._stage(recipient) for recipient in recipients]
        failed, pending = reached.count("failed"), reached.count("pending")
        at_least = {
            f"{stage}_count": sum(other in STAGES[place:] for other in reached)
            for place, stage in enumerate(STAGES)
        }
        total = len(recipients)
        return {"total_recipients": total, "pending_count": pending, "failed_count": failed} | (
            at_least
        )

    def _stage(self, recipient: Recipient) -> str:
        reached = recipient.stages(self.clock.now)
        if "failed" in reached:
            return "failed"
        return next((stage for stage in reversed(STAGES) if stage in reached), "pending")

    def _recipient_row(self, recipient: Recipient) -> dict[str, Any]:
        """Stages that were not reached have no key. Some rows keep `sent` for ever."""
        message, reached = recipient.message, recipient.stages(self.clock.now)
        stage = self._stage(recipient)
        lags = stage in STAGES and recipient.id[0] < "4"
        row: dict[str, Any] = {
            "id": recipient.id,
            "phone_number": digits(recipient.contact.phone),
            "status": "sent" if lags else stage,
            **{f"{name}_at": stamp(at) for name, at in reached.items()},
            "template_components": _components(recipient.contact),
            "created_at": stamp(message.occurred_at - timedelta(hours=2)),
            "updated_at": stamp(max(reached.values(), default=message.occurred_at)),
        }
        code = message.statuses[-1].error_code if stage == "failed" else None
        if code is not None:
            row["error_message"] = ERRORS.get(code, "Unknown error")
            row["error_details"] = {"error_code": str(code), "error_subcode": ""}
        return row


def broadcast_id(campaign: Campaign) -> str:
    return uuid_for("kapso", "broadcast", campaign.id)


def _written_at(campaign: Campaign) -> datetime:
    return campaign.started_at - timedelta(days=1)


def _rate(part: int, whole: int) -> float:
    """A percentage: 0 is an integer, as in Kapso's samples."""
    return round(100 * part / whole, 1) if part else 0


def _components(contact: Contact) -> list[dict[str, Any]]:
    name = (contact.name or "cliente").split()[0]
    return [{"type": "body", "parameters": [{"type": "text", "text": name}]}]
