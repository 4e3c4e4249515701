"""A transport that coalesces the writes of one event loop iteration. For example, a handshake, its first frame and the
replay are one system call, as are ten simultaneous changes of an inbox. A call costs as much as 1,000 additional
bytes."""

import asyncio
from typing import Any

# Larger writes gain nothing from coalescing, and a replay must be paced by the transport's buffer.
FLUSH_BYTES = 65_536


class CoalescingTransport:
    """An OutboundTransport on a raw transport."""

    __slots__ = ("_chunks", "_size", "_transport", "clear")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._chunks: list[bytes] | None = None  # not None while a flush is scheduled
        self._size = 0
        self.clear = True

    def write(self, data: bytes, /) -> None:
        if self._chunks is None:
            self.clear = False
            self._chunks, self._size = [data], len(data)
            asyncio.get_running_loop().call_soon(self._flush)
        else:
            self._chunks.append(data)
            self._size += len(data)
        if self._size > FLUSH_BYTES:
            self._flush()

    def _flush(self) -> None:
        pieces, self._chunks, self._size = self._chunks, None, 0
        if pieces is not None and not self._transport.is_closing():
            self._transport.write(pieces[0] if len(pieces) == 1 else b"".join(pieces))

    def write_eof(self) -> None:
        self._flush()
        self._transport.write_eof()

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def get_write_buffer_size(self) -> int:
        size = self._size + self._transport.get_write_buffer_size()
        self.clear = size == 0
        return size

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._transport.set_write_buffer_limits(high, low)

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()
