"""The heartbeat wheel: heartbeats, pings, missing pongs and expiry, tick by tick."""

import weakref
from dataclasses import dataclass
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from bellcast.kernel.identities import Principal
from bellcast.kernel.limits import Limits
from bellcast.live.connection import REPLAY_BUFFER_BYTES, Phase
from bellcast.live.connection.close_reasons import EXPIRED, NO_PONG, TOO_SLOW
from bellcast.live.hub import REPLAY_STALL_SECONDS, TICKS_PER_INTERVAL, HeartbeatWheel, Hub
from bellcast.live.hub.callbacks import HubCallbacks
from bellcast.live.native import protocol
from bellcast.live.pusher import protocol as pusher
from bellcast.live.pusher.endpoint import PONG_TIMEOUT
from bellcast.live.types import LiveConfig
from tests.clock import FakeClock
from tests.unit.live.fakes import FakeConnection, connect, new_hub

INTERVAL = 25.0  # seconds, so a tick is one second
STALL_TICKS = round(REPLAY_STALL_SECONDS / INTERVAL * TICKS_PER_INTERVAL)
ACTIVITY_TIMEOUT = 120.0


@dataclass
class Wheel:
    """A hub with its wheel, on a fake clock."""

    clock: FakeClock
    wheel: HeartbeatWheel
    hub: Hub

    def tick(self, ticks: int = 1) -> None:
        for _ in range(ticks):
            self.clock.advance(INTERVAL / TICKS_PER_INTERVAL)
            self.wheel.tick(self.hub)

    def expiring(self, seconds: float) -> Principal:
        return Principal(recipient="alice", expires_at=self.clock.now() + round(seconds * 1000))


@pytest.fixture
def wheel() -> Wheel:
    clock = FakeClock()
    heartbeats = HeartbeatWheel(clock, INTERVAL, {"pusher": lambda: (ACTIVITY_TIMEOUT, PONG_TIMEOUT)})
    callbacks = HubCallbacks(added=heartbeats.schedule, renewed=heartbeats.renewed)
    return Wheel(clock, heartbeats, new_hub(callbacks))


def responsive(connection: FakeConnection) -> FakeConnection:
    """Respond to every ping in its tick."""
    connection.ping = lambda: _pong(connection)
    return connection


def _pong(connection: FakeConnection) -> bool:
    connection.last_received_tick = connection.owner.tick
    connection.pings += 1
    return True


async def test_silent_connection_receives_a_heartbeat_per_interval(wheel: Wheel) -> None:
    connection = responsive(connect(wheel.hub))
    wheel.tick(TICKS_PER_INTERVAL - 1)
    assert connection.fake.types == []
    wheel.tick()
    assert connection.fake.types == ["heartbeat"]
    wheel.tick(TICKS_PER_INTERVAL)
    assert connection.fake.types == ["heartbeat"] * 2


async def test_written_connection_receives_its_heartbeat_an_interval_later(wheel: Wheel) -> None:
    connection = responsive(connect(wheel.hub))
    wheel.tick(10)
    connection.write_tracked(protocol.WEBSOCKET.encode_frame(protocol.Payload("event", {})))
    wheel.tick(TICKS_PER_INTERVAL - 1)
    assert connection.fake.types == ["event"]
    wheel.tick()
    assert connection.fake.types == ["event", "heartbeat"]


async def test_opening_connection_receives_no_heartbeat(wheel: Wheel) -> None:
    connection = responsive(connect(wheel.hub, phase=Phase.OPENING))
    wheel.tick(2 * TICKS_PER_INTERVAL)
    assert connection.fake.written == []


async def test_replay_is_closed_once_its_reader_reads_nothing_for_two_minutes(wheel: Wheel) -> None:
    connection = responsive(connect(wheel.hub, phase=Phase.OPENING))
    connection.transition(Phase.REPLAYING)
    connection.fake.is_buffering = True
    for _ in range(2):
        connection.resume_writing()  # it has read what was written
        connection.write_replay(bytes(REPLAY_BUFFER_BYTES + 1))
        wheel.tick(STALL_TICKS - 1)
        assert connection.phase is Phase.REPLAYING
    wheel.tick()
    assert (connection.close_reason, len(wheel.hub)) == (TOO_SLOW, 0)


async def test_replay_that_waits_for_another_one_of_its_session_is_not_closed_while_the_reader_reads(
    wheel: Wheel,
) -> None:
    connection = responsive(connect(wheel.hub, phase=Phase.OPENING))
    connection.transition(Phase.REPLAYING)
    for _ in range(3):
        connection.pause_writing()  # the other one has filled the buffer of the session again
        wheel.tick(STALL_TICKS - 1)
        connection.resume_writing()
    assert connection.phase is Phase.REPLAYING


async def test_peer_without_a_pong_is_closed_an_interval_after_the_ping(wheel: Wheel) -> None:
    connection = connect(wheel.hub)
    wheel.tick(TICKS_PER_INTERVAL)
    assert connection.pings == 1
    wheel.tick(TICKS_PER_INTERVAL - 1)
    assert connection.close_reason is None
    wheel.tick()
    assert (connection.close_reason, len(wheel.hub)) == (NO_PONG, 0)


