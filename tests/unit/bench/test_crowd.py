"""Every event is counted once, however it arrives, and nothing else is."""

import select

import pytest

from bellcast.bench.client_pool import ClientPool
from bellcast.bench.frames import CLOSE, GOODBYE, PING
from bellcast.bench.handshakes import HandshakeRefused, until

from .fixed_server import CHUNKED, STREAM, SWITCHING, chunk, frame, reacting, serving

READY = frame(b'{"type":"ready"}')
NOTE = frame(b'{"note":1}')
GREETED = until(b"ready")


def is_note(payload: bytes) -> int:
    return b"note" in payload


def connected(reactor, address, clients, *, kind="websocket", talk=GREETED, alike=True):
    crowd = ClientPool(reactor, address, kind, is_note, talk, alike=alike)
    crowd.connect(b"GET / HTTP/1.1\r\n\r\n" for _ in range(clients))
    return crowd


@pytest.mark.parametrize("alike", [True, False])
def test_each_client_counts_every_event(alike):
    pieces = [SWITCHING + READY, NOTE, NOTE + NOTE]
    with serving(pieces, pieces, pieces) as (address, _), reacting() as reactor:
        crowd = connected(reactor, address, 3, alike=alike)
        crowd.listen(9)
        assert crowd.has_all_received(3)


def test_events_right_behind_ready_are_counted():
    with serving([SWITCHING + READY + NOTE + NOTE]) as (address, _), reacting() as reactor:
        crowd = connected(reactor, address, 1)
        assert crowd.has_all_received(2)


def test_an_event_in_two_pieces_counts_once_and_does_not_confuse_the_next():
    with serving([SWITCHING + READY]) as (address, links), reacting() as reactor:
        crowd = connected(reactor, address, 1)
        for piece in (NOTE[:5], NOTE[5:] + NOTE[:1], NOTE[1:], NOTE):
            links[0].sendall(piece)
            reactor.step(1)
        assert crowd.has_all_received(3)


def test_what_is_no_event_is_not_counted():
    heartbeat = frame(b'{"type":"heartbeat"}')
    with serving([SWITCHING + READY, heartbeat + NOTE + heartbeat]) as (address, _), reacting() as reactor:
        crowd = connected(reactor, address, 1)
        crowd.listen(1)
        assert crowd.has_all_received(1)


def test_a_ping_is_answered_each_time():
    with serving([SWITCHING + READY]) as (address, links), reacting() as reactor:
        connected(reactor, address, 1)
        for _ in range(2):
            links[0].sendall(frame(b"42", PING))
            assert received(reactor, links[0]) == b"\x8a\x82\0\0\0\x0042"


def test_a_client_says_what_its_talk_asks_for_and_what_comes_behind_its_greeting_is_counted():
    def talk(number, heard):
        return b"me %d" % number if heard == b"who?" else None

    with serving([SWITCHING + frame(b"who?")]) as (address, links), reacting() as reactor:
        crowd = ClientPool(reactor, address, "pusher", is_note, talk)
        crowd.open(b"GET / HTTP/1.1\r\n\r\n")
        while not links or not crowd.opening:
            reactor.step(0.1)
        assert answered(reactor, links[0]) == b"me 0"
        links[0].sendall(frame(b"welcome") + NOTE + NOTE[:3])
        crowd.connect(iter(()))
        links[0].sendall(NOTE[3:])
        crowd.listen(2)
        assert crowd.has_all_received(2)


def answered(reactor, link):
    """What a client says next, whose mask is zero."""
    said = received(reactor, link)
    assert said[0] == 0x81
    return said[6:]


def received(reactor, link):
    """The next bytes of a client."""
    reactor.run(lambda: bool(select.select([link], [], [], 0)[0]))
    return link.recv(100)


def test_engine_ios_pulse_is_answered_and_is_no_event():
    with serving([SWITCHING + READY]) as (address, links), reacting() as reactor:
        crowd = connected(reactor, address, 1, kind="socketio")
        for _ in range(2):
            links[0].sendall(frame(b"2") + NOTE)
            assert answered(reactor, links[0]) == b"3"
        assert crowd.has_all_received(2)


def test_who_came_first_leaves_first_with_a_goodbye():
    with serving([SWITCHING + READY], [SWITCHING + READY]) as (address, links), reacting() as reactor:
        crowd = connected(reactor, address, 2)
        crowd.leave(1)
        links[0].settimeout(5)
        assert links[0].recv(100) == GOODBYE
        links[1].sendall(NOTE)
        crowd.listen(1)
        assert (len(crowd), crowd.has_all_received(1)) == (1, True)


@pytest.mark.parametrize(
    ("head", "event"),
    [(STREAM, b"data: note\n\n"), (CHUNKED, chunk(b"data: note\n\n"))],
    ids=["plain", "chunked"],
)
def test_server_sent_events_are_counted(head, event):
    with serving([head, event + event]) as (address, _), reacting() as reactor:
        crowd = connected(reactor, address, 1, kind="sse", talk=None)
        crowd.listen(2)
        assert crowd.has_all_received(2)


def test_starting_again_forgets_the_count_and_keeps_the_clients():
    with serving([SWITCHING + READY + NOTE]) as (address, links), reacting() as reactor:
        crowd = connected(reactor, address, 1)
        crowd.reset_counts()
        assert (crowd.total, len(crowd)) == (0, 1)
        links[0].sendall(NOTE)
        crowd.listen(1)
        assert crowd.has_all_received(1)


@pytest.mark.parametrize(
    "pieces",
    [
        [b"HTTP/1.1 401 Unauthorized\r\n\r\n"],
        [SWITCHING + frame(b'{"type":"close"}')],
    ],
    ids=["refused", "closed instead of ready"],
)
def test_a_refusal_is_an_error_and_not_a_client(pieces):
    with serving(pieces) as (address, _), reacting() as reactor, pytest.raises(HandshakeRefused):
        connected(reactor, address, 1)


@pytest.mark.parametrize("goodbye", [frame(b"\x10\x2e", CLOSE), b""], ids=["close frame", "end of stream"])
def test_a_client_that_is_cut_off_is_an_error(goodbye):
    with serving([SWITCHING + READY]) as (address, links), reacting() as reactor:
        crowd = connected(reactor, address, 1)
        links[0].sendall(goodbye)
        links[0].close()
        with pytest.raises(HandshakeRefused):
            crowd.listen(1)
