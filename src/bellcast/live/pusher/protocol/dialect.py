"""Encoding of events for Pusher clients."""

from collections.abc import Callable
from typing import Literal

from msgspec import Struct

from bellcast.inbox.types.positions import InboxState
from bellcast.kernel.events import Event, LiveEvent
from bellcast.live import inbox_payloads
from bellcast.live.connection.close_reasons import CloseReason
from bellcast.live.framing import websocket
from bellcast.live.pusher.protocol import close_codes, frames
from bellcast.live.types.events import (
    InboxBulkChanged,
    InboxEvent,
    NotificationAdded,
    NotificationDeleted,
    NotificationUpdated,
    PresenceChanged,
)
from bellcast.topics.types import PUSHER_PREFIXES, TO_RECIPIENT, is_presence

# Closes from this code on are sent without an error event, which would alarm the app about a mere restart.
QUIET_CODES = 4200


class PusherDialect(Struct, frozen=True, eq=False):
    """Frame encoding for one transport. Compared by identity: the two instances are module constants.

    The pong to a `ping_with_position` confirms delivery up to its revision."""

    encode_frame: Callable[[bytes], bytes]
    sign_of_life: bytes
    ping_with_position: Callable[[int], bytes]
    numbers_pings: bool  # a pong repeats the revision of its ping
    transport: Literal["websocket"] = "websocket"
    protocol: str = "pusher"
    can_resume: bool = False
    mark: None = None

    def encode(self, event: Event) -> bytes | None:
        match event:
            case LiveEvent() if event.name.startswith(PUSHER_PREFIXES):
                return None
            case LiveEvent():
                channel = TO_RECIPIENT + (event.recipient or "") if event.topic is None else event.topic
                data = frames.text(event.data) if event.text is None else event.text
                return self.encode_frame(frames.event(event.name, channel, data, event.member))
            case PresenceChanged() if is_presence(event.topic):
                joined = [self.encode_frame(frames.member_added(event.topic, member)) for member in event.joined]
                left = [self.encode_frame(frames.member_removed(event.topic, member)) for member in event.left]
                return b"".join(joined + left) or None
            case NotificationAdded() | NotificationUpdated() | NotificationDeleted() | InboxBulkChanged():
                return self.replay(event, event.inbox.position)
            case _:
                return None

    def replay(self, event: InboxEvent, position: str) -> bytes:
        """Encode a replayed inbox change on the recipient's own channel."""
        channel = TO_RECIPIENT + event.inbox.recipient
        return self.encode_frame(frames.inbox_change(channel, inbox_payloads.payload_of(event, position)))

    def reset(self, state: InboxState) -> bytes:
        return self.encode_frame(
            frames.inbox_change(TO_RECIPIENT + state.recipient, inbox_payloads.reset_payload(state))
        )

    def heartbeat(self, now: int) -> bytes:
        """Return a control frame if the transport has them, because not every client knows `pusher:ping`."""
        return self.sign_of_life

    def close_event(self, end: CloseReason) -> CloseReason:
        return close_codes.close_frame_of(end)

    def close(self, end: CloseReason) -> bytes:
        """Encode an error event before the close, because clients below protocol 6 do not know close codes."""
        is_quiet = not 4000 <= end.code < QUIET_CODES
        return b"" if is_quiet else self.encode_frame(frames.error(end.message or end.reason, end.code))


def _itself(payload: bytes) -> bytes:
    return payload


def _ping(revision: int) -> bytes:
    """Encode a ping. Its pong repeats the payload, and confirms that everything sent before has arrived."""
    return websocket.ping_frame(b"%d" % revision)


def _ping_message(revision: int) -> bytes:
    return frames.PING


WEBSOCKET = PusherDialect(
    websocket.text_frame, websocket.PING, _ping, numbers_pings=True
)  # written directly to the socket
MESSAGE = PusherDialect(_itself, frames.PONG, _ping_message, numbers_pings=False)  # through ASGI `send`
