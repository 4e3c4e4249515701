"""A handshake is accepted according to RFC 6455 4.2, or refused with a status for the reason."""

import pytest

from bellcast.kernel.errors import BadRequest, UpgradeRequired
from bellcast.kernel.http import responses
from bellcast.live.framing import websocket

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="  # the RFC's own example (1.3), as is its response
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
GOOD = {
    b"host": b"bell.example",
    b"upgrade": b"websocket",
    b"connection": b"Upgrade",
    b"sec-websocket-version": b"13",
    b"sec-websocket-key": KEY,
}


def request_with(method="GET", http_version="1.1", more=(), **changed):
    """Check a valid request with some headers changed (None: omitted) and some added; return its key."""
    fields = GOOD | {name.replace("_", "-").encode(): value for name, value in changed.items()}
    lines = [(name, value) for name, value in fields.items() if value is not None]
    return websocket.check_upgrade(method, http_version, [*lines, *more])


def test_accept_key_is_that_of_the_rfc():
    assert b"Sec-WebSocket-Accept: %b\r\n" % ACCEPT in websocket.response(KEY)


def test_valid_handshake_gets_a_complete_101():
    assert websocket.response(request_with()) == (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + ACCEPT + b"\r\n\r\n"
    )


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"upgrade": b"WebSocket"}, id="capitals in Upgrade"),
        pytest.param({"upgrade": b"h2c, websocket"}, id="websocket among others in Upgrade"),
        pytest.param({"connection": b"keep-alive, upgrade"}, id="upgrade among others in Connection"),
        pytest.param({"connection": b"close", "more": [(b"connection", b"Upgrade")]}, id="Connection on two lines"),
        pytest.param({"sec_websocket_key": b" " + KEY + b"\t"}, id="spaces around the key"),
        pytest.param({"content_length": b"0"}, id="a body of no bytes"),
        pytest.param({"sec_websocket_extensions": b"permessage-deflate"}, id="an extension is offered"),
        pytest.param({"sec_websocket_protocol": b"graphql"}, id="a subprotocol is offered"),
    ],
)
def test_unusual_but_valid_handshake_is_accepted(changed):
    assert request_with(**changed) == KEY


@pytest.mark.parametrize(
    ("changed", "detail"),
    [
        pytest.param({"upgrade": None}, "WebSocket only", id="a plain GET"),
        pytest.param({"upgrade": b"h2c"}, "WebSocket only", id="another protocol"),
        pytest.param({"sec_websocket_version": None}, "must be 13", id="no version"),
        pytest.param({"sec_websocket_version": b"8"}, "must be 13", id="an old version"),
        pytest.param({"sec_websocket_version": b"13, 8"}, "must be 13", id="a choice of versions"),
    ],
)
def test_request_without_a_supported_upgrade_gets_426(changed, detail):
    with pytest.raises(UpgradeRequired, match=detail) as refusal:
        request_with(**changed)
    headers = responses.problem_headers(refusal.value)
    assert (headers["upgrade"], headers["connection"], headers["sec-websocket-version"]) == (
        "websocket",
        "Upgrade",
        "13",
    )


@pytest.mark.parametrize(
    ("changed", "detail"),
    [
        pytest.param({"method": "POST"}, "HTTP/1.1 GET", id="a POST"),
        pytest.param({"http_version": "1.0"}, "HTTP/1.1 GET", id="HTTP/1.0"),
        pytest.param({"connection": None}, "Connection", id="no Connection"),
        pytest.param({"connection": b"keep-alive"}, "Connection", id="Connection without upgrade"),
        pytest.param({"connection": b"not-upgrade"}, "Connection", id="a Connection that only contains the word"),
        pytest.param({"host": None}, "Host", id="no Host"),
        pytest.param({"more": [(b"host", b"bell.example")]}, "one Host", id="two Hosts"),
        pytest.param({"content_length": b"5"}, "no body", id="a body"),
        pytest.param({"transfer_encoding": b"chunked"}, "no body", id="a chunked body"),
        pytest.param({"sec_websocket_key": None}, "Key", id="no key"),
        pytest.param({"sec_websocket_key": b""}, "Key", id="an empty key"),
        pytest.param({"sec_websocket_key": b"c2hvcnQ="}, "Key", id="a key of 5 bytes"),
        pytest.param({"sec_websocket_key": b"YWJjZGVmZ2hpamtsbW5vcHE="}, "Key", id="a key of 17 bytes"),
        pytest.param({"sec_websocket_key": KEY[:-2]}, "Key", id="a key without its padding"),
        pytest.param({"sec_websocket_key": b"!" + KEY[1:]}, "Key", id="a key that is no base64"),
        pytest.param({"more": [(b"sec-websocket-key", KEY)]}, "Key", id="two keys"),
    ],
)
def test_malformed_handshake_gets_400(changed, detail):
    with pytest.raises(BadRequest, match=detail) as refusal:
        request_with(**changed)
    assert "upgrade" not in responses.problem_headers(refusal.value)


def test_response_selects_no_subprotocol_and_has_further_headers():
    response = websocket.response(request_with(sec_websocket_protocol=b"a, b"), [(b"Set-Cookie", b"io=1")])
    assert b"Protocol" not in response.partition(b"\r\n")[2]
    assert response.endswith(b"\r\nSet-Cookie: io=1\r\n\r\n")


@pytest.mark.parametrize("value", [b"1\r\nSet-Cookie: evil=1", b"1\n", b"1\0"])
def test_header_value_cannot_add_another_header(value):
    with pytest.raises(ValueError, match="CR, LF or NUL"):
        websocket.response(request_with(), extra=[(b"X-Trace", value)])


class CountedName(bytes):
    """A header name that counts how often names are compared."""

    comparisons = 0

    def lower(self):
        return self

    def __eq__(self, other):
        CountedName.comparisons += 1
        return bytes.__eq__(self, other)

    __hash__ = bytes.__hash__


def test_handshake_with_many_header_lines_is_read_in_one_pass():
    lines = 2_000
    distinct = [(CountedName(b"x-%d" % number), b"x") for number in range(lines)]
    response = request_with(more=[*distinct, *((CountedName(b"x-1"), b"y") for _ in range(lines))])
    assert response == KEY
    assert CountedName.comparisons < 10 * lines
