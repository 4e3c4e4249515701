"""The opening handshake (RFC 6455, 4.2): validation of the request and encoding of the 101 response.

No extension is negotiated; an offered permessage-deflate is ignored.
"""

import binascii
import hashlib
import re

import msgspec

from bellcast.live.framing.response_head import HeaderFields, lines


class Upgrade(msgspec.Struct, frozen=True):
    """A valid handshake request."""

    key: bytes
    subprotocols: tuple[str, ...]


class HandshakeRejected(msgspec.Struct, frozen=True):
    """An invalid handshake request, with its response."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    detail: str


_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %b\r\n%b\r\n"
SPACES = b" \t"  # whitespace around a header's value, which some servers keep
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


def accept_key(key: bytes) -> bytes:
    return binascii.b2a_base64(hashlib.sha1(key + _GUID, usedforsecurity=False).digest(), newline=False)


def check_upgrade(method: str, http_version: str, headers: list[tuple[bytes, bytes]]) -> Upgrade | HandshakeRejected:
    """Validate a handshake request. Header names are lower-case and may be repeated, as in ASGI."""
    fields = dict(headers)
    if len(fields) < len(headers):  # join repeated lines into one list (RFC 9110, 5.3)
        repeated: dict[bytes, list[bytes]] = {}
        for name, value in headers:
            repeated.setdefault(name, []).append(value)
        fields = {name: b", ".join(values) for name, values in repeated.items()}
    if not _lists(fields, b"upgrade", b"websocket"):
        return _upgrade_required("This path accepts WebSocket only.")
    if fields.get(b"sec-websocket-version", b"").strip(SPACES) != b"13":
        return _upgrade_required("Sec-WebSocket-Version must be 13.")
    if fault := _request_error(method, http_version, fields):
        return HandshakeRejected(400, (), fault)
    key = fields.get(b"sec-websocket-key", b"").strip(SPACES)
    if not _is_key(key):
        return HandshakeRejected(400, (), "Sec-WebSocket-Key must be 16 bytes in base64.")
    if b"sec-websocket-protocol" not in fields:
        return Upgrade(key, ())
    offered = _items(fields[b"sec-websocket-protocol"])
    if not all(_TOKEN.fullmatch(name) for name in offered):
        return HandshakeRejected(400, (), "Sec-WebSocket-Protocol must be a list of names.")
    return Upgrade(key, tuple(name.decode("ascii") for name in offered))


def response(
    upgrade: Upgrade, subprotocol: str | None = None, extra: HeaderFields = (), own_line: bytes = b""
) -> bytes:
    """Encode the 101 response, with `extra` headers and an encoded header line. Raises ValueError for a subprotocol that
    was not offered: browsers would disconnect."""
    if subprotocol is not None and subprotocol not in upgrade.subprotocols:
        raise ValueError(f"subprotocol {subprotocol!r} was not offered")
    chosen = () if subprotocol is None else ((b"Sec-WebSocket-Protocol", subprotocol.encode()),)
    more = lines((*chosen, *extra)) if chosen or extra else b""
    return _SWITCHING % (accept_key(upgrade.key), more + own_line)


def _request_error(method: str, http_version: str, fields: dict[bytes, bytes]) -> str | None:
    if method != "GET" or http_version != "1.1":
        return "A WebSocket handshake is an HTTP/1.1 GET."
    if not _lists(fields, b"connection", b"upgrade"):
        return "Connection: Upgrade is missing; a proxy on the way may have removed it."
    if not fields.get(b"host"):
        return "Host is missing."
    if fields[b"host"].count(b","):
        return "Send exactly one Host header."
    # Bellcast would read the bytes after the head as frames, a proxy as a body: request smuggling.
    if b"transfer-encoding" in fields or fields.get(b"content-length", b"0").strip(SPACES) != b"0":
        return "A WebSocket handshake has no body."
    return None


def _upgrade_required(detail: str) -> HandshakeRejected:
    headers = ((b"Upgrade", b"websocket"), (b"Connection", b"Upgrade"), (b"Sec-WebSocket-Version", b"13"))
    return HandshakeRejected(426, headers, detail)


def _items(value: bytes) -> list[bytes]:
    return [item for part in value.split(b",") if (item := part.strip(SPACES))]


def _lists(fields: dict[bytes, bytes], name: bytes, token: bytes) -> bool:
    """True if a header's list contains a token."""
    value = fields.get(name, b"").lower()
    return value == token or token in _items(value)


def _is_key(key: bytes) -> bool:
    try:
        return len(binascii.a2b_base64(key, strict_mode=True)) == 16
    except binascii.Error:
        return False
