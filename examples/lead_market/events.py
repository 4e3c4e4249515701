"""Events about leads. `_broadcast` is the unchanged Pusher code; `_ring` also sends the event to the inboxes."""

from typing import Any

import pusher
from starlette.concurrency import run_in_threadpool

from bellcast.client import AsyncBellcast

from .leads import STATUSES, Lead
from .people import ADMINS, CAST

LEAD_ASSIGNED, LEAD_STATUS_UPDATED = "lead.assigned", "lead.status.updated"


class Events:
    """Sends events to open pages with the stock Pusher library, and to inboxes with the Bellcast client."""

    def __init__(self, channels: pusher.Pusher, bell: AsyncBellcast) -> None:
        self._channels = channels
        self._bell = bell

    async def lead_assigned(self, lead: Lead, socket_id: str | None) -> None:
        """Send that a lead was added or assigned."""
        await self._broadcast(LEAD_ASSIGNED, lead, socket_id)
        provider = f"Assigned to {CAST[lead.provider].name}" if lead.provider else "Not assigned yet"
        await self._ring([person.key for person in ADMINS], lead, LEAD_ASSIGNED, f"Lead from {lead.customer}", provider)
        if lead.provider is not None:
            await self._ring([lead.provider], lead, LEAD_ASSIGNED, "New lead for you", f"{lead.customer}, {lead.city}")

    async def lead_status_updated(self, lead: Lead, by: str, socket_id: str | None) -> None:
        """Send that the status of a lead changed."""
        await self._broadcast(LEAD_STATUS_UPDATED, lead, socket_id)
        title = f"{lead.customer}: {STATUSES[lead.status].lower()}"
        others = [key for key in (*(person.key for person in ADMINS), lead.provider) if key and key != by]
        await self._ring(others, lead, LEAD_STATUS_UPDATED, title, f"Updated by {CAST[by].name}")

    async def _broadcast(self, name: str, lead: Lead, socket_id: str | None) -> None:
        channels = ["admin"] + ([f"private-provider.{lead.provider}"] if lead.provider else [])
        await run_in_threadpool(self._channels.trigger, channels, name, lead.shown(), socket_id)

    async def _ring(self, to: list[str], lead: Lead, type: str, title: str, body: str) -> None:
        if to:
            data: dict[str, Any] = {"lead": lead.id}
            body = f"{lead.service}. {body}"
            once = f"{type}-{lead.id}-{lead.made_at:%Y%m%d%H%M%S%f}-{lead.changes}-{to[0]}"
            await self._bell.notify(to, title=title, body=body, type=type, data=data, idempotency_key=once)
