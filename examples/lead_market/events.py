"""Events about leads. `broadcast` is the former Pusher code; `notify` writes inbox notifications to the outbox."""

import logging
from collections.abc import Sequence
from sqlite3 import Connection
from typing import Any

from pusher.errors import PusherError

from bellcast.client import Bellcast
from bellcast.contrib import dbapi

from .identity import ADMINS, CAST, SYSTEMS
from .leads import STATUSES, Change, Lead
from .settings import PusherSettings

log = logging.getLogger(__name__)
LEAD_ASSIGNED, LEAD_WITHDRAWN, LEAD_STATUS_UPDATED = "lead.assigned", "lead.withdrawn", "lead.status.updated"


def configure(bell: Bellcast) -> None:
    """Write the recipients, so that Bellcast knows users before their first sign-in."""
    for person in CAST.values():
        bell.recipients.put(person.key, name=person.name, email=person.email, roles=[person.role], locale="en")


def notify_new(connection: Connection, lead: Lead, by: str) -> None:
    """Notify the admins of a new lead, and its provider. `by` is a person, or how the lead came in."""
    provider = f"Assigned to {CAST[lead.provider].name}" if lead.provider else "Not assigned yet"
    _notify(connection, _admins(), lead, LEAD_ASSIGNED, f"Lead from {lead.customer}", provider, by)
    _notify_provider(connection, lead, by)


def notify_change(connection: Connection, change: Change, by: str) -> None:
    """Notify of a new provider, also the previous one; otherwise of a new status. The author of a status gets no
    notification."""
    lead = change.lead
    if change.is_assigned:
        type, outcome = (
            (LEAD_ASSIGNED, f"assigned to {CAST[lead.provider].name}")
            if lead.provider
            else (LEAD_WITHDRAWN, "unassigned")
        )
        _notify(connection, _admins(), lead, type, f"{lead.customer}: {outcome}", lead.city, by)
        if change.old_provider is not None:
            title = f"Lead withdrawn: {lead.customer}"
            _notify(
                connection,
                [change.old_provider],
                lead,
                LEAD_WITHDRAWN,
                title,
                "It is no longer yours",
                by,
                path="/desk",
            )
        _notify_provider(connection, lead, by)
    elif change.is_moved:
        title = f"{lead.customer}: {STATUSES[lead.status].lower()}"
        others = [key for key in (*_admins(), lead.provider) if key and key != by]
        _notify(connection, others, lead, LEAD_STATUS_UPDATED, title, f"Updated by {CAST[by].name}", by)


def broadcast(settings: PusherSettings, change: Change, *, is_new: bool, socket_id: str | None) -> None:
    """Send the live events with the stock Pusher SDK: to the admins' channel and to the provider; to the previous one only the id of
    its lost lead. A page that connects later loads its leads, so an event that is lost in an outage is not repeated."""
    if not settings.enabled:
        return
    lead = change.lead
    channels = [settings.admin_channel, *([_channel(lead.provider)] if lead.provider else [])]
    names = [LEAD_ASSIGNED] if is_new or change.is_assigned else []
    names += [LEAD_STATUS_UPDATED] if change.is_moved and not is_new else []
    try:
        for name in names:
            settings.client().trigger(channels, name, lead.published(), socket_id)
        if change.is_assigned and change.old_provider:
            settings.client().trigger(_channel(change.old_provider), LEAD_WITHDRAWN, {"id": lead.id}, socket_id)
    except (PusherError, ValueError, OSError) as error:
        log.warning("broadcast_failed lead=%s error=%s", lead.id, error)


def _channel(provider: str) -> str:
    return f"private-provider.{provider}"


def _admins() -> list[str]:
    return [person.key for person in ADMINS]


def _notify_provider(connection: Connection, lead: Lead, by: str) -> None:
    if lead.provider is not None:
        text = f"{lead.customer}, {lead.city}"
        _notify(connection, [lead.provider], lead, LEAD_ASSIGNED, "New lead for you", text, by, ["inbox", "email"])


def _notify(
    connection: Connection, to: list[str], lead: Lead, type: str, title: str, body: str, by: str,
    channels: Sequence[str] = ("inbox",), path: str | None = None,
) -> None:  # fmt: skip
    if not to:
        return
    data: dict[str, Any] = {"lead": lead.id}
    dbapi.notify(
        connection,
        to,
        title=title,
        body=f"{lead.service}. {body}",
        type=type,
        data=data,
        actor={"id": by, "name": CAST[by].name if by in CAST else SYSTEMS[by]},
        action_url=path or f"/desk#lead-{lead.id}",
        channels=channels,
        idempotency_key=f"leadwell-{type}-{lead.id}-{lead.made_at}-{lead.changes}-{to[0]}",
    )
