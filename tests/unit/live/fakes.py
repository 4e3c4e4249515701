"""A fake transport, connections on it, and a hub without a server."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from bellcast.inbox.types import Notification
from bellcast.inbox.types.inboxes import Change, Changes, InboxState, NotificationAdded
from bellcast.kernel.brokers import MemoryBroker
from bellcast.kernel.events import inbox_stream
from bellcast.kernel.identities import Principal
from bellcast.live.connection import Connection, Phase
from bellcast.live.connection.close_reasons import CloseReason
from bellcast.live.connection.dialect import Dialect
from bellcast.live.framing import websocket
from bellcast.live.hub import Hub
from bellcast.live.hub.callbacks import HubCallbacks
from bellcast.live.hub.presence import PresenceTracker
from bellcast.live.native.protocol import WEBSOCKET
from tests.clock import FakeClock

ALICE = Principal(recipient="alice")


def messages(data: bytes) -> list[Any]:
    """Decode the JSON messages of a server's WebSocket frames."""
    return [json.loads(payload) for _, payload in websocket.sent_frames(data)]


class FakeTransport:
    """Records written frames; `buffer` keeps it unsent, and crossing the high-water mark pauses the owner."""

    def __init__(self) -> None:
        self.clear = False
        self.owner: Any = None
        self.written: list[bytes] = []
        self.calls: list[str] = []
        self.is_buffering = False
        self.buffered = 0
        self.high = 2**31

    def write(self, data: bytes, /) -> None:
        self.written.append(data)
        if self.is_buffering:
            self.buffered += len(data)
            if self.buffered > self.high:
                self.owner.pause_writing()

    def write_eof(self) -> None:
        self.calls.append("write_eof")

    def close(self) -> None:
        self.calls.append("close")

    def abort(self) -> None:
        self.calls.append("abort")

    def is_closing(self) -> bool:
        return "close" in self.calls or "abort" in self.calls

    def get_write_buffer_size(self) -> int:
        return self.buffered

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.high = high or 0

    def pause_reading(self) -> None:
        self.calls.append("pause_reading")

    def resume_reading(self) -> None:
        self.calls.append("resume_reading")

    @property
    def frames(self) -> list[dict[str, Any]]:
        """The messages of the written frames."""
        return messages(b"".join(self.written))

    @property
    def types(self) -> list[str]:
        return [frame["type"] for frame in self.frames]


class FakeConnection(Connection):
    """A connection on a FakeTransport. `can_ping` is True if its transport has pings."""

    fake: FakeTransport
    can_ping = True
    pings = 0

    def send_close(self, end: CloseReason) -> None:
        self.write(self.closing_frame(end))
        self.transport.close()

    def ping(self) -> bool:
        self.pings += self.can_ping
        return self.can_ping


def new_hub(callbacks: HubCallbacks | None = None, *, presence: Sequence[str] = ()) -> Hub:
    clock = FakeClock()
    return Hub(PresenceTracker(lambda: presence), MemoryBroker(), clock, clock, callbacks or HubCallbacks())


def add(hub: Hub, connection: Connection) -> None:
    """Register a connection, which follows the inbox of its recipient."""
    tenant, recipient = connection.principal.tenant, connection.principal.recipient
    hub.add(connection, None if recipient is None else inbox_stream(tenant, recipient))


def connect(
    hub: Hub,
    id: str = "1",
    principal: Principal = ALICE,
    *,
    phase: Phase = Phase.LIVE,
    dialect: Dialect = WEBSOCKET,
    address: str | None = None,
    max_unsent: int = 0,
) -> FakeConnection:
    """Register a connection and bring it to a phase."""
    connection = FakeConnection(id, dialect, principal, hub, 0, address)
    connection.fake = FakeTransport()
    connection.fake.owner = connection
    connection.attach(connection.fake, max_unsent)
    connection.inbox = connection.epoch = 1
    add(hub, connection)
    if phase is not Phase.OPENING:
        connection.transition(phase)
    return connection


def state(revision: int, *, epoch: int = 1, recipient: str = "alice") -> InboxState:
    return InboxState("", recipient, epoch, revision, 0, 0)


def notification(id: str = "n") -> Notification:
    return Notification(id=id, type="t", title="T", created_at=datetime(2026, 1, 1, tzinfo=UTC))


def added(revision: int, **state_fields: Any) -> NotificationAdded:
    return NotificationAdded(inbox=state(revision, **state_fields), notification=notification())


def change(revision: int, *, first: int | None = None, is_deleted: bool = False) -> Change:
    id = f"n{revision}"
    return Change(id, revision if first is None else first, revision, None if is_deleted else notification(id))


def changes(*rows: Change, revision: int | None = None, epoch: int = 1, oldest: int = 0) -> Changes:
    return Changes(state(rows[-1].revision if revision is None else revision, epoch=epoch), oldest, rows)
