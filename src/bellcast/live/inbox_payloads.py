"""Payloads of inbox changes (name and fields), shared by all dialects. Each dialect adds its own envelope."""

from typing import Any

import msgspec
from msgspec import Struct

from bellcast.inbox.types.inboxes import (
    InboxBulkChanged,
    InboxEvent,
    InboxState,
    NotificationAdded,
    NotificationDeleted,
    NotificationUpdated,
)
from bellcast.inbox.types.notifications import Notification
from bellcast.kernel import times
from bellcast.kernel.events import Event
from bellcast.live.types import PresenceChanged, Typing
from bellcast.preferences.types import PreferencesChanged


class Payload(Struct, frozen=True):
    """The name and the fields of a frame. Those of an inbox change are `notification`, `notification-update`,
    `notification-delete`, `counts` or `reset`."""

    name: str
    fields: dict[str, Any]


class NotificationEncoder:
    """Encodes a notification once for successive events that share it, such as an announcement for all its
    recipients, and for all dialects."""

    def __init__(self) -> None:
        self._encode = msgspec.json.Encoder().encode
        self._notification: Notification | None = None
        self._encoded = msgspec.Raw()

    def __call__(self, notification: Notification) -> msgspec.Raw:
        if notification is not self._notification:
            self._notification, self._encoded = notification, msgspec.Raw(self._encode(notification))
        return self._encoded


_encode_notification = NotificationEncoder()


class InboxReset(Struct, frozen=True):
    """Makes a client fetch its inbox again."""

    inbox: InboxState


def payload_of(event: InboxEvent | InboxReset, position: str) -> Payload:
    """Return the payload of an inbox change, with the client's position after it."""
    counters = {"unread": event.inbox.unread, "unseen": event.inbox.unseen, "position": position}
    match event:
        case NotificationAdded():
            return Payload("notification", {"notification": _encode_notification(event.notification), **counters})
        case NotificationUpdated():
            return Payload("notification-update", {"notification": event.notification, **counters})
        case NotificationDeleted():
            return Payload("notification-delete", {"id": event.id, **counters})
        case InboxReset():
            return Payload("reset", counters)
        case InboxBulkChanged():
            fields: dict[str, Any] = {"changed": event.changed, "at": times.to_rfc3339(event.at)}
            fields["ids"] = "all" if event.ids is None else event.ids
            kept = (("type", event.type), ("view", event.view), ("tag", event.tag))
            filter = {name: value for name, value in kept if value is not None}
            if event.ids is None and filter:
                fields["of"] = filter
            return Payload("counts", counters | fields)


def topic_payload(event: Event) -> Payload | None:
    """Return the payload of a change of presence, typing or preferences; None for other events."""
    match event:
        case PresenceChanged():
            return Payload("presence", {"topic": event.topic, "joined": event.joined, "left": event.left})
        case Typing():
            return Payload("typing", {"topic": event.topic, "recipient": event.recipient, "on": event.on})
        case PreferencesChanged():
            return Payload("preferences", {"preferences": event.preferences})
        case _:
            return None  # exchanged only between servers
