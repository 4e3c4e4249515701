"""The output of a connection."""

import asyncio
from abc import ABC, abstractmethod
from socket import AF_INET, SOCK_STREAM, SocketType
from typing import Any, TypeAlias

NO_LIMIT = 2**31  # bytes: more than any output


class QueuedTransport(ABC):
    """Output that waits in this process until another server or a client takes it. While `reading` is not set, the caller reads no
    further input, which is bounded elsewhere."""

    clear = False  # never written directly

    def __init__(self) -> None:
        self._size = 0  # bytes of the waiting output
        self._high = NO_LIMIT  # its writer must pause above so many
        self._full = False
        self._closing = False
        self.reading = asyncio.Event()

    @abstractmethod
    def write(self, data: bytes, /) -> None: ...

    def write_eof(self) -> None:
        self.close()

    def close(self) -> None:
        self._closing = True
        self.reading.set()  # what waits for it must end

    def abort(self) -> None:
        self.close()

    def is_closing(self) -> bool:
        return self._closing

    def get_write_buffer_size(self) -> int:
        return self._size

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._high = high or NO_LIMIT

    def pause_reading(self) -> None:
        self.reading.clear()

    def resume_reading(self) -> None:
        self.reading.set()


class NullTransport(QueuedTransport):
    """The output of a connection without a socket, which is discarded."""

    def write(self, data: bytes, /) -> None: ...


NULL_TRANSPORT = NullTransport()
NULL_TRANSPORT.close()


def raw_socket(transport: "OutboundTransport") -> SocketType | None:
    """Return the socket of a plain transport for direct sends; None with TLS or another server.

    It shares the descriptor of the transport, which stays open until `connection_lost` returns."""
    transport_socket = transport.get_extra_info("socket")
    if transport_socket is None or transport.get_extra_info("ssl_object") is not None:
        return None
    # The family matters only for addresses, which this socket does not resolve.
    return SocketType(AF_INET, SOCK_STREAM, 0, transport_socket.fileno())


# Larger writes gain nothing from coalescing, and a replay must be paced by the transport's buffer.
FLUSH_BYTES = 65_536


class CoalescingTransport:
    """Output to a socket. `clear`: the write buffer is known to be empty."""

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


OutboundTransport: TypeAlias = CoalescingTransport | QueuedTransport
