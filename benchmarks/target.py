"""A measured server, Bellcast or a peer, behind one interface."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmarks.client_pool import ClientKind, ClientPool
from benchmarks.epoll_loop import EpollLoop
from benchmarks.handshakes import ReadHandshake
from benchmarks.processes import Process

# The topic of all clients. To Pusher's clients, the prefix means that subscribing needs a signature.
TOPIC = "private-bench"

# The path of Socket.IO clients, on Bellcast and on the peer.
SOCKETIO = "/socket.io/?EIO=4&transport=websocket"

# Marks a measured event. It is inside a JSON string, which no server rewrites.
MARK = b"bench-note"

# Bytes of a measured event as JSON in the native dialect: as long as a small notification.
EVENT_SIZE = 180


@dataclass(frozen=True, kw_only=True)
class MeasuredServer:
    """A measured server. `greeting(kind, n)` is the first request of client n with the topic, `idle(kind, n)` the one
    without
    topics, `handshakes` the exchange after it by kind, and `publish(data)` the request that sends an event to all."""

    name: str
    process: Process
    address: tuple[str, int]
    handshakes: Mapping[ClientKind, ReadHandshake]
    greeting: Callable[[ClientKind, int], bytes]
    idle: Callable[[ClientKind, int], bytes]
    publish: Callable[[bytes], bytes]

    def pool(self, loop: EpollLoop, kind: ClientKind) -> ClientPool:
        return ClientPool(loop, self.address, kind, is_marked, self.handshakes.get(kind))


def is_marked(payload: bytes) -> int:
    return MARK in payload


def event_data(number: int) -> bytes:
    """Return `data` such that the native event is EVENT_SIZE bytes."""
    text = b'{"id":"%s-%06d","title":"New booking","body":"Saturday, 14:00","pad":"%s"}'
    fixed = len(event(text % (MARK, number, b"")))
    return text % (MARK, number, b"x" * (EVENT_SIZE - fixed))


def event(data: bytes) -> bytes:
    """Return the event as native clients receive it, which is also the payload given to peers."""
    return b'{"type":"event","topic":"%s","name":"note","data":%s}' % (TOPIC.encode(), data)


def websocket_request(path: str) -> bytes:
    return (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()


def sse_request(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\r\n".encode()


def post(path: str, body: bytes, headers: str = "", content_type: str = "application/json") -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}Content-Type: {content_type}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def get(path: str, headers: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}\r\n".encode()
