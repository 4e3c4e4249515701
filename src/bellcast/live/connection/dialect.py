"""The port of the dialects: how the frames of a connection are encoded."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from bellcast.inbox.types.inboxes import InboxEvent
from bellcast.kernel.events import Event
from bellcast.live.connection.close_reasons import CloseReason
from bellcast.live.inbox_payloads import InboxReset


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
