"""The client pool counts every event exactly once."""

import select

import pytest
from benchmarks.client_pool import ClientPool
from benchmarks.frames import CLOSE, CLOSE_FRAME, PING
from benchmarks.handshakes import HandshakeRefused, until

from .fixed_server import CHUNKED, STREAM, SWITCHING, chunk, epoll_loop, frame, serving

READY = frame(b'{"type":"ready"}')
NOTE = frame(b'{"note":1}')
IS_READY = until(b"ready")


def is_note(payload: bytes) -> int:
    return b"note" in payload


def connected(loop, address, clients, *, kind="websocket", handshake=IS_READY, is_uniform=True):
    pool = ClientPool(loop, address, kind, is_note, handshake, is_uniform=is_uniform)
    pool.connect(b"GET / HTTP/1.1\r\n\r\n" for _ in range(clients))
    return pool


@pytest.mark.parametrize("is_uniform", [True, False])
def test_each_client_counts_every_event(is_uniform):
    pieces = [SWITCHING + READY, NOTE, NOTE + NOTE]
    with serving(pieces, pieces, pieces) as (address, _), epoll_loop() as loop:
        pool = connected(loop, address, 3, is_uniform=is_uniform)
        pool.wait_for_events(9)
        assert pool.has_all_received(3)


def test_events_right_after_ready_are_counted():
    with serving([SWITCHING + READY + NOTE + NOTE]) as (address, _), epoll_loop() as loop:
        pool = connected(loop, address, 1)
        assert pool.has_all_received(2)


def test_event_in_two_chunks_counts_once():
    with serving([SWITCHING + READY]) as (address, links), epoll_loop() as loop:
        pool = connected(loop, address, 1)
        for piece in (NOTE[:5], NOTE[5:] + NOTE[:1], NOTE[1:], NOTE):
            links[0].sendall(piece)
            loop.step(1)
        assert pool.has_all_received(3)


def test_heartbeats_are_not_counted():
    heartbeat = frame(b'{"type":"heartbeat"}')
    with serving([SWITCHING + READY, heartbeat + NOTE + heartbeat]) as (address, _), epoll_loop() as loop:
        pool = connected(loop, address, 1)
        pool.wait_for_events(1)
        assert pool.has_all_received(1)


def test_client_responds_to_every_ping():
    with serving([SWITCHING + READY]) as (address, links), epoll_loop() as loop:
        connected(loop, address, 1)
        for _ in range(2):
            links[0].sendall(frame(b"42", PING))
            assert received(loop, links[0]) == b"\x8a\x82\0\0\0\x0042"


def test_client_sends_its_handshake_and_counts_events_after_it():
    def handshake(number, message):
        return b"me %d" % number if message == b"who?" else None

    with serving([SWITCHING + frame(b"who?")]) as (address, links), epoll_loop() as loop:
        pool = ClientPool(loop, address, "pusher", is_note, handshake)
        pool.open(b"GET / HTTP/1.1\r\n\r\n")
        while not links or not pool.opening:
            loop.step(0.1)
        assert next_message(loop, links[0]) == b"me 0"
        links[0].sendall(frame(b"welcome") + NOTE + NOTE[:3])
        pool.connect(iter(()))
        links[0].sendall(NOTE[3:])
        pool.wait_for_events(2)
        assert pool.has_all_received(2)


def next_message(loop, link):
    """Return a client's next message; the benchmark's mask is zero."""
    payload = received(loop, link)
    assert payload[0] == 0x81
    return payload[6:]


def received(loop, link):
    """Return the next bytes of a client."""
    loop.run(lambda: bool(select.select([link], [], [], 0)[0]))
    return link.recv(100)


def test_engineio_ping_is_answered_and_not_counted():
    with serving([SWITCHING + READY]) as (address, links), epoll_loop() as loop:
        pool = connected(loop, address, 1, kind="socketio")
        for _ in range(2):
            links[0].sendall(frame(b"2") + NOTE)
            assert next_message(loop, links[0]) == b"3"
        assert pool.has_all_received(2)


def test_oldest_client_leaves_first_with_a_close_frame():
    with serving([SWITCHING + READY], [SWITCHING + READY]) as (address, links), epoll_loop() as loop:
        pool = connected(loop, address, 2)
        pool.disconnect(1)
        links[0].settimeout(60)
        assert links[0].recv(100) == CLOSE_FRAME
        links[1].sendall(NOTE)
        pool.wait_for_events(1)
        assert (len(pool), pool.has_all_received(1)) == (1, True)


@pytest.mark.parametrize(
    ("head", "event"),
    [(STREAM, b"data: note\n\n"), (CHUNKED, chunk(b"data: note\n\n"))],
    ids=["plain", "chunked"],
)
def test_server_sent_events_are_counted(head, event):
    with serving([head, event + event]) as (address, _), epoll_loop() as loop:
        pool = connected(loop, address, 1, kind="sse", handshake=None)
        pool.wait_for_events(2)
        assert pool.has_all_received(2)


def test_reset_clears_the_count_and_keeps_the_clients():
    with serving([SWITCHING + READY + NOTE]) as (address, links), epoll_loop() as loop:
        pool = connected(loop, address, 1)
        pool.reset_counts()
        assert (pool.total, len(pool)) == (0, 1)
        links[0].sendall(NOTE)
        pool.wait_for_events(1)
        assert pool.has_all_received(1)


@pytest.mark.parametrize(
    "pieces",
    [
        [b"HTTP/1.1 401 Unauthorized\r\n\r\n"],
        [SWITCHING + frame(b'{"type":"close"}')],
    ],
    ids=["refused", "closed instead of ready"],
)
def test_refused_handshake_raises(pieces):
    with serving(pieces) as (address, _), epoll_loop() as loop, pytest.raises(HandshakeRefused):
        connected(loop, address, 1)


@pytest.mark.parametrize("goodbye", [frame(b"\x10\x2e", CLOSE), b""], ids=["close frame", "end of stream"])
def test_closed_connection_raises(goodbye):
    with serving([SWITCHING + READY]) as (address, links), epoll_loop() as loop:
        pool = connected(loop, address, 1)
        links[0].sendall(goodbye)
        links[0].close()
        with pytest.raises(HandshakeRefused):
            pool.wait_for_events(1)
