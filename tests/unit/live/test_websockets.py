"""The WebSocket of an HTTP operation: slow readers, dead clients, and what clients must not send."""

import asyncio
from typing import Any

import pytest

from bellcast.live.framing import websocket
from bellcast.live.http import websockets
from bellcast.live.http.takeover import EXTENSION
from bellcast.live.http.websockets import TakenWebSocket
from bellcast.live_feed import STATE
from tests.unit.live.framing.client import PING, TEXT, frame

ACCEPT = {"type": "websocket.accept"}


class FakeSocket(asyncio.Transport):
    """A transport that records what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.is_open = True

    def write(self, data: Any) -> None:
        self.written += data

    def get_write_buffer_size(self) -> int:
        return 1

    def close(self) -> None:
        self.is_open = False

    abort = close


@pytest.fixture
def socket() -> FakeSocket:
    return FakeSocket()


@pytest.fixture
async def taken(socket: FakeSocket) -> TakenWebSocket:
    async def refuse(message: Any) -> None:
        raise AssertionError(message)

    scope = {"extensions": {EXTENSION: lambda owner: (socket, b"")}}
    result = TakenWebSocket(scope, b"dGhlIHNhbXBsZSBub25jZQ==", refuse)
    await result.send(ACCEPT)
    socket.written = b""
    return result


async def test_slow_reader_pauses_the_sender(taken: TakenWebSocket, socket: FakeSocket) -> None:
    taken.pause_writing()
    sending = asyncio.ensure_future(taken.send({"type": "websocket.send", "text": "a"}))
    await asyncio.sleep(0)
    assert socket.written == b""
    taken.data_received(frame(PING, b"p"))  # its pong would be delayed too
    taken.resume_writing()
    await sending
    assert socket.written == websocket.text_frame(b"a")
    taken.connection_lost(None)


async def test_client_that_sends_nothing_between_two_pings_is_cut(taken: TakenWebSocket, socket: FakeSocket) -> None:
    taken._ping()
    taken.data_received(frame(PING, b"p"))
    taken._ping()
    assert socket.is_open
    taken._ping()
    assert not socket.is_open
    taken.connection_lost(None)
    assert (await taken.receive())["type"] == "websocket.disconnect"


@pytest.mark.parametrize(
    ("data", "code"),
    [(frame(TEXT, b"x"), 1008), (frame(TEXT, b"x" * 200), 1009), (b"\xff\xff", 1002)],
    ids=["message", "large", "garbage"],
)
async def test_input_closes_with_its_reason(taken: TakenWebSocket, socket: FakeSocket, data: bytes, code: int) -> None:
    taken.data_received(data)
    assert socket.written[2:4] == code.to_bytes(2)
    assert not socket.is_open
    taken.connection_lost(None)


async def test_flood_of_control_frames_closes(taken: TakenWebSocket, socket: FakeSocket) -> None:
    for _ in range(websockets.MAX_FRAMES_PER_SECOND * 3):  # they may arrive in two seconds
        socket.written = b""
        taken.data_received(frame(PING, b"p"))
        if not socket.is_open:
            break
    assert socket.written[2:4] == websocket.POLICY.to_bytes(2)
    assert not socket.is_open
    taken.connection_lost(None)


async def test_flood_of_control_frames_in_one_read_closes(taken: TakenWebSocket, socket: FakeSocket) -> None:
    taken.data_received(frame(PING, b"p") * (websockets.MAX_FRAMES_PER_SECOND * 3))
    assert socket.written.count(b"p") < websockets.MAX_FRAMES_PER_SECOND + 10
    assert not socket.is_open
    taken.connection_lost(None)


async def test_client_that_left_before_the_handshake_ends_the_watch(taken: TakenWebSocket) -> None:
    def gone(owner: Any) -> Any:
        raise ConnectionResetError

    taken._scope["extensions"][EXTENSION] = gone
    taken._transport = None
    await taken.send(ACCEPT)
    assert (await taken.receive())["type"] == "websocket.disconnect"


async def test_failure_after_the_accept_closes_with_an_error(socket: FakeSocket) -> None:
    async def fail(scope: Any, receive: Any, send: Any) -> None:
        await send(ACCEPT)
        socket.written = b""
        raise RuntimeError

    async def nothing(*_: Any) -> None:
        raise AssertionError

    upgrade = {
        b"host": b"bell.test",
        b"upgrade": b"websocket",
        b"connection": b"upgrade",
        b"sec-websocket-version": b"13",
    }
    scope = {
        "type": "http",
        "method": "GET",
        "http_version": "1.1",
        "headers": [*upgrade.items(), (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ==")],
        "extensions": {EXTENSION: lambda owner: (socket, b"")},
        STATE: {},
    }
    with pytest.raises(RuntimeError):
        await websockets.serve(fail, scope, nothing, nothing)
    assert socket.written == websocket.close_frame(1011, "")
    assert not socket.is_open
