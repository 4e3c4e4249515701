"""A target: a running server that is measured, ours or a peer, behind one face."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bellcast.bench.client_pool import ClientPool, Kind
from bellcast.bench.epoll_loop import EpollLoop
from bellcast.bench.handshakes import Handshake
from bellcast.bench.processes import Process

# What everybody follows. Pusher's clients read the prefix: this channel wants a signature.
TOPIC = "private-bench"

# Where Socket.IO's clients connect, of ours and of the peer.
SOCKETIO = "/socket.io/?EIO=4&transport=websocket"

# What marks the bytes of a measured event; it stands in a JSON string, which no server rewrites.
MARK = b"bench-note"

# A notification-like event is this long as JSON, with everything that names it.
EVENT_SIZE = 180


@dataclass(frozen=True, kw_only=True)
class Target:
    """`greeting` is what client number n opens with to follow the topic, `idle` what it opens with to follow no more than
    it must, `talks` what the clients say after that where they have to, `publish` the request that sends one event to
    everyone."""

    name: str
    process: Process
    address: tuple[str, int]
    talks: Mapping[Kind, Handshake]
    greeting: Callable[[Kind, int], bytes]
    idle: Callable[[Kind, int], bytes]
    publish: Callable[[bytes], bytes]

    def crowd(self, reactor: EpollLoop, kind: Kind) -> ClientPool:
        return ClientPool(reactor, self.address, kind, is_marked, self.talks.get(kind))


def is_marked(payload: bytes) -> int:
    return MARK in payload


def event_data(number: int) -> bytes:
    """The `data` of an event that is EVENT_SIZE bytes in our native dialect."""
    text = b'{"id":"%s-%06d","title":"New booking","body":"Saturday, 14:00","pad":"%s"}'
    fixed = len(event(text % (MARK, number, b"")))
    return text % (MARK, number, b"x" * (EVENT_SIZE - fixed))


def event(data: bytes) -> bytes:
    """The whole event, as a client of ours reads it, and as the peers are given it to send."""
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
