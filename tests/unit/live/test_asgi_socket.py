"""The socket of a request that another server has parsed: what its owner writes becomes messages, and messages become its input."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import structlog

from bellcast.live import framing
from bellcast.live.framing import websocket
from bellcast.live.http import asgi
from bellcast.live.http.asgi import AsgiSocket
from bellcast.live.http.takeover import EXTENSION

WEBSOCKET = {"type": "websocket", "scheme": "wss", "headers": [(b"host", b"a"), (b"sec-websocket-version", b"8")]}
STREAM = {"type": "http", "method": "GET", "http_version": "2", "scheme": "https", "headers": []}
ACCEPTED = websocket.response(b"key", own_line=b"X-Request-Id: 1\r\n")
Use = Callable[[AsgiSocket, "Owner"], None]


class Owner(asyncio.Protocol):
    """Records what it receives."""

    def __init__(self) -> None:
        self.received: list[Any] = []
        self.reader = websocket.FrameReader(0)

    def data_received(self, data: bytes) -> None:
        self.received += self.reader.receive(data)

    def pause_writing(self) -> None:
        self.received.append("pause")

    def resume_writing(self) -> None:
        self.received.append("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.received.append("lost")


async def serve(scope: dict[str, Any], use: Use, *inputs: dict[str, Any]) -> tuple[list[Any], list[Any], Any]:
    """Serve a request by an application that takes the socket over. Return the sent messages, what the owner received, and the scope."""
    sent: list[Any] = []
    owner, scopes = Owner(), list[Any]()
    connected = [{"type": "websocket.connect"}] if scope["type"] == "websocket" else []
    waiting, closed = iter([*connected, *inputs]), asyncio.Event()

    async def app(inner: dict[str, Any], _receive: Any, _send: Any) -> None:
        scopes.append(inner)
        socket, _ = inner["extensions"][EXTENSION](owner)
        use(socket, owner)

    async def receive() -> Any:
        await asyncio.sleep(0)
        if (message := next(waiting, None)) is not None:
            return message
        await closed.wait()
        return {"type": f"{scope['type']}.disconnect", "code": 1006}

    async def send(message: Any) -> None:
        await asyncio.sleep(0)
        sent.append(message)
        if message["type"] == "websocket.close" or message == {"type": "http.response.body", "body": b""}:
            closed.set()

    await asyncio.wait_for(asgi.serve_as_socket(app, scope, receive, send), 5)
    return sent, owner.received, scopes[0]


def connected_only() -> Callable[[], Any]:
    """Return a `receive` of a client that connects and then neither sends nor leaves."""
    messages = iter([{"type": "websocket.connect"}])

    async def receive() -> Any:
        if (message := next(messages, None)) is None:
            await asyncio.Event().wait()
        return message

    return receive


async def test_frames_written_together_are_separate_messages() -> None:
    texts = ["", "a", "b" * 125, "c" * 126, "d" * 65_535, "é" * 32_768]
    frames = [websocket.text_frame(text.encode()) for text in texts]

    def use(socket: AsgiSocket, owner: Owner) -> None:
        socket.write(ACCEPTED + frames[0])
        socket.write(b"".join([*frames[1:], websocket.PING, websocket.binary_frame(b"\0")]))
        socket.write(websocket.close_frame(4401, "revoked"))

    sent, received, scope = await serve(WEBSOCKET, use)
    accepted, *messages, binary, closed = sent
    assert accepted == {"type": "websocket.accept", "headers": [(b"x-request-id", b"1")]}
    assert [message["text"] for message in messages] == texts
    assert binary["bytes"] == b"\0"
    assert (closed["code"], closed["reason"]) == (4401, "revoked")
    pong = websocket.ControlReceived(websocket.PONG_OPCODE, b"")
    assert [one for one in received if not isinstance(one, str)] == [pong]
    assert websocket.check_upgrade(scope["method"], scope["http_version"], scope["headers"])
    assert scope["scheme"] == "https"


@pytest.mark.parametrize("size", [0, 125, 126, 70_000])
async def test_messages_are_frames_of_the_client(size: int) -> None:
    text, data = "é" * size, b"x" * size
    inputs = [{"text": text}, {"bytes": data, "text": None}, {"type": "websocket.disconnect", "code": 4000}]
    messages = [{"type": "websocket.receive", **one} for one in inputs]
    sent, received, _ = await serve(WEBSOCKET, lambda socket, owner: socket.write(ACCEPTED), *messages)
    assert received == [text, data, websocket.CloseReceived(4000, ""), "lost"]
    assert [message["type"] for message in sent] == ["websocket.accept"]


async def test_lost_client_sends_no_close_frame() -> None:
    lost = {"type": "websocket.disconnect", "code": 1006}
    _, received, _ = await serve(WEBSOCKET, lambda socket, owner: socket.write(ACCEPTED), lost)
    assert received == ["lost"]


async def test_event_stream_is_the_body_of_a_response() -> None:
    def use(socket: AsgiSocket, owner: Owner) -> None:
        socket.write(framing.sse_head("1.0", own_line=b"X-Request-Id: 1\r\n") + b"retry: 1\n")
        socket.write(b"data: \r\n\r\n")
        socket.close()

    sent, received, scope = await serve(STREAM, use)
    head, *body = sent
    assert (head["status"], dict(head["headers"])[b"content-type"]) == (200, b"text/event-stream")
    assert not {b"connection", b"transfer-encoding"} & set(dict(head["headers"]))
    assert b"".join(part["body"] for part in body).startswith(b"retry: 1\n")
    assert (received, scope["http_version"]) == (["lost"], "1.0")


async def test_full_socket_pauses_its_owner_until_the_server_has_taken_the_output() -> None:
    def use(socket: AsgiSocket, owner: Owner) -> None:
        socket.write(ACCEPTED)
        socket.write(websocket.binary_frame(bytes(asgi.HIGH_WATER_BYTES)))
        assert owner.received == ["pause"]
        socket.close()

    _, received, _ = await serve(WEBSOCKET, use)
    assert received == ["pause", "resume", "lost"]


async def test_failed_send_ends_the_connection() -> None:
    owner = Owner()

    async def app(inner: dict[str, Any], _receive: Any, _send: Any) -> None:
        socket, _ = inner["extensions"][EXTENSION](owner)
        socket.write(ACCEPTED)

    async def fail(_message: Any) -> None:
        raise ValueError("a defect")

    with structlog.testing.capture_logs() as logged:
        await asyncio.wait_for(asgi.serve_as_socket(app, WEBSOCKET, connected_only(), fail), 5)
    assert (owner.received, [entry["event"] for entry in logged]) == (["lost"], ["asgi_socket_failed"])


async def test_server_that_reports_no_end_after_the_close_is_not_awaited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asgi, "CLOSE_TIMEOUT", 0)
    owner = Owner()

    async def app(inner: dict[str, Any], _receive: Any, _send: Any) -> None:
        socket, _ = inner["extensions"][EXTENSION](owner)
        socket.write(ACCEPTED + websocket.close_frame(1000))

    async def send(_message: Any) -> None: ...

    await asyncio.wait_for(asgi.serve_as_socket(app, {"type": "websocket", "headers": []}, connected_only(), send), 5)
    assert owner.received == ["lost"]


@pytest.mark.parametrize("failure", [ValueError, asyncio.CancelledError])
async def test_connection_is_lost_if_the_application_fails_after_the_takeover(failure: type[BaseException]) -> None:
    owner = Owner()

    async def app(inner: dict[str, Any], _receive: Any, _send: Any) -> None:
        inner["extensions"][EXTENSION](owner)
        raise failure

    async def send(_message: Any) -> None: ...

    with pytest.raises(failure):
        await asgi.serve_as_socket(app, WEBSOCKET, connected_only(), send)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert owner.received == ["lost"]


async def test_refused_handshake_is_a_close_before_the_acceptance() -> None:
    sent: list[Any] = []

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await asgi.respond(send, 403, [], b"refused")

    async def send(message: Any) -> None:
        sent.append(message)

    await asgi.serve_as_socket(app, WEBSOCKET, connected_only(), send)
    assert sent == [{"type": "websocket.close", "code": websocket.POLICY}]
