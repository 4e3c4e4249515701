"""Engine.IO 4, and the packets of Socket.IO 5 in its messages, without I/O.

An Engine.IO packet is one digit and its data; a binary message has no digit. Over WebSocket a packet is a frame; a polling
body contains several, separated by U+001E, with binary data as `b` and base64. A Socket.IO packet is
`<type>[<attachments>-][<namespace>,][<ack id>][<JSON>]`, parsed strictly. Bytes in the arguments are replaced by
placeholders and follow as binary messages.
"""

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NamedTuple
from weakref import WeakValueDictionary

import msgspec
from msgspec import Struct

from bellcast.inbox.types.inboxes import InboxEvent
from bellcast.kernel.events import Event, LiveEvent
from bellcast.live.connection.close_reasons import CloseReason
from bellcast.live.connection.dialect import InboxReset, PositionMark, payload_of, topic_payload
from bellcast.live.framing import websocket
from bellcast.live.types import SOCKETIO_LIFECYCLE

# --- Engine.IO

VERSION = "4"
SEPARATOR = b"\x1e"

OPEN, CLOSE, PING, PONG, MESSAGE, UPGRADE, NOOP = b"0", b"1", b"2", b"3", b"4", b"5", b"6"
PROBE, PROBED = b"2probe", b"3probe"
TYPES = frozenset("0123456")


class InvalidPacket(Exception):
    """The peer sent an invalid packet; its connection is closed."""


class EnginePacket(NamedTuple):
    """A client's packet: the digit and the data. A binary message is a `4` with bytes."""

    type: str
    data: str | bytes


class Encoding(Struct, frozen=True, eq=False):
    """Packet encoding for one transport. Compared by identity: the two instances are module constants."""

    transport: Literal["websocket", "polling"]
    text: Callable[[bytes], bytes]
    binary: Callable[[bytes], bytes]
    text_header: Callable[[int], bytes]  # of `text`, by the length of the packet


FRAMES = Encoding("websocket", websocket.text_frame, websocket.binary_frame, websocket.text_header)
POLLING_BODY = Encoding("polling", bytes, lambda data: b"b" + base64.b64encode(data), lambda size: b"")


def reencode(packet: bytes, encoding: Encoding) -> bytes:
    """Convert a packet of a polling body to another encoding."""
    return encoding.binary(base64.b64decode(packet[1:])) if packet[:1] == b"b" else encoding.text(packet)


def read_text(text: str) -> EnginePacket:
    """Decode a text frame. Raises InvalidPacket."""
    if text[:1] not in TYPES or not text:
        raise InvalidPacket("An Engine.IO packet begins with a digit from 0 to 6.")
    return EnginePacket(text[0], text[1:])


def read_body(body: bytes) -> Iterator[EnginePacket]:
    """Decode the packets of a POST, in order; only the size of the body limits their number. Raises InvalidPacket."""
    start = 0  # one at a time, because half a million parts would use 20 times the memory of the body
    while (end := body.find(SEPARATOR, start)) >= 0:
        yield _read_part(body[start:end])
        start = end + 1
    yield _read_part(body[start:])


def _read_part(part: bytes) -> EnginePacket:
    try:
        if part[:1] == b"b":
            # Java's client ends its base64 with a line feed.
            return EnginePacket("4", base64.b64decode(part[1:].translate(None, b"\r\n"), validate=True))
        return read_text(part.decode())
    except (UnicodeDecodeError, binascii.Error):
        raise InvalidPacket("A packet is UTF-8, or b and base64.") from None


class EngineError(Struct, frozen=True):
    code: int
    message: str
    status: int = 400

    @property
    def body(self) -> bytes:
        return msgspec.json.encode({"code": self.code, "message": self.message})


UNKNOWN_TRANSPORT = EngineError(0, "Transport unknown")
UNKNOWN_SESSION = EngineError(1, "Session ID unknown")
BAD_METHOD = EngineError(2, "Bad handshake method")
BAD_REQUEST = EngineError(3, "Bad request")
FORBIDDEN = EngineError(4, "Forbidden", 403)
BAD_VERSION = EngineError(5, "Unsupported protocol version")


