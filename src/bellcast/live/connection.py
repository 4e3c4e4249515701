"""One live client link: who it is, what it follows, where it is in its inbox, and how bytes reach it.

No task, no queue, no timer of its own: a connection that is told nothing costs its socket and this object.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from enum import IntEnum
from typing import Protocol

from bellcast.live import reasons
from bellcast.live.protocols import native
from bellcast.live.reasons import Close
from bellcast.model.events import Stream
from bellcast.model.people import Principal

# While a replay is written, the transport holds at most this much of it: the reader sets the pace.
REPLAY_BUFFER = 65_536


class Phase(IntEnum):
    """Where a connection is in its life."""

    HOLDING = 0  # registered, not told anything yet: inbox changes wait in the store
    REPLAYING = 1  # told what changed since its position; newer changes wait in the store
    LIVE = 2
    ENDED = 3


class Outlet(Protocol):
    """How bytes leave: a uvloop transport, or sends through another ASGI server."""

    def write(self, data: bytes, /) -> None: ...
    def close(self) -> None: ...
    def abort(self) -> None: ...
    def is_closing(self) -> bool: ...
    def get_write_buffer_size(self) -> int: ...
    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...


class Keeper(Protocol):
    """What a connection tells of itself: the hub."""

    tick: int

    def lost(self, connection: "Connection") -> None:
        """Its socket is gone."""
        ...

    def end(self, connection: "Connection", end: Close) -> None:
        """It must end: tell it why, close it, forget it."""
        ...


class Connection(asyncio.Protocol):
    """The owner of one socket. Everything that writes goes through `write`, the outlet's own bound method."""

    __slots__ = (
        "address",
        "asked",
        "behind",
        "dialect",
        "drained",
        "epoch",
        "heard_at",
        "id",
        "inbox",
        "keeper",
        "outlet",
        "phase",
        "principal",
        "revision",
        "since",
        "streams",
        "waiting",
        "write",
        "wrote_at",
    )

    def __init__(
        self, id: str, dialect: native.Dialect, principal: Principal, keeper: Keeper, since: int, address: str | None
    ) -> None:
        self.id = id
        self.dialect = dialect
        self.principal = principal
        self.keeper = keeper
        self.since = since
        self.address = address
        self.streams: tuple[Stream, ...] = ()
        self.inbox = 0  # the inbox's number in the store
        self.epoch = 0
        self.revision = 0
        self.phase = Phase.HOLDING
        self.behind = False  # an inbox change went by while it was not live
        self.wrote_at = keeper.tick
        self.heard_at = keeper.tick
        self.asked = False  # a ping is out
        self.drained: asyncio.Future[None] | None = None
        self.waiting: deque[str] | None = None  # frames heard while an earlier one is still being done
        self.outlet: Outlet
        self.write: Callable[[bytes], None]

    def own(self, outlet: Outlet, unsent: int) -> None:
        """Take the outlet over; past `unsent` waiting bytes (0: no bound) the reader counts as too slow."""
        self.outlet = outlet
        self.write = outlet.write
        self.bound(unsent)

    def bound(self, unsent: int) -> None:
        """Set how many bytes may wait."""
        high = unsent or 2**31 - 1
        self.outlet.set_write_buffer_limits(high=high, low=high // 4)

    def told(self, data: bytes) -> None:
        """Write, and remember when."""
        self.wrote_at = self.keeper.tick
        self.write(data)

    async def drain(self) -> None:
        """Wait until what was written is nearly gone."""
        if self.outlet.get_write_buffer_size() > REPLAY_BUFFER // 4 and not self.outlet.is_closing():
            self.drained = asyncio.get_running_loop().create_future()
            try:
                await self.drained
            finally:
                self.drained = None

    def finish(self, end: Close) -> None:
        """Say why, then close. Safe to call twice."""
        if self.phase is Phase.ENDED:
            return
        self.phase = Phase.ENDED
        self._wake()
        self.say_goodbye(end)

    def say_goodbye(self, end: Close) -> None:
        """How this way of travel ends."""
        raise NotImplementedError(type(self))

    def ping(self) -> bool:
        """Ask the peer for a sign of life; False where the way of travel has no answer to give."""
        return False

    def pause_writing(self) -> None:
        if self.phase is not Phase.REPLAYING:
            self.keeper.end(self, reasons.TOO_SLOW)

    def resume_writing(self) -> None:
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self.phase = Phase.ENDED
        self._wake()
        self.keeper.lost(self)

    def _wake(self) -> None:
        if self.drained is not None and not self.drained.done():
            self.drained.set_result(None)
