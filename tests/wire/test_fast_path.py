"""A live request gets the same response whether it arrives in one piece, which takes the fast path, or in two."""

import itertools
import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.faults.raw_sockets import HANDSHAKE, WAIT, Raw, request, upgrade
from tests.servers import ServerProcess
from tests.unit.live.framing.client import PING, PONG, frame

numbers = itertools.count()

STREAM, SOCKET = "/v1/stream", "/v1/ws"
# `TOKEN` is replaced by a session token.
REQUESTS = {
    "a stream": request(f"{STREAM}?token=TOKEN"),
    "a stream with a slash behind": request(f"{STREAM}/?token=TOKEN"),
    "a stream of an escaped path": request("/v1/%73tream?token=TOKEN"),
    "a stream over HTTP/1.0": request(f"{STREAM}?token=TOKEN", version="1.0"),
    "a stream with a body": request(f"{STREAM}?token=TOKEN", body=b"ignored"),
    "a stream and more behind": request(f"{STREAM}?token=TOKEN") + request("/healthz"),
    "a stream with bad words behind": request(f"{STREAM}?token=TOKEN") + b"\0\0",
    "a stream without a token": request(STREAM),
    "a stream of a forged token": request(f"{STREAM}?token=a.b.c"),
    "a stream for another page": request(f"{STREAM}?token=TOKEN", Origin="https://elsewhere.example"),
    "a stream by POST": request(f"{STREAM}?token=TOKEN", method="POST"),
    "a stream with a WebSocket upgrade": request(f"{STREAM}?token=TOKEN", **HANDSHAKE),
    "a stream with an HTTP/2 upgrade": request(f"{STREAM}?token=TOKEN", Connection="Upgrade", Upgrade="h2c"),
    "a WebSocket": request(f"{SOCKET}?token=TOKEN", **HANDSHAKE),
    "a WebSocket without a token": request(SOCKET, **HANDSHAKE),
    "a WebSocket of a forged token": request(f"{SOCKET}?token=a.b.c", **HANDSHAKE),
    "a WebSocket for another page": request(f"{SOCKET}?token=TOKEN", **HANDSHAKE, Origin="https://elsewhere.example"),
    "a WebSocket of an old version": request(SOCKET, **{**HANDSHAKE, "Sec-WebSocket-Version": "8"}),
    "a WebSocket without a key": request(SOCKET, **{**HANDSHAKE, "Sec-WebSocket-Key": ""}),
    "a WebSocket with a body": request(SOCKET, body=b"abc", **HANDSHAKE),
    "a plain GET to a WebSocket path": request(f"{SOCKET}?token=TOKEN"),
    "a WebSocket to a plain path": request("/healthz", **HANDSHAKE),
    "a WebSocket of Pusher's for no app": request("/app/nobody?protocol=7", **HANDSHAKE),
    "a WebSocket of Socket.IO's": request("/socket.io/?EIO=4&transport=websocket", **HANDSHAKE),
    "a WebSocket of Socket.IO's for no session": request("/socket.io/?EIO=4&transport=websocket&sid=x", **HANDSHAKE),
    "a first poll of Socket.IO's": request("/socket.io/?EIO=4&transport=polling", Connection="close"),
    "a header that is none": b"GET /v1/stream HTTP/1.1\r\nHost: a\r\nno header\r\n\r\n",
    "a bare path": b"GET /v1/stream\r\n\r\n",
    "lines that end early": request(f"{STREAM}?token=TOKEN").replace(b"\r\n", b"\n"),
}
# Headers that differ between two responses, or depend on whether another request may follow.
VARYING_HEADERS = (b"connection", b"date", b"sec-websocket-accept", b"x-request-id")
UNREADABLE = b"The request is not valid HTTP/1.1."
# The parts of a body to compare.
COMPARED = re.compile(rb'event: \w+|"(?:type|event|code|title|detail|field)":"[^"]*"')
QUIET_SECONDS = 8.0  # seconds of silence after which a response counts as complete, since streams do not end


@pytest.fixture(scope="module")
def responses(bellcast_server: ServerProcess) -> dict[str, list[bytes]]:
    """Responses to each request in one piece and in two, all sent concurrently since most of the time is waiting."""
    with ThreadPoolExecutor(2 * len(REQUESTS)) as threads:
        pending = {
            name: [threads.submit(_response, bellcast_server, sent, pieces) for pieces in (1, 2)]
            for name, sent in REQUESTS.items()
        }
        return {name: [response.result() for response in pair] for name, pair in pending.items()}


@pytest.mark.parametrize("name", REQUESTS)
def test_request_in_one_piece_gets_the_same_response_as_in_two(responses: dict[str, list[bytes]], name: str) -> None:
    whole, halves = responses[name]
    assert whole
    assert _comparable(whole) == _comparable(halves)


@pytest.mark.parametrize("name", REQUESTS)
def test_response_has_one_request_id(responses: dict[str, list[bytes]], name: str) -> None:
    for response in responses[name]:
        head = response.partition(b"\r\n\r\n")[0].lower()
        is_readable = UNREADABLE not in response  # otherwise the HTTP parser has refused it
        assert head.count(b"\r\nx-request-id: ") == is_readable


def _response(server: ServerProcess, sent: bytes, pieces: int) -> bytes:
    sent = sent.replace(b"TOKEN", server.token(f"person{next(numbers)}").encode())
    middle = len(sent) // 2 if pieces == 2 else len(sent)
    with Raw(server) as client:
        client.send(sent[:middle])
        if sent[middle:]:
            time.sleep(0.05)  # so that it arrives as a second piece
            client.send(sent[middle:])
        return _read_all(client)


def _read_all(client: Raw) -> bytes:
    """Read until the server is silent."""
    received = b""
    client.socket.settimeout(WAIT)
    try:
        while data := client.socket.recv(65_536):
            received += data
            client.socket.settimeout(QUIET_SECONDS)
    except (TimeoutError, ConnectionResetError):
        pass
    return received


def _comparable(response: bytes) -> tuple[bytes, list[bytes], list[bytes]]:
    """Return the status, the sorted header lines and the comparable parts of the body."""
    head, _, body = response.partition(b"\r\n\r\n")
    status, *lines = head.split(b"\r\n")
    headers = sorted(line.lower() for line in lines if line.partition(b":")[0].lower() not in VARYING_HEADERS)
    return status, headers, COMPARED.findall(body)


@pytest.mark.thorough
def test_frames_right_behind_a_handshake_are_processed(bellcast_server: ServerProcess) -> None:
    """The request carries ten pings, and ten more follow: as many as a second may have."""
    pings = b"".join(frame(PING, b"%d" % number) for number in range(10))
    with Raw(bellcast_server) as client:
        client.send(upgrade(bellcast_server, f"person{next(numbers)}"), pings)
        client.send(pings)
        received = _read_all(client)
    assert received.count(bytes([0x80 | PONG])) >= 20