async def test_peer_that_sends_anything_is_not_closed(wheel: Wheel) -> None:
    connection = connect(wheel.hub)
    for _ in range(5 * TICKS_PER_INTERVAL):
        wheel.tick()
        if wheel.hub.tick % 20 == 0:
            connection.last_received_tick = wheel.hub.tick
    assert connection.close_reason is None


async def test_transport_without_pings_is_never_closed_as_silent(wheel: Wheel) -> None:
    connection = connect(wheel.hub, dialect=protocol.SSE_PLAIN)
    connection.can_ping = False
    wheel.tick(4 * TICKS_PER_INTERVAL)
    assert (connection.close_reason, len(connection.fake.written)) == (None, 4)


async def test_pusher_peer_is_pinged_after_its_activity_timeout(wheel: Wheel) -> None:
    connection = connect(wheel.hub, dialect=pusher.WEBSOCKET)
    wheel.tick(int(ACTIVITY_TIMEOUT) - 1)
    assert connection.pings == 0
    wheel.tick(TICKS_PER_INTERVAL)
    assert connection.pings == 1


async def test_pusher_peer_has_its_own_pong_timeout(wheel: Wheel) -> None:
    connection = connect(wheel.hub, dialect=pusher.WEBSOCKET)
    while not connection.pings:
        wheel.tick()
    wheel.tick(int(PONG_TIMEOUT) - 1)
    assert connection.close_reason is None
    wheel.tick(TICKS_PER_INTERVAL)
    assert connection.close_reason is not None
    assert connection.close_reason.reason == NO_PONG.reason


@pytest.mark.parametrize("seconds", [0.5, 3, 24.5, 60], ids=lambda seconds: f"{seconds} s")
async def test_session_is_closed_within_a_tick_of_its_expiry(wheel: Wheel, seconds: float) -> None:
    connection = responsive(connect(wheel.hub, principal=wheel.expiring(seconds)))
    wheel.tick(int(seconds))
    assert connection.close_reason is None
    wheel.tick(2)
    assert connection.close_reason is EXPIRED


async def test_session_renewed_for_a_shorter_time_is_closed_within_a_tick_of_its_expiry(wheel: Wheel) -> None:
    connection = responsive(connect(wheel.hub, principal=wheel.expiring(1_000)))
    wheel.tick(2)
    await wheel.hub.subscriptions.reauthorize(
        connection, wheel.expiring(3), cast(Any, None), LiveConfig(limits=Limits())
    )
    wheel.tick(3)
    assert connection.close_reason is None
    wheel.tick(2)
    assert connection.close_reason is EXPIRED


async def test_session_renewed_between_two_ticks_is_closed_within_a_tick_of_its_expiry(wheel: Wheel) -> None:
    connection = responsive(connect(wheel.hub, principal=wheel.expiring(1_000)))
    wheel.clock.advance(0.5)
    await wheel.hub.subscriptions.reauthorize(
        connection, wheel.expiring(1.9), cast(Any, None), LiveConfig(limits=Limits())
    )
    wheel.clock.advance(0.5)
    wheel.wheel.tick(wheel.hub)
    wheel.tick()
    assert connection.close_reason is None
    wheel.tick()
    assert connection.close_reason is EXPIRED


async def test_renewed_session_stays_open(wheel: Wheel) -> None:
    connection = responsive(connect(wheel.hub, principal=wheel.expiring(3)))
    connection.principal = wheel.expiring(1_000)
    wheel.tick(2 * TICKS_PER_INTERVAL)
    assert connection.close_reason is None


async def test_closed_connection_leaves_the_wheel(wheel: Wheel) -> None:
    connection = connect(wheel.hub)
    connection.connection_lost(None)
    wheel.tick(2 * TICKS_PER_INTERVAL)
    assert (connection.pings, sum(map(len, wheel.wheel._wheel))) == (0, 0)


async def test_connection_is_in_one_slot_only(wheel: Wheel) -> None:
    connections: list[Any] = [responsive(connect(wheel.hub, str(number))) for number in range(3)]
    wheel.tick(7 * TICKS_PER_INTERVAL)
    assert sum(map(len, wheel.wheel._wheel)) == len(connections)


async def test_connection_that_cannot_be_checked_is_aborted_and_the_others_are_checked(wheel: Wheel) -> None:
    broken, other = connect(wheel.hub, "1"), responsive(connect(wheel.hub, "2"))

    def fail() -> bool:
        raise ArithmeticError

    broken.ping = fail
    with capture_logs() as logs:
        wheel.tick(TICKS_PER_INTERVAL)
    assert (broken.fake.calls, other.fake.types) == (["abort"], ["heartbeat"])
    assert [(entry["event"], entry["connection"]) for entry in logs] == [("heartbeat_failed", "1")]


async def test_closed_connection_is_not_held_until_its_next_check(wheel: Wheel) -> None:
    connection = connect(wheel.hub, principal=wheel.expiring(INTERVAL - 5))
    wheel.wheel.renewed(connection)
    held, transport = weakref.ref(connection), connection.fake
    connection.connection_lost(None)
    connection.fake = transport.owner = cast(Any, None)  # which refer to each other
    del connection
    assert held() is None
    wheel.tick(2 * TICKS_PER_INTERVAL)
