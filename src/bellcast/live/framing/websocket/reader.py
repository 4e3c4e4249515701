"""Messages in: what a client said, out of bytes that may be cut anywhere, and the end of those who break the rules."""

import codecs
from typing import Final, TypeAlias

import msgspec

from bellcast.live.framing.websocket import frames

# Browsers cut messages at 64 KiB and more, so only somebody who wants to cost us time comes near it.
MAX_FRAGMENTS: Final = 1024

_LARGEST: Final = (1 << 63) - 1  # the top bit of a length must be 0
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
    """The client says goodbye: answer with the same code (`NO_CODE` if it gave none), then wait for it to hang up."""

    code: int
    reason: str


class ProtocolViolation(msgspec.Struct, frozen=True, gc=False):
    """The client broke the rules: close with this code. The reason is for its developer."""

    code: int
    reason: str


ReaderEvent: TypeAlias = TextMessage | BinaryMessage | PingReceived | PongReceived | CloseReceived | ProtocolViolation


class FrameReader:
    """Turns a client's bytes into what it said. After `Closed` or `Failed` it is deaf.

    `max_size` bounds a message over all its fragments (0: no bound); a frame that announces more is refused on its
    header. A fault is found as early as it is certain, so in one piece or in many the same is heard.
    """

    __slots__ = ("_is_finished", "_max_size", "_message", "_rest")

    def __init__(self, max_size: int) -> None:
        self._max_size = max_size or _LARGEST
        self._message: _Message | None = None
        # The beginning of a header or control frame, at most 130 bytes; payloads go straight into their message.
        self._rest = b""
        self._is_finished = False

    def receive(self, data: bytes) -> list[ReaderEvent]:
        """What has become complete with these bytes, in order."""
        received: list[ReaderEvent] = []
        try:
            # Nearly all that clients ever send is one short text in one piece: it needs no state.
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
            self._end()
        return received

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

    def _frame(self, data: bytes, at: int, received: list[ReaderEvent]) -> int | None:
        """Read the frame that begins here; where to go on, or None while too little of it is there."""
        first = data[at]
        opcode = first & 0x0F
        _check_first_byte(first, self._message)
        if (measured := _length(data, at, opcode)) is None:
            return None
        length, start = measured
        if opcode < frames.CLOSE_OPCODE:
            return self._begin(first, length, data, start, received)
        end = start + length
        if len(data) < end:
            return None
        received.append(self._control(opcode, _unmask(data[start - 4 : start], data[start:end])))
        return end

    def _begin(self, first: int, length: int, data: bytes, start: int, received: list[ReaderEvent]) -> int | None:
        """Begin a message's next frame, which may be its first, and take what is there of it."""
        message = self._message or _Message(is_text=first & 0x0F == frames.TEXT_OPCODE)
        message.check_room(length, self._max_size)
        if len(data) < start:
            return None
        message.begin_frame(data[start - 4 : start], length, is_final=first >= frames.FINAL)
        self._message = message
        return self._payload(message, data, start, received)

    def _control(self, opcode: int, payload: bytes) -> ReaderEvent:
        if opcode == frames.PING_OPCODE:
            return PingReceived(payload)
        if opcode == frames.PONG_OPCODE:
            return PongReceived(payload)
        closed = _closed(payload)
        self._end()
        return closed

    def _payload(self, message: "_Message", data: bytes, at: int, received: list[ReaderEvent]) -> int:
        """Take what is there of the current frame; deliver the message if that was all of it."""
        end = min(at + message.awaited, len(data))
        message.add(data[at:end])
        if message.is_whole():
            self._message = None
            received.append(message.received())
        return end

    def _end(self) -> None:
        self._is_finished, self._message, self._rest = True, None, b""


class _Message:
    """A text or binary message that is still coming in, and how far its current frame is."""

    __slots__ = ("_checked", "_content", "_fragments", "_is_final", "_is_text", "_key", "awaited")

    def __init__(self, *, is_text: bool) -> None:
        self._is_text = is_text
        self._content = bytearray()
        self._checked = 0  # so many bytes are known to be whole characters
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
        """More of the current frame."""
        self._content += _unmask(self._key, masked)
        self.awaited -= len(masked)
        turn = len(masked) % 4
        self._key = self._key[turn:] + self._key[:turn]
        if self._is_text and not self.is_whole():
            self._check_characters()

    def is_whole(self) -> bool:
        return self._is_final and not self.awaited

    def received(self) -> TextMessage | BinaryMessage:
        return TextMessage(_utf8(self._content)) if self._is_text else BinaryMessage(bytes(self._content))

    def _check_characters(self) -> None:
        """Refuse what nothing that follows can mend. Looks at each byte once, but for a cut character's."""
        unchecked = self._content[self._checked :]
        try:
            known = codecs.utf_8_decode(unchecked)[1]  # up to a last character that may still be cut
        except UnicodeDecodeError:
            raise _not_utf8() from None
        # Python waits for the third byte of a surrogate; the second has decided already.
        if unchecked[known : known + 1] == b"\xed" and unchecked[known + 1 :] >= b"\xa0":
            raise _not_utf8()
        self._checked += known


class _ClientError(Exception):
    """The client did what the RFC or our bounds forbid."""

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
        raise _protocol_error("a message began before the last one was finished")


def _length(data: bytes, at: int, opcode: int) -> tuple[int, int] | None:
    """How long the payload is and where it begins, right behind its masking key; None while that is not known."""
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
        raise _protocol_error("a length is not written the shortest way")
    if length > _LARGEST:
        raise _protocol_error("a length has its top bit set")
    return length, at + width + 4


def _closed(payload: bytes) -> CloseReceived:
    if not payload:
        return CloseReceived(frames.NO_CODE, "")
    code = int.from_bytes(payload[:2])  # of one byte alone it is below 1000, so no valid one
    if not frames.is_sendable_code(code):
        raise _protocol_error("a close frame has no valid code")
    return CloseReceived(code, _utf8(payload[2:]))


def _is_short_text(data: bytes, max_size: int) -> bool:
    """Exactly one whole frame with a text whose length fits into the second byte."""
    size = len(data) - 6
    return 0 <= size <= 125 and size <= max_size and data[0] == _WHOLE_TEXT and data[1] == _MASKED | size


def _unmask(key: bytes, payload: bytes) -> bytes:
    """XOR with the key over and over, as two big numbers: 0.5 us for 100 bytes, 1.8 ms for a megabyte."""
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
