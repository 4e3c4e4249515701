"""Events as Pusher's clients hear them."""

from collections.abc import Callable
from typing import Literal

from msgspec import Struct

from bellcast.live import changes
from bellcast.live.framing import websocket
from bellcast.live.protocols.pusher import endings, frames
from bellcast.live.reasons import Close
from bellcast.model import topics
from bellcast.model.event_names import PUSHER_PREFIXES
from bellcast.model.events import (
    Event,
    InboxCounted,
    InboxEvent,
    LiveEvent,
    NotificationAdded,
    NotificationDeleted,
    NotificationUpdated,
    PresenceChanged,
)
from bellcast.model.inboxes import InboxState

# From here on the code alone says enough: an error event would alarm the app of a mere restart.
QUIET_CODES = 4200


class Dialect(Struct, frozen=True, eq=False):
    """One way the frames travel. Compared by identity: there are two, made once. `ask` asks whether everything up to a
    revision has arrived."""

    wrap: Callable[[bytes], bytes]
    sign_of_life: bytes
    ask: Callable[[int], bytes]
    transport: Literal["websocket"] = "websocket"
    protocol: str = "pusher"

    def encode(self, event: Event) -> bytes | None:
        """The bytes of an event; None if this dialect has no word for it."""
        match event:
            case LiveEvent():
                told = _live(event)
            case PresenceChanged() if topics.is_presence(event.topic):
                return self._moved(event) or None
            case NotificationAdded() | NotificationUpdated() | NotificationDeleted() | InboxCounted():
                return self.replay(event, event.inbox.position)
            case _:
                told = None
        return None if told is None else self.wrap(told)

    def _moved(self, event: PresenceChanged) -> bytes:
        came = [self.wrap(frames.joined(event.topic, member)) for member in event.joined]
        went = [self.wrap(frames.left(event.topic, member)) for member in event.left]
        return b"".join(came + went)

    def replay(self, event: InboxEvent, position: str) -> bytes:
        """An inbox change, on the recipient's own channel."""
        channel = topics.TO_RECIPIENT + event.inbox.recipient
        return self.wrap(frames.changed(channel, changes.told(event, position)))

    def reset(self, state: InboxState) -> bytes:
        """Fetch the inbox again."""
        return self.wrap(frames.changed(topics.TO_RECIPIENT + state.recipient, changes.reset(state)))

    def heartbeat(self, now: int) -> bytes:
        """A control frame where there are any: not every client knows `pusher:ping`."""
        return self.sign_of_life

    def ending(self, end: Close) -> Close:
        """The same end in Pusher's codes."""
        return endings.ending(end)

    def close(self, end: Close) -> bytes:
        """An error event before the close: clients below protocol 6 know no close codes."""
        return self.wrap(frames.error(end.reason, end.code)) if 4000 <= end.code < QUIET_CODES else b""


def _live(event: LiveEvent) -> bytes | None:
    if event.name.startswith(PUSHER_PREFIXES):
        return None
    channel = topics.TO_RECIPIENT + (event.recipient or "") if event.topic is None else event.topic
    data = frames.text(event.data) if event.text is None else event.text
    return frames.event(event.name, channel, data, event.member)


def _itself(payload: bytes) -> bytes:
    return payload


def _ping(revision: int) -> bytes:
    """The answer carries the same bytes back, behind everything written before."""
    return websocket.ping_frame(b"%d" % revision)


def _ping_in_words(revision: int) -> bytes:
    return frames.PING


WEBSOCKET = Dialect(websocket.text_frame, websocket.PING, _ping)  # straight to the socket
MESSAGE = Dialect(_itself, frames.PONG, _ping_in_words)  # through another server's sends
