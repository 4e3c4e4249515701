"""What every dialect tells of an inbox change: its name and its fields. How they are wrapped is the dialect's matter."""

from typing import Any

from msgspec import Struct

from bellcast.model import times
from bellcast.model.events import InboxCounted, InboxEvent, NotificationAdded, NotificationDeleted, NotificationUpdated
from bellcast.model.inboxes import InboxState


class Change(Struct, frozen=True):
    """One change in words: `notification`, `notification-update`, `notification-delete`, `counts` or `reset`."""

    name: str
    fields: dict[str, Any]


def told(event: InboxEvent, position: str) -> Change:
    """An inbox change, with the position it brings the client to."""
    counters = {"unread": event.inbox.unread, "unseen": event.inbox.unseen, "position": position}
    match event:
        case NotificationAdded():
            return Change("notification", {"notification": event.notification, **counters})
        case NotificationUpdated():
            return Change("notification-update", {"notification": event.notification, **counters})
        case NotificationDeleted():
            return Change("notification-delete", {"id": event.id, **counters})
        case InboxCounted():
            return Change("counts", counters | _counted(event))


def reset(state: InboxState) -> Change:
    """The position is too old or unknown: fetch the inbox again."""
    return Change("reset", {"unread": state.unread, "unseen": state.unseen, "position": state.position})


def _counted(event: InboxCounted) -> dict[str, Any]:
    fields: dict[str, Any] = {"changed": event.changed, "at": times.moment(event.at)}
    fields["ids"] = "all" if event.ids is None else event.ids
    narrowed = {name: value for name, value in (("type", event.type), ("view", event.view)) if value is not None}
    if event.ids is None and narrowed:
        fields["of"] = narrowed
    return fields
