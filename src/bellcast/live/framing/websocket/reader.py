"""Incremental reader of client frames: messages, control frames and protocol violations."""

import codecs
from typing import Final, TypeAlias

import msgspec

from bellcast.live.framing.websocket import frames

# Browsers fragment messages into 64 KiB or more, so only an attack reaches this limit.
MAX_FRAGMENTS: Final = 1024
# A fragment with fewer bytes counts as a separate event: each takes 2 µs, so 200 messages of 1,024 empty fragments
# would take 0.4 s. Clients and proxies that divide messages send at least a network packet, 1,400 bytes.
SMALL_FRAGMENT: Final = 512

_LARGEST: Final = (1 << 63) - 1  # the most significant bit of a length must be 0
_WHOLE_TEXT: Final = frames.FINAL | frames.TEXT_OPCODE
_MASKED: Final = 0x80
_OPCODES: Final = frozenset((0x0, 0x1, 0x2, 0x8, 0x9, 0xA))


class TextMessage(msgspec.Struct, frozen=True, gc=False):
    text: str


class BinaryMessage(msgspec.Struct, frozen=True, gc=False):
    data: bytes


class PingReceived(msgspec.Struct, frozen=True, gc=False):
    data: bytes


class PongReceived(msgspec.Struct, frozen=True, gc=False):
    data: bytes


class CloseReceived(msgspec.Struct, frozen=True, gc=False):
    """A close frame: respond with the same code (`NO_CODE` if it had none)."""

    code: int
    reason: str


class ProtocolViolation(msgspec.Struct, frozen=True, gc=False):
    """An invalid frame, for which the connection is closed with this code. The reason is for the client's developer."""

    code: int
    reason: str


class FragmentReceived(msgspec.Struct, frozen=True, gc=False):
    """A small fragment that is not the last of its message. Reported only by a reader with `max_events`."""


class TooManyFrames(msgspec.Struct, frozen=True, gc=False):
    """One read had more events than the reader's `max_events`."""


ReaderEvent: TypeAlias = (
    TextMessage
    | BinaryMessage
    | FragmentReceived
    | PingReceived
    | PongReceived
    | CloseReceived
    | ProtocolViolation
    | TooManyFrames
)
CONTROL: Final = (PingReceived, PongReceived)
_FRAGMENT: Final = FragmentReceived()


class FrameReader:
    """Parses a client's bytes into events. Ignores all input after CloseReceived, ProtocolViolation or TooManyFrames.

    `max_size` limits a message over all its fragments (0: no limit); a larger frame is refused on its header. Errors are
    detected at the first byte that makes them certain, so the events do not depend on how the input is split.
    `max_events` limits the events of one call (0: no limit), because parsing 1 MB of empty frames takes 0.4 s. With it,
    small fragments are events too.
    """

    __slots__ = ("_is_finished", "_max_events", "_max_size", "_message", "_rest")

    def __init__(self, max_size: int, max_events: int = 0) -> None:
        self._max_size = max_size or _LARGEST
        self._max_events = max_events or _LARGEST
        self._message: _Message | None = None
        # An incomplete header or control frame, at most 130 bytes; payloads are appended to their message directly.
        self._rest = b""
        self._is_finished = False

    def receive(self, data: bytes) -> list[ReaderEvent]:
        """Return the events completed by these bytes, in order."""
        received: list[ReaderEvent] = []
        try:
            # Fast path: nearly all input is one short text message in one read, which needs no state.
            if (
                self._message is None
                and not self._rest
                and not self._is_finished
                and _is_short_text(data, self._max_size)
            ):
                received.append(TextMessage(_utf8(_unmask(data[2:6], data[6:]))))
            else:
                self._read(self._rest + data, received)
        except _ClientError as error:
            received.append(ProtocolViolation(error.code, error.reason))
            self.stop()
        return received

    def stop(self) -> None:
        """Ignore all further input."""
        self._is_finished, self._message, self._rest = True, None, b""

    def _read(self, data: bytes, received: list[ReaderEvent]) -> None:
        self._rest = b""
        at = 0
        while at < len(data) and not self._is_finished:
            if self._message is not None and self._message.awaited:
                at = self._payload(self._message, data, at, received)
            elif (end := self._frame(data, at, received)) is not None:
                at = end
            else:
                self._rest = data[at:]
                return
            if len(received) > self._max_events and not self._is_finished:
                received[-1] = TooManyFrames()
                self.stop()

    def _frame(self, data: bytes, at: int, received: list[ReaderEvent]) -> int | None:
        """Read the frame at this offset. Return the offset after it, or None if more input is needed."""
        first = data[at]
        opcode = first & 0x0F
        _check_first_byte(first, self._message)
        if (measured := _length(data, at, opcode)) is None:
            return None
        length, start = measured
        if opcode < frames.CLOSE_OPCODE:
            # Begin a data frame, which may be the first of a message, and read the available payload
            message = self._message or _Message(is_text=first & 0x0F == frames.TEXT_OPCODE)
            message.check_room(length, self._max_size)
            if len(data) < start:
                return None
            is_final = first >= frames.FINAL
            message.begin_frame(data[start - 4 : start], length, is_final=is_final)
            self._message = message
            if not is_final and length < SMALL_FRAGMENT and self._max_events != _LARGEST:
                received.append(_FRAGMENT)
            return self._payload(message, data, start, received)
        end = start + length
        if len(data) < end:
            return None
        received.append(self._control(opcode, _unmask(data[start - 4 : start], data[start:end])))
        return end

    def _control(self, opcode: int, payload: bytes) -> ReaderEvent:
        if opcode == frames.PING_OPCODE:
            return PingReceived(payload)
        if opcode == frames.PONG_OPCODE:
            return PongReceived(payload)
        closed = _closed(payload)
        self.stop()
        return closed

    def _payload(self, message: "_Message", data: bytes, at: int, received: list[ReaderEvent]) -> int:
        """Read the available payload of the current frame; append the message if it is complete."""
        end = min(at + message.awaited, len(data))
        message.add(data[at:end])
        if message.is_whole():
            self._message = None
            received.append(message.received())
        return end


