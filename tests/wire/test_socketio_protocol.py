"""Engine.IO and Socket.IO by hand: the cases of the protocols' own suites, and others. The tests respond to pings,
so that no test passes because a ping timeout closed the connection.
"""

import base64
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.servers import ServerProcess

ECHOES = {
    "BELLCAST_HANDLERS": "tests.wire.echoes:handlers",
    "BELLCAST_ANONYMOUS": "allow",
    # Longer than any step takes, so that no test passes or fails because of them.
    "BELLCAST_SOCKETIO_UPGRADE_TIMEOUT": "120s",
    "BELLCAST_SOCKETIO_CONNECT_TIMEOUT": "120s",
    "BELLCAST_LIMIT_FRAMES_PER_SECOND": "50",
}
IMPATIENT = {"BELLCAST_SOCKETIO_UPGRADE_TIMEOUT": "600ms", "BELLCAST_SOCKETIO_CONNECT_TIMEOUT": "1s"}
LIMIT_SECONDS = 60  # a step takes milliseconds unless something is broken
POLLING = "/socket.io/?EIO=4&transport=polling"
WEBSOCKET = "/socket.io/?EIO=4&transport=websocket"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("pipe") / "data", ECHOES) as server:
        yield server


@pytest.fixture(scope="module")
def http(server: ServerProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


class Polled:
    """A polling session."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http
        self.opened = json.loads(http.get(POLLING).text[1:])
        self.path = f"{POLLING}&sid={self.opened['sid']}"

    def get(self, **headers: str) -> httpx.Response:
        return self._http.get(self.path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def hold(self, pool: ThreadPoolExecutor) -> "Future[httpx.Response]":
        """Poll in a thread; return once the server holds the poll, which gets no response yet."""
        sent = threading.Event()

        def trace(name: str, info: object) -> None:
            if name == "http11.send_request_body.complete":
                sent.set()

        poll = pool.submit(self._http.get, self.path, extensions={"trace": trace})
        assert sent.wait(LIMIT_SECONDS)
        for _ in range(2):  # a connection that is opened later is read later
            httpx.get(self._http.base_url.join("/healthz"))
        assert not poll.done()
        return poll

    def post(self, body: str | bytes, **headers: str) -> httpx.Response:
        return self._http.post(self.path, content=body, headers=headers)

    def join(self) -> "Polled":
        assert self.post("40").text == "ok"
        packets = self.get().text
        while '"auth"' not in packets:
            packets += self.get().text
        return self

    def lives(self) -> bool:
        return self.post("3").status_code == 200

    def dies(self) -> bool:
        """Wait for the end. The pauses are longer than the timeouts, since each request restarts those."""
        return becomes_true(lambda: not self.lives(), pause=1.5)


@pytest.fixture
def session(http: httpx.Client) -> Polled:
    return Polled(http)


@contextmanager
def websocket(server: ServerProcess, sid: str | None = None, **options: Any) -> Iterator[ClientConnection]:
    path = WEBSOCKET if sid is None else f"{WEBSOCKET}&sid={sid}"
    with connect(server.url.replace("http", "ws") + path, **options) as one:
        yield one


@contextmanager
def joined_websocket(server: ServerProcess) -> Iterator[ClientConnection]:
    with websocket(server) as one:
        assert json.loads(str(one.recv())[1:])["upgrades"] == []
        one.send("40")
        assert str(one.recv()).startswith('40{"sid":')
        assert one.recv() == '42["auth",{}]'
        yield one


def closes(one: ClientConnection) -> bool:
    try:
        while True:
            one.recv(timeout=LIMIT_SECONDS)
    except TimeoutError:
        return False
    except ConnectionClosed:
        return True


# --- the handshake


@pytest.mark.parametrize(
    ("method", "path", "code", "status"),
    [
        ("GET", "/socket.io/?EIO=4", 0, 400),
        ("GET", "/socket.io/?EIO=4&transport=pigeon", 0, 400),
        ("GET", f"{POLLING}&sid=nobody", 1, 400),
        ("POST", f"{POLLING}&sid=nobody", 1, 400),
        ("POST", POLLING, 2, 400),
        ("PUT", POLLING, 2, 400),
        ("GET", WEBSOCKET, 3, 400),
        ("GET", "/socket.io/?transport=polling", 5, 400),
        ("GET", "/socket.io/?EIO=3&transport=polling", 5, 400),
    ],
)
def test_refusal_has_the_documented_code(http: httpx.Client, method: str, path: str, code: int, status: int) -> None:
    response = http.request(method, path, headers={"origin": "https://app.example"})
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.headers["access-control-allow-origin"] == "https://app.example"


def test_open_packet_has_its_fields_and_headers(http: httpx.Client) -> None:
    response = http.get(f"{POLLING}&t=abc&b64=1&custom=x")
    assert response.headers["content-type"] == "text/plain; charset=UTF-8"
    assert response.headers["cache-control"] == "no-store"
    opened = json.loads(response.text[1:])
    assert opened.pop("sid").isprintable()
    assert opened == {"upgrades": ["websocket"], "pingInterval": 25000, "pingTimeout": 20000, "maxPayload": 1000000}


def test_empty_sid_opens_a_session_over_both_transports(server: ServerProcess, http: httpx.Client) -> None:
    response = http.get(f"{POLLING}&sid=")
    assert json.loads(response.text[1:])["sid"]
    with websocket(server, sid="") as one:
        assert json.loads(str(one.recv())[1:])["sid"]
    assert http.post(f"{POLLING}&sid=").json()["code"] == 2


def test_binary_event_with_line_breaks_in_its_base64_is_acknowledged(session: Polled) -> None:
    """The Java client ends base64 with a line feed."""
    session.join()
    assert session.post('451-7["echo",{"_placeholder":true,"num":0}]\x1ebYWJ1\r\nZmYx\n').text == "ok"
    assert session.get().text.startswith("4")
    assert session.lives()


def test_preflight_allows_the_requested_headers(http: httpx.Client) -> None:
    requested = {"origin": "https://app.example", "access-control-request-headers": "x-one,authorization"}
    response = http.options(POLLING, headers=requested)
    assert response.status_code == 204
    assert response.headers["access-control-allow-headers"] == "x-one,authorization"


def test_invalid_upgrade_is_refused_before_the_101(server: ServerProcess) -> None:
    for path in (f"{WEBSOCKET}&sid=nobody", "/socket.io/?transport=websocket", POLLING):
        with pytest.raises(InvalidStatus) as refused, connect(server.url.replace("http", "ws") + path):
            pass
        assert refused.value.response.status_code == 400


def test_undeclared_origin_is_refused_by_both_transports(start_server: Callable[..., ServerProcess]) -> None:
    server = start_server(BELLCAST_ORIGINS="https://app.example")
    elsewhere = {"origin": "https://elsewhere.example"}
    assert httpx.get(server.url + POLLING, headers=elsewhere).json()["code"] == 4
    with pytest.raises(InvalidStatus) as refused, websocket(server, additional_headers=elsewhere):
        pass
    assert refused.value.response.status_code == 403
    allowed = httpx.get(server.url + POLLING, headers={"origin": "https://app.example"})
    assert allowed.headers["access-control-allow-credentials"] == "true"


def test_client_file_is_served_or_reported_as_missing(
    http: httpx.Client, start_server: Callable[..., ServerProcess], tmp_path: Any
) -> None:
    assert "BELLCAST_SOCKETIO_CLIENT_FILE" in http.get("/socket.io/socket.io.js").text
    file = tmp_path / "client.js"
    file.write_text("the client")
    server = start_server(BELLCAST_SOCKETIO_CLIENT_FILE=str(file), BELLCAST_SOCKETIO_PATH="/live/io/")
    response = httpx.get(server.url + "/live/io/socket.io.js")
    assert (response.text, response.status_code) == ("the client", 200)
    revalidated = httpx.get(server.url + "/live/io/socket.io.js", headers={"if-none-match": response.headers["etag"]})
    assert revalidated.status_code == 304
    assert httpx.get(server.url + "/live/io/?EIO=4&transport=polling").text[:1] == "0"


# --- polling


def test_thousand_packets_in_one_body_are_handled_in_order(session: Polled) -> None:
    session.join()
    body = "\x1e".join(f'42["message",{number}]' for number in range(1000))
    assert session.post(body).text == "ok"
    received: list[str] = []
    while len(received) < 1000:
        received += [one for one in session.get().text.split("\x1e") if one != "2"]
    assert received == [f'42["message-back",{number}]' for number in range(1000)]


def test_binary_data_is_base64_over_polling(session: Polled) -> None:
    session.join()
    bytes_ = base64.b64encode(b"\x00\xff").decode()
    session.post('451-["message",{"_placeholder":true,"num":0}]\x1eb' + bytes_)
    assert session.get().text == f'451-["message-back",{{"_placeholder":true,"num":0}}]\x1eb{bytes_}'


def test_oversized_body_is_413_and_the_session_survives(session: Polled) -> None:
    assert session.post("4" + "x" * 1_000_001).status_code == 413
    assert session.lives()


@pytest.mark.parametrize("body", [b"", b"abc", b"4\xff", b"b!", b"2"])
def test_unreadable_body_ends_the_session(session: Polled, body: bytes) -> None:
    session.post(body)
    assert session.get().json()["code"] == 1


def test_octet_stream_and_other_methods_are_refused(session: Polled, http: httpx.Client) -> None:
    assert session.post("4", **{"content-type": "application/octet-stream"}).status_code == 400
    assert http.put(session.path).status_code >= 400
    assert session.lives()


def test_second_poll_ends_the_session_and_the_first_poll(session: Polled, pool: ThreadPoolExecutor) -> None:
    first = session.hold(pool)
    assert session.get().status_code == 400
    assert first.result(LIMIT_SECONDS).text == "1"
    assert session.get().json()["code"] == 1


def test_aborted_poll_ends_the_session(server: ServerProcess, session: Polled) -> None:
    hang_up(server, f"GET {session.path} HTTP/1.1\r\nHost: x\r\n\r\n")
    assert becomes_true(lambda: not session.lives())


def test_aborted_post_ends_the_session(server: ServerProcess, session: Polled) -> None:
    hang_up(server, f"POST {session.path} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n4half")
    assert becomes_true(lambda: not session.lives())


def test_close_packet_by_post_ends_the_session(session: Polled, pool: ThreadPoolExecutor) -> None:
    poll = session.hold(pool)
    assert session.post("1").text == "ok"
    assert poll.result(LIMIT_SECONDS).text == "6"
    assert session.get().json()["code"] == 1


def test_session_without_a_namespace_times_out(start_server: Callable[..., ServerProcess]) -> None:
    server = start_server(**ECHOES | IMPATIENT)
    with httpx.Client(base_url=server.url) as http, websocket(server) as one:
        session = Polled(http)
        one.recv()
        assert closes(one)
        assert session.dies()


@pytest.mark.thorough
def test_session_that_has_left_its_namespaces_times_out(start_server: Callable[..., ServerProcess]) -> None:
    server = start_server(**ECHOES | {"BELLCAST_SOCKETIO_CONNECT_TIMEOUT": "4s"})
    with httpx.Client(base_url=server.url) as http, joined_websocket(server) as left, joined_websocket(server) as back:
        session = Polled(http).join()
        left.send("41")
        assert session.post("41").text == "ok"
        back.send("41")
        back.send("40")
        assert closes(left)
        assert session.dies()
        assert str(back.recv()).startswith('40{"sid":')


# --- the upgrade


def test_poll_during_a_probe_returns_immediately(
    server: ServerProcess, session: Polled, pool: ThreadPoolExecutor
) -> None:
    session.join()
    held = session.hold(pool)
    with websocket(server, session.opened["sid"]) as one:
        assert not held.done()  # the 101 alone changes nothing
        one.send("2probe")
        assert one.recv() == "3probe"
        assert held.result(LIMIT_SECONDS).text == "6"
        assert pool.submit(session.get).result(LIMIT_SECONDS).text == "6"
        session.post('42["message","during"]')
        assert pool.submit(session.get).result(LIMIT_SECONDS).text == '42["message-back","during"]'
        session.post('42["message","waiting"]')
        one.send("5")
        assert one.recv() == '42["message-back","waiting"]'
        assert session.get().json()["code"] == 3
        with websocket(server, session.opened["sid"]) as second:
            assert closes(second)
        one.send('42["message","after"]')
        assert one.recv() == '42["message-back","after"]'


@pytest.mark.parametrize("wrong", ["2", "4hello", "3probe", b"\x01", "abc"])
def test_invalid_probe_is_closed_and_polling_survives(
    server: ServerProcess, session: Polled, wrong: str | bytes
) -> None:
    session.join()
    with websocket(server, session.opened["sid"]) as one:
        one.send(wrong)
        assert closes(one)
    assert session.lives()
    with websocket(server, session.opened["sid"]) as second_attempt:
        second_attempt.send("2probe")
        assert second_attempt.recv() == "3probe"
        with websocket(server, session.opened["sid"]) as second:
            assert closes(second)
        second_attempt.send("52")
        second_attempt.send('42["message",1]')
        assert second_attempt.recv() == '42["message-back",1]'


@pytest.mark.thorough
@pytest.mark.parametrize("is_started", [True, False])
def test_unfinished_probe_times_out(start_server: Callable[..., ServerProcess], is_started: bool) -> None:
    server = start_server(**ECHOES | {"BELLCAST_SOCKETIO_UPGRADE_TIMEOUT": "5s"})
    with httpx.Client(base_url=server.url) as http:
        session = Polled(http).join()
        with websocket(server, session.opened["sid"]) as one:
            if is_started:
                one.send("2probe")
                assert one.recv() == "3probe"
            assert closes(one)
        session.post('42["message",1]')
        assert session.get().text == '42["message-back",1]'


def test_session_opened_on_websocket_refuses_a_second_transport(server: ServerProcess) -> None:
    with websocket(server) as one:
        sid = json.loads(str(one.recv())[1:])["sid"]
        with websocket(server, sid) as second:
            assert closes(second)
        one.send("40")
        assert str(one.recv()).startswith("40")


def test_large_response_is_compressed_if_the_client_accepts_it(session: Polled) -> None:
    session.join()
    large = "packed " * 2_000
    for accepted, packed in (("gzip, deflate", True), ("br;q=1, gzip;q=0", False), ("", False), ("deflate", False)):
        session.post(f'42["message","{large}"]')
        response = session.get(accept_encoding=accepted)
        assert response.text == f'42["message-back","{large}"]'
        assert ("content-encoding" in response.headers) == packed
        assert response.headers["vary"] == "accept-encoding"
        assert (int(response.headers["content-length"]) < len(large) / 4) == packed
    session.post('42["message","small"]')
    response = session.get(accept_encoding="gzip")
    assert (response.text, "content-encoding" in response.headers) == ('42["message-back","small"]', False)


# --- protocol violations


@pytest.mark.parametrize(
    "wrong",
    [
        "", "9", "abc", "2", "1", "4", "47", "42", "42{}", "42[]", "42[null]", '42["connect"]', '42["a",NaN]', '42["a"]x',
        '42abc["a"]', "43", "430{}", "41{}", "40", "40/custom,[]", "44{}", '45["a"]', '450-["a"]', '4511-["a"]', '451.5-["a"]',
        '42/custom,["a"]', "43/custom,0[]", "41/custom,", b"\x01", '42["a",' + "[" * 20000 + "]" * 20000 + "]",
    ],
    ids=lambda wrong: str(wrong)[:24],
)  # fmt: skip
def test_unreadable_packet_closes_the_connection(server: ServerProcess, wrong: str | bytes) -> None:
    with joined_websocket(server) as one:
        one.send(wrong)
        assert closes(one)


def test_wrong_attachment_or_placeholder_closes_the_connection(server: ServerProcess) -> None:
    for rest in ('42["message"]', b"\x01"):
        with joined_websocket(server) as one:
            one.send('451-["message",{"_placeholder":true,"num":7}]')
            one.send(rest)
            assert closes(one)


@pytest.mark.parametrize(
    "harmless", ["6", "5", "0", "3", '42["nobody handles this"]', "4399[1]", "43[1]", '42["half \\ud800"]']
)
def test_harmless_packet_closes_nothing(server: ServerProcess, harmless: str) -> None:
    with joined_websocket(server) as one:
        one.send(harmless)
        one.send('42["message","still here"]')
        assert one.recv() == '42["message-back","still here"]'


def test_oversized_message_and_flood_close_with_their_codes(server: ServerProcess) -> None:
    with joined_websocket(server) as one:
        one.send("4" + "x" * 1_000_001)
        with pytest.raises(ConnectionClosed) as closed:
            one.recv(timeout=60)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009
    with joined_websocket(server) as one:
        event = b'42["nobody"]'
        frame = bytes((0x81, 0x80 | len(event), 0, 0, 0, 0)) + event
        one.socket.sendall(
            frame * 200
        )  # in one write: more than twice the limit, so the boundary between two seconds does not matter
        with pytest.raises(ConnectionClosed) as closed:
            one.recv(timeout=60)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4429


def test_attachments_are_limited_in_total(server: ServerProcess) -> None:
    with joined_websocket(server) as one:
        one.send('452-["message",{"_placeholder":true,"num":0}]')
        one.send(b"x" * 600_000)
        one.send(b"x" * 600_000)
        assert closes(one)


def test_namespace_can_be_left_and_joined_again(server: ServerProcess) -> None:
    with joined_websocket(server) as one:
        one.send("41")
        one.send("40/custom,")
        assert str(one.recv()).startswith('40/custom,{"sid":')
        assert one.recv() == '42/custom,["auth",{}]'
        one.send("40/nowhere,")
        assert one.recv() == '44/nowhere,{"message":"Invalid namespace"}'
        one.send("40")
        assert str(one.recv()).startswith('40{"sid":')


@pytest.mark.thorough
def test_pings_are_on_time_and_traffic_does_not_replace_pongs(start_server: Callable[..., ServerProcess]) -> None:
    server = start_server(**ECHOES, BELLCAST_SOCKETIO_PING_INTERVAL="300ms", BELLCAST_SOCKETIO_PING_TIMEOUT="5s")
    with joined_websocket(server) as one:
        began = time.monotonic()
        for _ in range(3):
            assert one.recv(timeout=LIMIT_SECONDS) == "2"
            one.send("3")
        assert time.monotonic() - began > 2 * 0.3  # each ping follows the pong to the last
        assert one.recv(timeout=LIMIT_SECONDS) == "2"
        talking = threading.Thread(target=_talk, args=(one,))
        talking.start()
        assert closes(one)
        talking.join()


def _talk(one: ClientConnection) -> None:
    try:
        while True:
            one.send('42["nobody"]')
            time.sleep(0.05)
    except ConnectionClosed:
        pass


def test_abandoned_sessions_are_removed(start_server: Callable[..., ServerProcess]) -> None:
    server = start_server(BELLCAST_SOCKETIO_PING_INTERVAL="200ms", BELLCAST_SOCKETIO_PING_TIMEOUT="200ms")
    with httpx.Client(base_url=server.url) as http:
        abandoned = [Polled(http) for _ in range(20)]
        assert all(one.dies() for one in abandoned)


def test_shutdown_closes_sessions_for_a_reconnect(start_server: Callable[..., ServerProcess]) -> None:
    server = start_server(**ECHOES, BELLCAST_DRAIN="1s")
    with joined_websocket(server) as one, httpx.Client(base_url=server.url) as http, ThreadPoolExecutor(1) as pool:
        session = Polled(http)
        held = session.hold(pool)
        assert server.stop() == 0
        assert held.result(LIMIT_SECONDS).text == "1"
        assert closes(one)


def becomes_true(holds: Callable[[], bool], pause: float = 0.05) -> bool:
    end = time.monotonic() + LIMIT_SECONDS
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(pause)
    return True


def hang_up(server: ServerProcess, request: str) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as one:
        one.sendall(request.encode())
        time.sleep(0.2)
