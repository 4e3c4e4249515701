"""The port of the dialects: how the frames of a connection are encoded; and the payloads of inbox changes (name and fields),
which all dialects share. Each adds its own envelope."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from bellcast.inbox.types import Notification
from bellcast.inbox.types.inboxes import (
    InboxBulkChanged,
    InboxEvent,
    InboxState,
    NotificationAdded,
    NotificationDeleted,
    NotificationUpdated,
)
from bellcast.kernel import times
from bellcast.kernel.events import Event
from bellcast.live.connection.close_reasons import CloseReason
from bellcast.live.types import PresenceChanged, Typing
from bellcast.preferences.types import PreferencesChanged


class Payload(Struct, frozen=True):
    """The name and the fields of a frame. Those of an inbox change are `notification`, `notification-update`,
    `notification-delete`, `counts` or `reset`."""

    name: str
    fields: dict[str, Any]


_encode = msgspec.json.Encoder().encode


class NotificationEncoder(Struct, eq=False):
    """Encodes a notification once for successive events that share it, such as an announcement for all its
    recipients, and for all dialects."""

    _notification: Notification | None = None
    _encoded: msgspec.Raw = msgspec.Raw()

    def __call__(self, notification: Notification) -> msgspec.Raw:
        if notification is not self._notification:
            self._notification, self._encoded = notification, msgspec.Raw(_encode(notification))
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


class PositionMark(Protocol):
    """Adds resume positions `<inbox position>~<event id>` to the encoded frames of a dialect."""

    def __call__(self, data: bytes, position: str) -> bytes:
        """Return the frame with its position."""

    def head(self, position: str) -> bytes:
        """Encode an inbox position for `around`; it stays valid until the position changes."""

    def around(self, data: bytes, event_id: str) -> tuple[Mapping[int, bytes] | None, bytes]:
        """Return the parts of a live event's frame before and after a `head`: the starts by the head's length (None if
        nothing precedes the head), and the end. Joined with a head, they are the frame that `__call__` returns. They
        are computed once per event, because only the head differs between deliveries."""


class Dialect(Protocol):
    """Wire protocol of a connection. Compared by identity: an event is encoded once per dialect in use."""

    @property
    def protocol(self) -> str: ...
    @property
    def transport(self) -> str: ...
    @property
    def can_resume(self) -> bool:
        """Whether its clients detect events that they have missed, and resume after a disconnect."""

    @property
    def encode_frame(self) -> Callable[[Any], bytes]:
        """Encoder of the dialect's own frames."""

    @property
    def mark(self) -> PositionMark | None:
        """Adds a resume position to an encoded inbox change, reset or stored event, which is incomplete without it. None
        for dialects whose clients derive the position."""

    def encode(self, event: Event) -> bytes | None:
        """Encode an event; None if this dialect has no frame for it."""

    def replay(self, event: InboxEvent | InboxReset, position: str) -> bytes:
        """Encode a replayed change, or the reset of an inbox, with the client's position after it."""

    def heartbeat(self, now: int) -> bytes:
        """Encode a heartbeat; `now` is UTC milliseconds."""

    def close_event(self, end: CloseReason) -> CloseReason:
        """Translate a close reason to the dialect's codes."""

    def close(self, end: CloseReason) -> bytes:
        """Encode the last frame before the server closes, for a reason in the dialect's codes."""
