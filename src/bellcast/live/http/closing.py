"""Closing connections to peers that keep sending or do not read."""

import asyncio

# A peer must read its responses at MIN_READ_RATE on average, checked at this interval; even the slowest mobile network
# is fast enough. Otherwise the unsent responses would stay in memory.
READ_TIMEOUT = 30  # seconds
MIN_READ_RATE = 500  # bytes per second

# Closing a socket with unread input sends a TCP reset, which may destroy a response in transit. So the input after a
# refused request, such as the rest of an oversized body, is read and discarded within these limits.
LINGER_TIMEOUT = 5  # seconds
MAX_DISCARDED_BYTES = 33_554_432  # twice the largest body that is accepted by default


class ReadTimeout:
    """Aborts a transport if the peer reads slower than MIN_READ_RATE, until it is cancelled. While it runs, only the
    rest of a response may be written."""

    __slots__ = ("_size", "_timer", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._start()

    def cancel(self) -> None:
        self._timer.cancel()

    def _start(self) -> None:
        self._size = self._transport.get_write_buffer_size()
        self._timer = asyncio.get_running_loop().call_later(READ_TIMEOUT, self._check)

    def _check(self) -> None:
        if self._transport.get_write_buffer_size() > max(0, self._size - READ_TIMEOUT * MIN_READ_RATE):
            self._transport.abort()
        else:
            self._start()


class Lingering(asyncio.Protocol):
    """Owner of a socket after its last write: discards input until the peer closes, LINGER_TIMEOUT has passed or
    `max_bytes` have arrived."""

    def __init__(self, transport: asyncio.Transport, max_bytes: int) -> None:
        self._transport = transport
        self._bytes_left = max_bytes
        self._read_timeout = ReadTimeout(transport)
        self._timer = asyncio.get_running_loop().call_later(LINGER_TIMEOUT, transport.close)

    def data_received(self, data: bytes) -> None:
        self._bytes_left -= len(data)
        if self._bytes_left < 0:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        self._read_timeout.cancel()


def linger(transport: asyncio.Transport, max_bytes: int = MAX_DISCARDED_BYTES) -> None:
    """Close a socket while the peer may still send, without losing the written response."""
    if transport.is_closing():
        return
    transport.set_protocol(Lingering(transport, max_bytes))
    if transport.can_write_eof():
        transport.write_eof()
    transport.resume_reading()