class _Message:
    """An incomplete text or binary message."""

    __slots__ = ("_checked", "_content", "_fragments", "_is_final", "_is_text", "_key", "awaited")

    def __init__(self, *, is_text: bool) -> None:
        self._is_text = is_text
        self._content = bytearray()
        self._checked = 0  # length of the prefix that is valid UTF-8
        self._fragments = 0
        self._is_final = False
        self._key = b""
        self.awaited = 0

    def check_room(self, length: int, max_size: int) -> None:
        if len(self._content) + length > max_size:
            raise _ClientError(frames.TOO_LARGE, f"a message may have {max_size} bytes")
        if self._fragments == MAX_FRAGMENTS:
            raise _ClientError(frames.POLICY, f"a message may have {MAX_FRAGMENTS} fragments")

    def begin_frame(self, key: bytes, length: int, *, is_final: bool) -> None:
        self._key, self.awaited, self._is_final = key, length, is_final
        self._fragments += 1

    def add(self, masked: bytes) -> None:
        self._content += _unmask(self._key, masked)
        self.awaited -= len(masked)
        turn = len(masked) % 4
        self._key = self._key[turn:] + self._key[:turn]
        if self._is_text and not self.is_whole():
            # Refuse input that cannot become valid UTF-8. Each byte is decoded once, except those of a split character.
            unchecked = self._content[self._checked :]
            try:
                known = codecs.utf_8_decode(unchecked)[1]  # without a split last character
            except UnicodeDecodeError:
                raise _not_utf8() from None
            # Python accepts two bytes of a surrogate and waits for the third; the second byte makes it invalid.
            if unchecked[known : known + 1] == b"\xed" and unchecked[known + 1 :] >= b"\xa0":
                raise _not_utf8()
            self._checked += known

    def is_whole(self) -> bool:
        return self._is_final and not self.awaited

    def received(self) -> TextMessage | BinaryMessage:
        return TextMessage(_utf8(self._content)) if self._is_text else BinaryMessage(bytes(self._content))


class _ClientError(Exception):
    """The client violated the RFC or a limit."""

    def __init__(self, code: int, reason: str) -> None:
        self.code = code
        self.reason = reason


def _check_first_byte(first: int, unfinished: _Message | None) -> None:
    opcode = first & 0x0F
    if first & frames.RESERVED:
        raise _protocol_error("reserved bits are set, but no extension was agreed on")
    if opcode not in _OPCODES:
        raise _protocol_error(f"opcode {opcode} is unknown")
    if opcode >= frames.CLOSE_OPCODE:
        if first < frames.FINAL:
            raise _protocol_error("a control frame is fragmented")
    elif opcode == frames.CONTINUATION_OPCODE:
        if unfinished is None:
            raise _protocol_error("there is no message to continue")
    elif unfinished is not None:
        raise _protocol_error("a new message began before the previous one was complete")


def _length(data: bytes, at: int, opcode: int) -> tuple[int, int] | None:
    """Return the length of the payload and the offset after its masking key; None if more input is needed."""
    if len(data) < at + 2:
        return None
    length = data[at + 1] - _MASKED
    if length < 0:
        raise _protocol_error("a client's frame is not masked")
    if length < frames.TWO_BYTES_FOLLOW:
        return length, at + 6
    if opcode >= frames.CLOSE_OPCODE:
        raise _protocol_error(f"a control frame has more than {frames.CONTROL_LIMIT} bytes")
    return _long_length(data, at + 2, 2 if length == frames.TWO_BYTES_FOLLOW else 8)


def _long_length(data: bytes, at: int, width: int) -> tuple[int, int] | None:
    field = data[at : at + width]
    if len(field) < width:
        return None
    length = int.from_bytes(field)
    if length < (frames.TWO_BYTES_FOLLOW if width == 2 else 1 << 16):
        raise _protocol_error("a length is not encoded in the shortest form")
    if length > _LARGEST:
        raise _protocol_error("a length has its top bit set")
    return length, at + width + 4


def _closed(payload: bytes) -> CloseReceived:
    if not payload:
        return CloseReceived(frames.NO_CODE, "")
    code = int.from_bytes(payload[:2])  # a single byte yields an invalid code below 256
    if not frames.is_sendable_code(code):
        raise _protocol_error("a close frame has no valid code")
    return CloseReceived(code, _utf8(payload[2:]))


def _is_short_text(data: bytes, max_size: int) -> bool:
    """True for exactly one complete text frame of at most 125 bytes."""
    size = len(data) - 6
    return 0 <= size <= 125 and size <= max_size and data[0] == _WHOLE_TEXT and data[1] == _MASKED | size


def _unmask(key: bytes, payload: bytes) -> bytes:
    """XOR with the repeated key, as two big integers: 0.5 µs for 100 bytes, 1.8 ms for 1 MB."""
    size = len(payload)
    keys = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(payload) ^ int.from_bytes(keys)).to_bytes(size)


def _utf8(payload: bytes | bytearray) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError:
        raise _not_utf8() from None


def _not_utf8() -> _ClientError:
    return _ClientError(frames.NOT_UTF8, "text is not UTF-8")


def _protocol_error(reason: str) -> _ClientError:
    return _ClientError(frames.PROTOCOL_ERROR, reason)
