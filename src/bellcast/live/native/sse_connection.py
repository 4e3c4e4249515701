"""An event stream on a raw socket; received data is ignored."""

from bellcast.live.connection.close_reasons import CloseReason
from bellcast.live.connection.connection import Connection
from bellcast.live.framing import sse
from bellcast.live.native import protocol


class SseConnection(Connection):
    """Chunked for HTTP/1.1; for HTTP/1.0, closing the connection ends the body."""

    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        """Ignore received data: an event stream is one-way."""

    def send_close(self, end: CloseReason) -> None:
        last = sse.LAST_CHUNK if self.dialect is protocol.SSE_CHUNKED else b""
        self.write(self.dialect.close(end) + last)
        self.transport.close()
