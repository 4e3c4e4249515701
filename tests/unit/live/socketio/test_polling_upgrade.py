"""Engine.IO long polling and its upgrade to a WebSocket: packets are sent once, in order, on one transport."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from bellcast.kernel.http.request_body import Disconnected
from bellcast.live.connection import Phase, close_reasons
from bellcast.live.framing import websocket
from bellcast.live.http import asgi
from bellcast.live.http.takeover import EXTENSION
from bellcast.live.hub.callbacks import HubCallbacks
from bellcast.live.socketio import SocketIOConfig, protocol, transports
from bellcast.live.socketio.engine_session import CLOSED_TRANSPORT, EngineSession, EngineSessions
from bellcast.live.socketio.transports import EngineWebSocket, PollingTransport
from tests.clock import FakeClock
from tests.unit.live.fakes import FakeTransport

REQUEST = asgi.read_handshake({"scheme": "http", "path": "/", "headers": [], "client": ("10.0.0.1", 1)})
PROBED = websocket.text_frame(protocol.PROBED)


class Replaying:
    """A connection that is replaying, and records the calls of its session."""

    namespace, phase, close_reason = "/", Phase.REPLAYING, None

    def __init__(self) -> None:
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return lambda: self.calls.append(name)


class Polling:
    """A session on long polling, and WebSockets that try to take it over."""

    def __init__(self, callbacks: HubCallbacks | None = None) -> None:
        self.messages: list[str | bytes] = []
        self.sessions = EngineSessions(self._receive, SocketIOConfig(), FakeClock(), callbacks or HubCallbacks())
        self.session = self.sessions.create(REQUEST)
        self.transport = PollingTransport(self.session)
        self.sessions.begin(self.session, self.transport)
        self.opened = self.transport.take_pending()
        self.connection = Replaying()
        self.session.add(cast(Any, self.connection))

    def _receive(self, session: EngineSession, message: str | bytes) -> None:
        self.messages.append(message)

    def probe(self, *messages: str) -> tuple[EngineWebSocket, FakeTransport]:
        """Open a WebSocket for the session and send messages on it."""
        socket = EngineWebSocket(self.session, 1_000, 100)
        fake = FakeTransport()
        fake.owner = socket
        socket.transport = fake
        socket.probe(10)
        for message in messages:
            socket.receive(message)
        return socket, fake

    async def poll(self) -> "asyncio.Task[bytes]":
        """Send a poll that the client does not abort."""
        poll = asyncio.ensure_future(self.transport.poll(_never))
        await asyncio.sleep(0)
        return poll


async def _never() -> Any:
    await asyncio.get_running_loop().create_future()


async def _disconnect() -> Any:
    return {"type": "http.disconnect"}


def text(packet: bytes) -> bytes:
    return websocket.text_frame(packet)


async def test_handshake_has_exactly_five_keys_in_whole_milliseconds() -> None:
    polling = Polling()
    assert polling.opened == (
        b'0{"sid":"%s","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}'
        % polling.session.sid.encode()
    )


# --- polls


async def test_poll_returns_pending_packets_together() -> None:
    polling = Polling()
    polling.session.send_packet(b"4a")
    polling.transport.write(protocol.POLLING_BODY.binary(b"\x01"))
    assert await (await polling.poll()) == b"4a\x1ebAQ=="


async def test_waiting_poll_returns_the_packets_of_one_loop_iteration() -> None:
    polling = Polling()
    poll = await polling.poll()
    polling.session.send_packet(b"4a")
    polling.session.send_packet(b"4b")
    assert await poll == b"4a\x1e4b"


async def test_disconnected_poll_raises_and_frees_the_place() -> None:
    polling = Polling()
    with pytest.raises(Disconnected):
        await polling.transport.poll(_disconnect)
    poll = await polling.poll()
    polling.session.send_packet(b"4a")
    assert await poll == b"4a"


async def test_aborted_poll_ends_a_post_that_waits_for_the_queue() -> None:
    polling, sent = Polling(), []

    async def read() -> Any:
        return {"type": "http.request", "body": b"4a"}

    async def send(message: Any) -> None:
        sent.append(message)

    polling.transport.pause_reading()
    posting = asyncio.ensure_future(polling.transport.respond_post(read, send, [], (100, 10)))
    for _ in range(10):
        await asyncio.sleep(0)
    await polling.transport.respond_poll(REQUEST, _disconnect, send, [])
    assert polling.session.is_closed
    await asyncio.wait_for(posting, 5)
    assert (polling.messages, sent[0]["status"]) == (["a"], 200)


async def test_close_answers_the_waiting_poll() -> None:
    polling = Polling()
    poll = await polling.poll()
    polling.session.receive(protocol.read_text("1"))
    assert await poll == protocol.NOOP
    assert (polling.session.is_closed, polling.session.transport, len(polling.sessions)) == (True, CLOSED_TRANSPORT, 0)


async def test_waiting_poll_returns_at_the_limit_and_the_next_one_is_paced() -> None:
    polling = Polling()
    polling.transport.set_write_buffer_limits(high=10)
    poll = await polling.poll()
    for _ in range(4):
        polling.session.send_packet(b"4" * 8)
    assert (await poll, polling.connection.calls) == (b"44444444\x1e44444444", ["pause_writing"])
    assert await polling.transport.poll(_never) == b"44444444\x1e44444444"
    assert polling.connection.calls[1:] == ["resume_writing"]


async def test_full_buffer_pauses_once_and_the_next_poll_resumes() -> None:
    polling = Polling()
    polling.transport.set_write_buffer_limits(high=10)
    for _ in range(3):
        polling.session.send_packet(b"4" * 8)
    assert polling.connection.calls == ["pause_writing"]
    polling.transport.take_pending()
    assert polling.connection.calls == ["pause_writing", "resume_writing"]


# --- upgrade


async def test_probe_is_answered_and_releases_the_waiting_poll() -> None:
    polling = Polling()
    poll = await polling.poll()
    _, fake = polling.probe("2probe")
    assert (fake.written, await poll) == ([PROBED], protocol.NOOP)
    assert await polling.transport.poll(_never) == protocol.NOOP


async def test_upgrade_hands_pending_packets_over_in_order() -> None:
    polling = Polling()
    polling.session.send_packet(b"4a")
    polling.transport.write(protocol.POLLING_BODY.binary(b"\x01"))
    socket, fake = polling.probe("2probe", "5")
    polling.session.send_packet(b"4b")
    assert fake.written == [PROBED, text(b"4a"), websocket.binary_frame(b"\x01"), text(b"4b")]
    assert polling.session.transport is socket
    assert polling.transport.take_pending() == b""


async def test_upgrade_resumes_a_writer_that_the_poll_had_paused() -> None:
    polling = Polling()
    polling.transport.set_write_buffer_limits(high=10)
    polling.session.send_packet(b"4" * 11)
    polling.probe("2probe", "5")
    assert polling.connection.calls == ["pause_writing", "resume_writing", "attach_transport"]


async def test_packets_between_probe_and_upgrade_stay_with_polling() -> None:
    polling = Polling()
    _, fake = polling.probe("2probe")
    polling.session.send_packet(b"4a")
    assert fake.written == [PROBED]
    assert await polling.transport.poll(_never) == b"4a"


async def test_messages_are_received_from_both_transports() -> None:
    polling = Polling()
    polling.session.receive(protocol.read_text("4a"))
    socket, _ = polling.probe("2probe", "5")
    socket.receive("4b")
    assert polling.messages == ["a", "b"]


@pytest.mark.parametrize("messages", [("4a",), ("2",), ("2probe", "4a"), ("2probe", "x")], ids=" ".join)
async def test_wrong_packet_abandons_the_upgrade_and_the_session_stays(messages: tuple[str, ...]) -> None:
    polling = Polling()
    _, fake = polling.probe(*messages)
    assert fake.written[-1][0] == 0x88  # a close frame
    polling.session.send_packet(b"4a")
    assert await polling.transport.poll(_never) == b"4a"
    assert (polling.session.transport, polling.transport.candidate) == (polling.transport, None)


async def test_second_candidate_is_refused_and_the_first_upgrades() -> None:
    polling = Polling()
    first, _ = polling.probe("2probe")
    _, second = polling.probe()
    assert second.written[-1][0] == 0x88
    first.receive("5")
    assert polling.session.transport is first


async def test_candidate_that_does_not_read_is_abandoned() -> None:
    polling = Polling()
    socket, fake = polling.probe("2probe")
    socket.pause_writing()
    assert fake.written[-1][0] == 0x88
    socket.receive("5")
    assert (polling.session.transport, polling.transport.candidate) == (polling.transport, None)


async def test_lost_candidate_frees_the_place_for_another() -> None:
    polling = Polling()
    lost, _ = polling.probe("2probe")
    lost.connection_lost(None)
    socket, _ = polling.probe("2probe", "5")
    assert polling.session.transport is socket


async def test_upgraded_session_refuses_another_upgrade() -> None:
    polling = Polling()
    socket, _ = polling.probe("2probe", "5")
    _, late = polling.probe()
    assert (late.written[-1][0], polling.session.transport) == (0x88, socket)


async def test_lost_websocket_ends_the_upgraded_session() -> None:
    polling = Polling()
    socket, _ = polling.probe("2probe", "5")
    socket.connection_lost(None)
    assert (polling.session.is_closed, len(polling.sessions), polling.connection.calls) == (
        True,
        0,
        ["attach_transport", "disconnected"],
    )


async def test_session_closed_during_the_probe_closes_the_candidate() -> None:
    polling = Polling()
    socket, fake = polling.probe("2probe")
    polling.session.receive(protocol.read_text("1"))
    socket.receive("5")
    assert fake.written[-1][0] == 0x88


async def test_missing_pong_closes_the_session_and_a_pong_keeps_it() -> None:
    polling = Polling()
    session = polling.session
    session.check_timeout(session.deadline)
    assert polling.transport.take_pending() == protocol.PING
    session.receive(protocol.read_text("3"))
    session.check_timeout(session.deadline - 1)
    assert not session.is_closed
    session.check_timeout(session.deadline)
    session.check_timeout(session.deadline)
    assert session.is_closed


async def test_session_whose_start_fails_is_closed_and_logged() -> None:
    def fail(session: EngineSession) -> None:
        raise ArithmeticError

    with capture_logs() as logs:
        polling = Polling(HubCallbacks(session_opened=fail))
    assert (polling.session.is_closed, len(polling.sessions), polling.sessions.unjoined) == (True, 0, 0)
    assert [entry["event"] for entry in logs] == ["session_start_failed"]
    assert polling.opened.endswith(protocol.CLOSE)


async def test_reader_that_blocks_another_server_is_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transports, "CLOSE_TIMEOUT", 0)
    session = Polling().sessions.create(REQUEST)

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        socket = EngineWebSocket(session, 1_000, 100)
        socket.transport, _ = scope["extensions"][EXTENSION](socket)
        socket.transport.write(websocket.response(b"key"))
        session.sessions.begin(session, socket)

    received = iter([{"type": "websocket.connect"}])
    scope = {"type": "websocket", "scheme": "ws", "headers": []}

    async def receive() -> Any:
        return next(received, None) or await _never()

    serving = asyncio.ensure_future(asgi.serve_as_socket(app, scope, receive, lambda _: _never()))
    await asyncio.sleep(0)
    session.close(close_reasons.TOO_SLOW)
    await asyncio.wait_for(serving, 5)


async def test_session_that_cannot_be_checked_does_not_stop_the_others() -> None:
    polling = Polling()
    sessions = polling.sessions
    others = [sessions.create(REQUEST) for _ in range(5)]
    for session in others:
        sessions.begin(session, PollingTransport(session))
    polling.session.transport = SimpleNamespace(encoding=protocol.POLLING_BODY, transport=None)
    due = max(session.deadline for session in others)
    with capture_logs() as logs:
        sessions.check_timeouts(due)
    assert [session.transport.take_pending().rpartition(b"\x1e")[2] for session in others] == [protocol.PING] * 5
    assert [entry["event"] for entry in logs] == ["session_check_failed"]
