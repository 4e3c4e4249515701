"""Events about leads. `broadcast` is the former Pusher code; `notify` writes inbox notifications to the outbox."""

import logging
from sqlite3 import Connection
from typing import Any

from pusher.errors import PusherError

from bellcast.client import Bellcast
from bellcast.contrib import dbapi

from .identity import ADMINS, CAST
from .leads import STATUSES, Change, Lead
from .settings import PusherSettings

log = logging.getLogger(__name__)
LEAD_ASSIGNED, LEAD_STATUS_UPDATED = "lead.assigned", "lead.status.updated"


def configure(bell: Bellcast) -> None:
    """Write the recipients, so that Bellcast knows users before their first sign-in."""
    for person in CAST.values():
        bell.recipients.put(person.key, name=person.name, email=person.email, roles=[person.role], locale="en")


def notify_new(connection: Connection, lead: Lead, by: str) -> None:
    """Notify the admins of a new lead, and its provider."""
    provider = f"Assigned to {CAST[lead.provider].name}" if lead.provider else "Not assigned yet"
    _notify(
        connection, [person.key for person in ADMINS], lead, LEAD_ASSIGNED, f"Lead from {lead.customer}", provider, by
    )
    if lead.provider is not None:
        _notify(
            connection, [lead.provider], lead, LEAD_ASSIGNED, "New lead for you", f"{lead.customer}, {lead.city}", by
        )


def notify_change(connection: Connection, change: Change, by: str) -> None:
    """Notify of a new provider, otherwise of a new status. The author of a status gets no notification."""
    lead = change.lead
    if change.is_assigned:
        notify_new(connection, lead, by)
    elif change.is_moved:
        title = f"{lead.customer}: {STATUSES[lead.status].lower()}"
        others = [key for key in (*(person.key for person in ADMINS), lead.provider) if key and key != by]
        _notify(connection, others, lead, LEAD_STATUS_UPDATED, title, f"Updated by {CAST[by].name}", by)


def broadcast(settings: PusherSettings, change: Change, *, is_new: bool, socket_id: str | None) -> None:
    """Send the live events with the stock Pusher SDK: to `admin`, to the provider, and to the previous one. A page that
    connects later loads its leads, so an event that is lost in an outage is not repeated."""
    if not settings.enabled:
        return
    lead, providers = change.lead, {change.lead.provider, change.old_provider} - {None}
    channels = ["admin", *(f"private-provider.{provider}" for provider in sorted(map(str, providers)))]
    names = [LEAD_ASSIGNED] if is_new or change.is_assigned else []
    names += [LEAD_STATUS_UPDATED] if change.is_moved and not is_new else []
    try:
        for name in names:
            settings.client().trigger(channels, name, lead.shown(), socket_id)
    except (PusherError, ValueError, OSError) as error:
        log.warning("broadcast_failed lead=%s error=%s", lead.id, error)


def _notify(connection: Connection, to: list[str], lead: Lead, type: str, title: str, body: str, by: str) -> None:
    if not to:
        return
    actor = CAST[by]
    data: dict[str, Any] = {"lead": lead.id}
    dbapi.notify(
        connection,
        to,
        title=title,
        body=f"{lead.service}. {body}",
        type=type,
        data=data,
        actor={"id": actor.key, "name": actor.name},
        action_url=f"/desk#lead-{lead.id}",
        idempotency_key=f"leadwell-{type}-{lead.id}-{lead.made_at}-{lead.changes}-{to[0]}",
    )
