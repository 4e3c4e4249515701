"""An operator opens one view after the other."""

import pytest
from tests.unit.bench.fixed_server import epoll_loop, serving

from bellcast.bench import console
from bellcast.bench.handshakes import HandshakeRefused

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
MISSING = b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}"


class Server:
    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address


def test_view_is_opened_once_in_an_interval_while_active():
    with serving([OK]) as (address, _), epoll_loop() as loop:
        browsing = console.Browsing(loop, Server(address), iter([b"GET / HTTP/1.1\r\n\r\n"] * 2))
        assert browsing.step()
        assert browsing.opened == 0
        browsing.is_active = True
        browsing.step()
        loop.run(lambda: browsing.opened == 1)
        assert browsing.step()  # the next one is due in a second
        assert browsing.opened == 1


def test_view_that_is_refused_fails_the_benchmark():
    with serving([MISSING]) as (address, _), epoll_loop() as loop:
        browsing = console.Browsing(loop, Server(address), iter([b"GET / HTTP/1.1\r\n\r\n"]))
        browsing.is_active = True
        browsing.step()
        with pytest.raises(HandshakeRefused, match="404"):
            loop.run(lambda: browsing.opened == 1)
