"""Heartbeats, dead peers and session expiry: a timer wheel of connections with one timer."""

import asyncio
from collections.abc import Callable, Iterable, Mapping

import structlog

from bellcast.kernel.clock import Clock
from bellcast.live.connection import close_reasons
from bellcast.live.connection.connection import Connection, Phase
from bellcast.live.hub.hub import Hub

log = structlog.get_logger(__name__)

# Ticks per heartbeat interval. Each tick checks the connections in its slot.
TICKS_PER_INTERVAL = 25
# Seconds of silence before a ping, and to wait for the pong.
SilenceLimit = Callable[[], tuple[float, float]]


class HeartbeatWheel:
    """A timer wheel. Each connection is in one slot and is checked about once per heartbeat interval."""

    def __init__(self, clock: Clock, heartbeat: float, silence_limits: Mapping[str, SilenceLimit]) -> None:
        self._clock = clock
        self._tick = heartbeat / TICKS_PER_INTERVAL
        self._tick_ms = self._tick * 1000
        self._silence_limits = silence_limits  # by protocol; without one, a heartbeat's interval each
        # Ids: a closed connection would stay in memory for an interval, with an incomplete message of up to 1 MB.
        self._wheel: list[list[str]] = [[] for _ in range(TICKS_PER_INTERVAL + 1)]
        self._expiries: dict[int, list[str]] = {}  # by tick: renewed sessions that end before their next check

    def _ticks(self, seconds: float) -> int:
        return max(1, round(seconds / self._tick))

    async def run(self, hub: Hub) -> None:
        while True:
            await self._clock.sleep(self._tick)
            self.tick(hub)
            await asyncio.sleep(0)

    def tick(self, hub: Hub) -> None:
        """Advance one tick and check the connections that are due."""
        hub.tick += 1
        slot = hub.tick % len(self._wheel)
        due, self._wheel[slot] = self._wheel[slot], []
        now = self._clock.now()
        self._check_each(self._end_if_expired, hub, self._expiries.pop(hub.tick, ()), now)
        self._check_each(self._check, hub, due, now)

    def _check_each(self, check: Callable[[Connection, int], object], hub: Hub, ids: Iterable[str], now: int) -> None:
        """Check connections. One that cannot be checked is aborted, and its client reconnects, so that the others are still checked."""
        for connection in filter(None, map(hub.find, ids)):
            try:
                if connection.phase is not Phase.CLOSED:
                    check(connection, now)
            except Exception:
                log.exception("heartbeat_failed", connection=connection.id)
                connection.transport.abort()

    def schedule(self, connection: Connection) -> None:
        """Schedule the next check: a full interval after the last write, or at the session's expiry."""
        tick = connection.owner.tick
        ticks = min(connection.last_sent_tick + TICKS_PER_INTERVAL - tick, *self._silence_limit(connection))
        ends = connection.principal.expires_at
        if ends is not None:
            ticks = min(ticks, self._ticks_until(ends))
        self._wheel[(tick + max(1, ticks)) % len(self._wheel)].append(connection.id)

    def renewed(self, connection: Connection) -> None:
        """Note a new session, which may end before the next check of the connection."""
        ends = connection.principal.expires_at
        if ends is not None and (ticks := self._ticks_until(ends)) < TICKS_PER_INTERVAL:
            # The current tick is partly over, and a check before the end would be the only one.
            self._expiries.setdefault(connection.owner.tick + max(0, ticks) + 1, []).append(connection.id)

    def _ticks_until(self, at: int) -> int:
        return int((at - self._clock.now()) / self._tick_ms) + 1

    def _silence_limit(self, connection: Connection) -> tuple[int, int]:
        """Return the ticks of silence before a ping, and the ticks to wait for the pong."""
        limit = self._silence_limits.get(connection.dialect.protocol)
        if limit is None:
            return TICKS_PER_INTERVAL, TICKS_PER_INTERVAL
        silence, timeout = limit()
        return self._ticks(silence), self._ticks(timeout)

    def _check(self, connection: Connection, now: int) -> None:
        if self._end_if_expired(connection, now):
            return
        # Ping a silent peer. It must have answered the last ping in time.
        tick, (silence, timeout) = connection.owner.tick, self._silence_limit(connection)
        if connection.last_received_tick < connection.ping_tick:
            if tick - connection.ping_tick >= timeout:
                connection.owner.end(connection, close_reasons.NO_PONG)
                return
        elif tick - connection.last_received_tick >= silence and connection.ping():
            connection.ping_tick = tick
        silent_ticks = tick - connection.last_sent_tick
        if silent_ticks >= TICKS_PER_INTERVAL and connection.phase is not Phase.OPENING:
            connection.write_tracked(connection.dialect.heartbeat(now))
        self.schedule(connection)

    def _end_if_expired(self, connection: Connection, now: int) -> bool:
        """Close a connection whose session has ended; True if it has."""
        ends = connection.principal.expires_at
        if ends is None or ends > now:
            return False
        connection.owner.end(connection, close_reasons.EXPIRED)
        return True