# --- Socket.IO: decoding

ROOT = "/"
CONNECT, DISCONNECT, EVENT, ACK, CONNECT_ERROR, BINARY_EVENT, BINARY_ACK = range(7)
# Since CVE-2026-33151, server and client of the reference implementation close the connection on more.
MAX_ATTACHMENTS = 10
# Clients choose the names of dynamic namespaces, which stay in memory while they are connected.
MAX_NAMESPACE_LENGTH = 200
# A CONNECT is parsed before its sender is authenticated, and its decoded JSON may use 20 times its size. The
# credentials of an HTTP request have the same limit.
MAX_CONNECT_LENGTH = 65_536
# Ids count from 0. JavaScript's exact integers, up to 2**53, have at most sixteen digits.
MAX_ID_DIGITS = 16

_HEAD = re.compile(r"([0-6])(?:(\d{1,9})-)?(?:(/[^,]*)(?:,|\Z))?(\d+)?", re.ASCII)
_encode = msgspec.json.Encoder().encode


class Packet(NamedTuple):
    """`data` is the argument of a CONNECT, the name and arguments of an event, or the arguments of an ack. `attachments`
    is the number of binary values in a decoded packet."""

    type: int
    namespace: str = ROOT
    data: Any = None
    id: int | None = None
    attachments: int = 0


class PacketReader:
    """Decodes messages to packets, and joins a binary packet with its attachments.

    `max_size` limits the total size of one packet's attachments. `size` is the size of the last packet's messages."""

    __slots__ = ("_attachments", "_awaited", "_max_size", "_packet", "size")

    def __init__(self, max_size: int) -> None:
        self._max_size = max_size
        self._packet: Packet | None = None
        self._awaited = 0
        self._attachments: list[bytes] | None = None
        self.size = 0

    def read(self, message: str | bytes) -> Packet | None:
        """Return the packet that this message completes, if any. Raises InvalidPacket."""
        packet, attachments = self._packet, self._attachments
        if isinstance(message, str):
            if packet is not None:
                raise InvalidPacket("Expected an attachment, got a text message.")
            self.size = len(message)
            packet, self._awaited = _parse(message)
            if self._awaited:
                self._packet, self._attachments = packet, []
                return None
            return packet
        if packet is None or attachments is None:
            raise InvalidPacket("Got a binary message that no packet announced.")
        attachments.append(message)
        self.size += len(message)
        if self._max_size and sum(map(len, attachments)) > self._max_size:
            raise InvalidPacket("The attachments of one packet are too large in total.")
        if len(attachments) < self._awaited:
            return None
        self._packet = self._attachments = None
        unused = dict(enumerate(attachments))
        try:
            payload = _restore_attachments(packet.data, unused)
        except RecursionError:
            raise InvalidPacket("Nested too deeply.") from None
        if unused:
            raise InvalidPacket("An attachment has no placeholder.")
        return _validated(packet._replace(data=payload, attachments=len(attachments)))


def _parse(text: str) -> tuple[Packet, int]:
    head = _HEAD.match(text)
    if head is None:
        raise InvalidPacket("A Socket.IO packet begins with a digit from 0 to 6.")
    type, count, namespace, id = int(head[1]), head[2], head[3] or ROOT, head[4]
    if (type >= BINARY_EVENT) != (count is not None):
        raise InvalidPacket("Binary packets must have a number of attachments, and other packets must not.")
    if len(namespace) > MAX_NAMESPACE_LENGTH or (id is not None and len(id) > MAX_ID_DIGITS):
        raise InvalidPacket("A namespace or an id is too long.")
    if type == CONNECT and len(text) > MAX_CONNECT_LENGTH:
        raise InvalidPacket("A CONNECT is too long.")
    rest = text[head.end() :]
    data = _json(rest) if rest else None
    if rest and data is None:
        raise InvalidPacket("A packet's data must not be null: omit it.")
    packet = Packet(type, namespace, data, None if id is None else int(id))
    if count is None:
        return _validated(packet), 0
    if not 1 <= int(count) <= MAX_ATTACHMENTS:
        raise InvalidPacket(f"A binary packet must have 1 to {MAX_ATTACHMENTS} attachments.")
    return packet._replace(type=type - BINARY_EVENT + EVENT), int(count)


