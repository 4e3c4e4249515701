"""Crowds in processes of their own do what they are told, count what they hear, and end with whoever tells them."""

import itertools
import time

import pytest

from bellcast.bench.client_pool import ClientPool
from bellcast.bench.client_processes import ClientProcesses, ClientShare, Order
from bellcast.bench.epoll_loop import Deadline
from bellcast.bench.handshakes import HandshakeRefused, until

from .fixed_server import SWITCHING, frame, serving

READY = frame(b'{"type":"ready"}')
NOTE = frame(b'{"note":1}')


def is_note(payload: bytes) -> int:
    return b"note" in payload


def part(address):
    return ClientShare(
        lambda reactor: ClientPool(reactor, address, "websocket", is_note, until(b"ready"), alike=False),
        itertools.repeat(b"GET / HTTP/1.1\r\n\r\n"),
    )


def thronging(*addresses):
    return ClientProcesses(Deadline(20), [part(address) for address in addresses])


def test_clients_come_in_every_process_and_more_of_them_when_told_again():
    pieces = [[SWITCHING + READY]] * 2
    with serving(*pieces) as (one, _), serving(*pieces) as (other, _), thronging(one, other) as throng:
        assert [told.clients for told in throng.order(Order(connect=1))] == [1, 1]
        assert [told.clients for told in throng.order(Order(connect=1))] == [2, 2]


def test_an_order_is_done_when_everybody_has_heard_what_it_waits_for():
    with serving([SWITCHING + READY]) as (address, links), thronging(address) as throng:
        throng.order(Order(connect=1))
        links[0].sendall(NOTE)
        begin = time.perf_counter()
        [told] = throng.order(Order(each=1, patience=10))
        assert (told.total, told.exact) == (1, True)
        assert begin <= told.at <= time.perf_counter()


def test_what_does_not_come_is_not_waited_for_longer_than_told():
    with serving([SWITCHING + READY]) as (address, _), thronging(address) as throng:
        throng.order(Order(connect=1))
        [told] = throng.order(Order(each=1, patience=0.05))
        assert (told.total, told.exact) == (0, False)


def test_one_too_many_is_no_exact_count():
    with serving([SWITCHING + READY + NOTE + NOTE]) as (address, _), thronging(address) as throng:
        [told] = throng.order(Order(connect=1, each=1, patience=10, settle=0.2))
        assert (told.total, told.exact) == (2, False)


def test_a_client_that_is_cut_off_fails_the_next_order():
    with serving([SWITCHING + READY]) as (address, links), thronging(address) as throng:
        throng.order(Order(connect=1))
        links[0].shutdown(2)
        with pytest.raises(HandshakeRefused, match="hung up"):
            throng.order(Order(each=1, patience=10))


def test_the_processes_end_with_whoever_tells_them():
    with serving([SWITCHING + READY]) as (address, _):
        with thronging(address) as throng:
            throng.order(Order(connect=1))
            [process] = throng._processes
        assert process.exitcode == 0
