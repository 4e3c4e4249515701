"""An event stream on a socket of our own: everything a client says on it is passed over."""

from bellcast.live.connection.close_reasons import CloseReason
from bellcast.live.connection.connection import Connection
from bellcast.live.framing import sse
from bellcast.live.native import protocol


class SseConnection(Connection):
    """Chunked to HTTP/1.1, ended by closing to HTTP/1.0."""

    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        """A client has nothing to say on an event stream."""

    def send_close(self, end: CloseReason) -> None:
        last = sse.LAST_CHUNK if self.dialect is protocol.SSE_CHUNKED else b""
        self.write(self.dialect.close(end) + last)
        self.transport.close()