def _json(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except RecursionError:
        raise InvalidPacket("Nested too deeply.") from None
    except (msgspec.DecodeError, UnicodeError):
        if "\\u" not in text:
            raise InvalidPacket("This is not JSON.") from None
    # Unpaired surrogates are valid in JSON only, and become U+FFFD.
    try:
        value = json.loads(text)
        repaired = json.dumps(value, ensure_ascii=False).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return msgspec.json.decode(repaired)  # refuses NaN and Infinity
    except (ValueError, RecursionError, msgspec.DecodeError):
        raise InvalidPacket("This is not JSON.") from None


def _restore_attachments(value: Any, unused: dict[int, bytes]) -> Any:
    """Replace each placeholder with its bytes, and remove these from `unused`. If several placeholders could name the
    same bytes, a small packet could be re-encoded to a large one."""
    if isinstance(value, list):
        return [_restore_attachments(one, unused) for one in value]
    if not isinstance(value, dict):
        return value
    if value.get("_placeholder") is True:
        number = value.get("num")
        if type(number) is not int or number not in unused:
            raise InvalidPacket("A placeholder names a missing attachment, or the same one as another placeholder.")
        return unused.pop(number)
    return {name: _restore_attachments(one, unused) for name, one in value.items()}


def _validated(packet: Packet) -> Packet:
    """Return the packet; raises InvalidPacket if its data does not match its type."""
    data, is_valid = packet.data, False  # only the server may send a CONNECT_ERROR
    match packet.type:
        case 0:
            is_valid = data is None or isinstance(data, dict | str)  # text is refused with an explanation
        case 1:
            is_valid = data is None
        case 2:
            name = data[0] if isinstance(data, list) and data else None
            is_number = isinstance(name, int | float) and not isinstance(name, bool)
            is_valid = is_number or (isinstance(name, str) and name not in SOCKETIO_LIFECYCLE)
        case 3:
            is_valid = isinstance(data, list)
    if not is_valid:
        raise InvalidPacket("The packet's data does not match its type.")
    return packet


# --- Socket.IO: encoding


def encode(packet: Packet) -> tuple[bytes, list[bytes]]:
    """Encode a packet as an Engine.IO text packet and the attachments that must follow it."""
    attachments: list[bytes] = []
    data, type = packet.data, packet.type
    if type in (EVENT, ACK):
        data = _extract_attachments(
            msgspec.to_builtins(data, builtin_types=(bytes, bytearray, memoryview)), attachments
        )
    if len(attachments) > MAX_ATTACHMENTS:
        raise ValueError(f"A packet may have at most {MAX_ATTACHMENTS} binary values, got {len(attachments)}.")
    count = f"{len(attachments)}-" if attachments else ""
    kind = type + BINARY_EVENT - EVENT if attachments else type
    namespace = "" if packet.namespace == ROOT else f"{packet.namespace},"
    id = "" if packet.id is None else packet.id
    head = f"4{kind}{count}{namespace}{id}".encode()
    return head + (b"" if data is None else _encode(data)), attachments


def _extract_attachments(value: Any, attachments: list[bytes]) -> Any:
    """Replace all bytes with placeholders, numbered in order."""
    if isinstance(value, bytes | bytearray | memoryview):
        attachments.append(bytes(value))
        return {"_placeholder": True, "num": len(attachments) - 1}
    if isinstance(value, dict):
        return {name: _extract_attachments(one, attachments) for name, one in value.items()}
    return [_extract_attachments(one, attachments) for one in value] if isinstance(value, list | tuple) else value


# Begin the offset of a client that must not be recovered, and of one that joined topics. No position begins with them.
UNRECOVERABLE = "!"
HAS_JOINED = "+"


class FrameStarts(dict[int, bytes]):
    """The header and data of an event's frame by the length of the head; few lengths are in use. It is used once per
    delivery, and a dictionary takes half the time of a function."""

    def __init__(self, encoding: Encoding, data: bytes, end: int) -> None:
        self._encoding, self._data, self._end = encoding, data, end

    def __missing__(self, size: int) -> bytes:
        found = self[size] = self._encoding.text_header(len(self._data) + size + self._end) + self._data
        return found


class LastArgument(Struct, frozen=True):
    """The resume position as the last argument of an event, after a prefix."""

    encoding: Encoding
    prefix: str = ""

    def __call__(self, data: bytes, position: str) -> bytes:
        return self.encoding.text(data + f',"{self.prefix}{position}"]'.encode())

    def head(self, position: str) -> bytes:
        return f',"{self.prefix}{position}'.encode()

    def around(self, data: bytes, event_id: str) -> tuple[Mapping[int, bytes], bytes]:
        end = f'~{event_id}"]'.encode()
        return FrameStarts(self.encoding, data, len(end)), end


class SocketIODialect(Struct, frozen=True, eq=False, weakref=True):
    """A namespace in one encoding. Offsets of its events begin with `offset_prefix`. Compared by identity: `dialect_for`
    returns the instance in use."""

    namespace: str
    encoding: Encoding
    resumable: bool
    offset_prefix: str = ""
    protocol: str = "socketio"
    can_resume: bool = True

    @property
    def transport(self) -> str:
        return self.encoding.transport

    def encode_frame(self, packet: Packet) -> bytes:
        return self.encoding.text(encode(packet)[0])

    def encode(self, event: Event) -> bytes | None:
        match event:
            case LiveEvent():
                return self.event(event.name, event.data) if event.id is None else self.marked(event.name, event.data)
            case _ if isinstance(event, InboxEvent):
                return self.replay(event, event.inbox.position)
            case _:
                change = topic_payload(event)
                return None if change is None else self.event(change.name, change.fields)

    def event(self, name: str, data: Any) -> bytes:
        """Encode a live event; it does not change the position."""
        args = [name, data, None] if self.resumable and isinstance(data, str) else [name, data]
        return self.encoding.text(self._head + _encode(args))

    def marked(self, name: str, data: Any) -> bytes:
        """Encode an event that ends with the client's resume position. For resumable clients `mark` completes it."""
        packet = self._head + _encode([name, data])
        return packet[:-1] if self.resumable else self.encoding.text(packet)

    @property
    def mark(self) -> PositionMark | None:
        return LastArgument(self.encoding, self.offset_prefix) if self.resumable else None

    def replay(self, event: InboxEvent | InboxReset, position: str) -> bytes:
        change = payload_of(event, position)
        return self.marked(change.name, change.fields)

    def heartbeat(self, now: int) -> bytes:
        """Return no bytes: Engine.IO sessions have their own heartbeat."""
        return b""

    def close_event(self, end: CloseReason) -> CloseReason:
        return end

    def close(self, end: CloseReason) -> bytes:
        """Encode DISCONNECT, after which clients do not reconnect."""
        return self.encode_frame(Packet(DISCONNECT, self.namespace))

    @property
    def _head(self) -> bytes:
        return b"42" if self.namespace == ROOT else f"42{self.namespace},".encode()


_dialects: WeakValueDictionary[tuple[str, Encoding, bool, str], SocketIODialect] = WeakValueDictionary()


def dialect_for(namespace: str, encoding: Encoding, *, resumable: bool, offset_prefix: str = "") -> SocketIODialect:
    """Return the dialect in use for a namespace, if any, so that each event is encoded once."""
    key = (namespace, encoding, resumable, offset_prefix)
    known = _dialects.get(key)
    if known is None:
        known = _dialects[key] = SocketIODialect(*key)
    return known
