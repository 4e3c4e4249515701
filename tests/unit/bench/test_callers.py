"""Requests go out one at a time on each connection, and every answer is noted."""

import socket
import threading

import pytest
from tests.unit.bench.fixed_server import reacting, serving

from bellcast.bench.epoll_loop import Deadline, OutOfTimeError
from bellcast.bench.handshakes import HandshakeRefused
from bellcast.bench.http_load import HttpCaller, drive, send_request

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
REFUSED = b"HTTP/1.1 422 No\r\nContent-Length: 7\r\n\r\ntoo big"
REQUEST = b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture
def answering():
    """Starts a server that reads requests of one size and answers each, one byte short at first."""
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def serve(link: socket.socket, size: int, answer: bytes) -> None:
        with link:
            while len(link.recv(size, socket.MSG_WAITALL)) == size:
                link.sendall(answer[:-1])
                link.sendall(answer[-1:])

    def accept(size: int, answer: bytes, links: int) -> None:
        for _ in range(links):
            thread = threading.Thread(target=serve, args=(listener.accept()[0], size, answer))
            thread.start()
            threads.append(thread)

    def start(answer: bytes, size: int = len(REQUEST), links: int = 1) -> tuple[str, int]:
        thread = threading.Thread(target=accept, args=(size, answer, links))
        thread.start()
        threads.append(thread)
        return listener.getsockname()

    yield start
    listener.close()
    for thread in threads:
        thread.join(5)


def test_every_request_is_answered_over_all_connections(answering):
    address = answering(OK, links=4)
    bodies: list[bytes] = []
    outcome = drive(Deadline(5), address, iter([REQUEST] * 50), 4, bodies.append).must_be(200)
    assert (outcome.number, len(outcome.waits), bodies) == (50, 50, [b"ok"] * 50)


def test_a_request_larger_than_the_sockets_buffer_goes_out_whole(answering):
    large = b"x" * 20_000_000
    address = answering(OK, size=len(large))
    assert drive(Deadline(5), address, iter([large, large]), 1).must_be(200).number == 2


def test_a_caller_that_was_hung_up_on_in_between_dials_anew():
    answers: list[bytes] = []
    with serving([OK], [OK]) as (address, links), reacting() as reactor:
        caller = HttpCaller(reactor, address, lambda _, answer: answers.append(answer.body))
        caller.send(REQUEST)
        reactor.run(lambda: len(answers) == 1)
        links[0].close()
        reactor.run(lambda: caller.is_hung_up)
        caller.send(REQUEST)
        reactor.run(lambda: len(answers) == 2)
    assert answers == [b"ok", b"ok"]


def test_a_caller_that_is_hung_up_on_without_an_answer_says_so():
    with serving([]) as (address, links), reacting() as reactor:
        HttpCaller(reactor, address, lambda *_: None).send(REQUEST)
        reactor.run(lambda: bool(links))
        links[0].shutdown(socket.SHUT_RDWR)
        with pytest.raises(HandshakeRefused, match="hung up"):
            reactor.run(lambda: False)


def test_a_refusal_is_told_with_its_body(answering):
    with pytest.raises(HandshakeRefused, match=r"422.*too big"):
        send_request(Deadline(5), answering(REFUSED), REQUEST)


def test_a_server_that_never_answers_runs_out_of_time(answering):
    address = answering(OK, size=len(REQUEST) + 1)
    with pytest.raises(OutOfTimeError):
        send_request(Deadline(0.1), address, REQUEST)
