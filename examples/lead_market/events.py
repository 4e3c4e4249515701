"""Events about leads. `broadcast` is the former Pusher code; `notify_new` and `notify_change` write inbox notifications to the outbox."""

import logging
from collections.abc import Iterable
from sqlite3 import Connection
from typing import Any

from pusher.errors import PusherError

from bellcast.contrib import dbapi

from .identity import ADMINS, CAST, SYSTEMS
from .leads import STATUSES, Change, Lead
from .settings import PusherSettings

log = logging.getLogger(__name__)
LEAD_ASSIGNED, LEAD_WITHDRAWN, LEAD_STATUS_UPDATED = "lead.assigned", "lead.withdrawn", "lead.status.updated"


def notify_new(connection: Connection, lead: Lead, by: str) -> None:
    """Notify the admins of a new lead, and its provider. `by` is a person, or how the lead came in."""
    provider = f"Assigned to {CAST[lead.provider].name}" if lead.provider else "Not assigned yet"
    _notify(connection, ADMINS, lead, LEAD_ASSIGNED, f"Lead from {lead.customer}", provider, by)
    _notify_provider(connection, lead, by)


def notify_change(connection: Connection, change: Change, by: str) -> None:
    """Notify of a new provider, also the previous one; otherwise of a new status. The author of a status gets no
    notification."""
    lead, customer = change.lead, change.lead.customer
    if change.is_assigned:
        type = LEAD_ASSIGNED if lead.provider else LEAD_WITHDRAWN
        outcome = f"assigned to {CAST[lead.provider].name}" if lead.provider else "unassigned"
        _notify(connection, ADMINS, lead, type, f"{customer}: {outcome}", lead.city, by)
        if change.old_provider is not None:
            title, body = f"Lead withdrawn: {customer}", "It is no longer yours"
            _notify(connection, [change.old_provider], lead, LEAD_WITHDRAWN, title, body, by, action_url="/desk")
        _notify_provider(connection, lead, by)
    elif change.is_moved:
        title, body = f"{customer}: {STATUSES[lead.status].lower()}", f"Updated by {CAST[by].name}"
        concerned = [key for key in (*ADMINS, lead.provider) if key and key != by]
        _notify(connection, concerned, lead, LEAD_STATUS_UPDATED, title, body, by)


def broadcast(settings: PusherSettings, change: Change, *, is_new: bool, socket_id: str | None) -> None:
    """Send the live events with the stock Pusher SDK: to the admins' channel and to the provider; to the previous one only the id of
    its lost lead. A page that connects later loses none: it loads its leads."""
    if not settings.enabled:
        return
    lead, names = change.lead, [LEAD_ASSIGNED] if is_new or change.is_assigned else []
    names += [LEAD_STATUS_UPDATED] if change.is_moved and not is_new else []
    channels = [settings.admin_channel, *(f"private-provider.{key}" for key in [lead.provider] if key)]
    try:
        for name in names:
            settings.client().trigger(channels, name, lead.published(), socket_id)
        if change.is_assigned and change.old_provider:
            previous = f"private-provider.{change.old_provider}"
            settings.client().trigger(previous, LEAD_WITHDRAWN, {"id": lead.id}, socket_id)
    except (PusherError, ValueError, OSError) as error:
        log.warning("broadcast_failed lead=%s error=%s", lead.id, error)


def _notify_provider(connection: Connection, lead: Lead, by: str) -> None:
    if lead.provider is not None:
        to, about, channels = [lead.provider], f"{lead.customer}, {lead.city}", ["inbox", "email"]
        _notify(connection, to, lead, LEAD_ASSIGNED, "New lead for you", about, by, channels=channels)


def _notify(
    connection: Connection, to: Iterable[str], lead: Lead, type: str, title: str, body: str, by: str, **fields: Any
) -> None:
    if keys := list(to):
        content = {
            "title": title, "body": f"{lead.service}. {body}", "type": type, "data": {"lead": lead.id},
            "actor": {"id": by, "name": CAST[by].name if by in CAST else SYSTEMS[by]},
            "action_url": f"/desk#lead-{lead.id}", **fields,
        }  # fmt: skip
        once = f"leadwell-{type}-{lead.id}-{lead.made_at}-{lead.changes}-{keys[0]}"
        dbapi.notify(connection, keys, idempotency_key=once, **content)
