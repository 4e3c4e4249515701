"""Interfaces that the hub calls: callbacks of the server, and observers of dialects."""

from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple, Protocol

from bellcast.inbox.types.inboxes import InboxEvent
from bellcast.kernel.events import Event, Stream
from bellcast.live.cluster.groups import PresenceKey
from bellcast.live.connection import Connection
from bellcast.live.connection.close_reasons import CloseReason
from bellcast.live.types import NodeReport, PresenceChanged, TopicRefused


def _ignore(*_: object, **__: object) -> None: ...


class HubCallbacks(NamedTuple):
    """Work that the hub starts but does not do itself."""

    added: Callable[[Connection], None] = _ignore
    disconnected: Callable[[Connection], None] = _ignore
    refused: Callable[[Connection, CloseReason], None] = _ignore  # accepted only to send the refusal
    renewed: Callable[[Connection], None] = _ignore
    followed: Callable[[Connection, Collection[str]], None] = _ignore
    topics_refused: Callable[[Connection, Sequence[TopicRefused]], None] = _ignore
    # Of sessions that carry several connections (`LiveSession`). The refusal of a namespace has the session, the namespace, the reason
    # and the principal; with `is_fed`, it is an event of the live feed too.
    session_opened: Callable[[Any], None] = _ignore
    session_closed: Callable[[Any], None] = _ignore
    namespace_refused: Callable[..., None] = _ignore
    fill_gap: Callable[[Connection], object] = _ignore
    report: Callable[[], NodeReport | None] = _ignore  # None: the node is not listed
    receive: Callable[[Event], None] = _ignore  # an event that is not for connections


class HubObserver(Protocol):
    """A dialect that needs more than the events of followed streams."""

    def subscription_count_changed(self, stream: Stream, here: int, change: int, *, is_here: bool) -> None:
        """Handle a change of a stream's follower count on this node (`is_here`), which is now `here`, or on another node."""

    def presence_changed(self, change: PresenceChanged, *, is_here: bool) -> None: ...

    def node_joined(self, key: PresenceKey) -> None:
        """Handle a local connection of a member on a topic, the first one or another."""

    def node_left(self, key: PresenceKey) -> None:
        """Handle the end of a member's last local connection on a topic; it may have others on other nodes."""

    def inbox_changed(self, event: InboxEvent) -> None:
        """Handle an inbox change, with or without followers."""

    def recipients_of(self, topic: str) -> Collection[str]:
        """Return the recipients of the inboxes of which the topic also carries the changes."""

    def topics_of(self, recipient: str) -> Sequence[str]:
        """Return the topics that also carry the changes of a recipient's inbox."""

    def pong_received(self, connection: Connection, data: bytes) -> None: ...
