"""Requests are sequential per connection, and every response is recorded."""

import socket
import threading

import pytest
from benchmarks.epoll_loop import Deadline, OutOfTimeError
from benchmarks.handshakes import HandshakeRefused
from benchmarks.http_load import HttpCaller, drive, send_request

from tests.unit.bench.fixed_server import epoll_loop, serving

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
REFUSED = b"HTTP/1.1 422 No\r\nContent-Length: 7\r\n\r\ntoo big"
REQUEST = b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture
def start_server():
    """Start a server that reads requests of one size and responds to each, the last byte in a second write."""
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def serve(connection: socket.socket, size: int, response: bytes) -> None:
        with connection:
            while len(connection.recv(size, socket.MSG_WAITALL)) == size:
                connection.sendall(response[:-1])
                connection.sendall(response[-1:])

    def accept(size: int, response: bytes, connections: int) -> None:
        for _ in range(connections):
            thread = threading.Thread(target=serve, args=(listener.accept()[0], size, response))
            thread.start()
            threads.append(thread)

    def start(response: bytes, size: int = len(REQUEST), connections: int = 1) -> tuple[str, int]:
        thread = threading.Thread(target=accept, args=(size, response, connections))
        thread.start()
        threads.append(thread)
        return listener.getsockname()

    yield start
    listener.close()
    for thread in threads:
        thread.join(60)


def test_every_request_is_answered_over_all_connections(start_server):
    address = start_server(OK, connections=4)
    bodies: list[bytes] = []
    outcome = drive(Deadline(60), address, iter([REQUEST] * 50), 4, bodies.append).expect_status(200)
    assert (outcome.number, len(outcome.waits), bodies) == (50, 50, [b"ok"] * 50)


def test_request_larger_than_the_socket_buffer_is_sent_whole(start_server):
    large = b"x" * 20_000_000
    address = start_server(OK, size=len(large))
    assert drive(Deadline(60), address, iter([large, large]), 1).expect_status(200).number == 2


def test_caller_reconnects_after_the_server_closed_the_connection():
    bodies: list[bytes] = []
    with serving([OK], [OK]) as (address, sockets), epoll_loop() as loop:
        caller = HttpCaller(loop, address, lambda _, response: bodies.append(response.body))
        caller.send(REQUEST)
        loop.run(lambda: len(bodies) == 1)
        sockets[0].close()
        loop.run(lambda: caller.is_closed)
        caller.send(REQUEST)
        loop.run(lambda: len(bodies) == 2)
    assert bodies == [b"ok", b"ok"]


def test_caller_raises_when_the_connection_closes_without_a_response():
    with serving([]) as (address, sockets), epoll_loop() as loop:
        HttpCaller(loop, address, lambda *_: None).send(REQUEST)
        loop.run(lambda: bool(sockets))
        sockets[0].shutdown(socket.SHUT_RDWR)
        with pytest.raises(HandshakeRefused, match="connection closed"):
            loop.run(lambda: False)


def test_refusal_is_raised_with_its_body(start_server):
    with pytest.raises(HandshakeRefused, match=r"422.*too big"):
        send_request(Deadline(60), start_server(REFUSED), REQUEST)


def test_silent_server_exceeds_the_deadline(start_server):
    address = start_server(OK, size=len(REQUEST) + 1)
    with pytest.raises(OutOfTimeError):
        send_request(Deadline(0.1), address, REQUEST)
