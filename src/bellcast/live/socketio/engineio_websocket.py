"""Engine.IO over WebSocket: a new session, or an upgrade of a polling session."""

import asyncio
from socket import SocketType

from bellcast.kernel.token_bucket import TokenBucket
from bellcast.live.connection import close_reasons
from bellcast.live.connection.close_reasons import CloseReason
from bellcast.live.connection.connection import CLOSE_TIMEOUT
from bellcast.live.connection.inbound_queue import limited
from bellcast.live.connection.outbound import NULL_TRANSPORT, OutboundTransport, raw_socket
from bellcast.live.framing import websocket
from bellcast.live.socketio import engineio
from bellcast.live.socketio.engine_session import UNREADABLE, EngineSession
from bellcast.live.socketio.engineio import InvalidPacket
from bellcast.live.socketio.long_polling import PollingTransport
from bellcast.live.socketio.packets import MAX_CONNECT_LENGTH

# Close codes for client errors, which are sent unchanged. Other closes are sent as 1000, after which clients
# reconnect.
ERROR_CODES = frozenset({*range(4000, 5000), websocket.TOO_LARGE, websocket.NOT_UTF8, websocket.PROTOCOL_ERROR})

# Packets without a message: ping, pong and noop.
HEARTBEATS = ("2", "3", "6")


class EngineWebSocket(asyncio.Protocol):
    """The transport of a session or, while `_probing`, a candidate for it."""

    encoding = engineio.FRAMES
    __slots__ = (
        "_close_reason",
        "_close_timer",
        "_max_payload",
        "_probing",
        "_rate_limiter",
        "_reader",
        "_session",
        "_sock",
        "transport",
    )

    def __init__(self, session: EngineSession, max_payload: int, frames_per_second: int) -> None:
        self._session = session
        self._reader = websocket.FrameReader(max_payload, frames_per_second)
        self._max_payload = self._reader.max_size
        self._rate_limiter = TokenBucket(frames_per_second, 0)
        self._probing = False
        self._close_reason: CloseReason | None = None
        self._close_timer: asyncio.TimerHandle | None = None
        self.transport: OutboundTransport
        self._sock: SocketType | None = None

    def open_socket(self) -> SocketType | None:
        """Return the socket, which all connections of the session share."""
        if self._sock is None:
            self._sock = raw_socket(self.transport)
        return self._sock

    def probe(self, upgrade_timeout: float) -> None:
        """Start the upgrade of a polling session; it is abandoned after `upgrade_timeout` seconds. A second candidate
        is closed, as is a candidate for a session that already uses a WebSocket."""
        polling = self._session.transport
        if not isinstance(polling, PollingTransport) or polling.candidate is not None:
            self.close_with(UNREADABLE, b"")
            return
        polling.candidate = self
        self._probing = True
        self._close_timer = asyncio.get_running_loop().call_later(upgrade_timeout, self._abandon_upgrade)

    # --- inbound

    def data_received(self, data: bytes) -> None:
        is_unjoined = self._session.unjoined_as is not None  # it may send only CONNECT packets
        self._reader.max_size = min(self._max_payload, MAX_CONNECT_LENGTH) if is_unjoined else self._max_payload
        for event in limited(self._reader, self._rate_limiter, data, HEARTBEATS):
            match event:
                case websocket.CloseReceived(code):
                    if self._close_reason is None:
                        if not self._probing and not self._session.is_closed:
                            self._session.close_reason = close_reasons.by_client(code)
                        self._disconnected()
                        self.transport.write(websocket.close_frame(code))
                    self.transport.close()
                case websocket.ReaderSignal.FLOOD:
                    # Ignore the client's close frame too: parsing it would delay other connections.
                    if self._close_reason is None:
                        self._close_with_error(close_reasons.TOO_FAST)
                    if not self.transport.is_closing():
                        self.transport.write_eof()
                case _ if self._close_reason is not None:
                    pass
                case websocket.ProtocolViolation(code, reason):
                    self._close_with_error(CloseReason(code, reason, reconnect=False))
                    self.transport.write_eof()  # the reader ignores further input, so no close frame is expected
                case str() | bytes():
                    self.receive(event)
                case websocket.ControlReceived(websocket.PING_OPCODE, data):
                    self.transport.write(websocket.pong_frame(data))

    def receive(self, message: str | bytes) -> None:
        try:
            packet = engineio.read(message) if isinstance(message, str) else engineio.EnginePacket("4", message)
        except InvalidPacket:
            self._close_with_error(UNREADABLE)
            return
        if self._probing:
            polling = self._session.transport
            if self._session.is_closed or not isinstance(polling, PollingTransport):
                self._abandon_upgrade()
            elif packet == ("2", "probe"):
                self.transport.write(self.encoding.text(engineio.PROBED))
                polling.probe(begun=True)
            elif packet.type == "5":
                self._complete_upgrade()
                self._session.change_transport(self, polling.hand_over_pending())
            else:
                self._abandon_upgrade()
        else:
            self._session.receive(packet)

    def _complete_upgrade(self) -> None:
        """Finish probing, so that another candidate may start."""
        polling = self._session.transport
        if self._probing and isinstance(polling, PollingTransport):
            polling.candidate = None
            polling.probe(begun=False)
        self._probing = False
        if self._close_timer is not None:
            self._close_timer.cancel()
            self._close_timer = None

    def _abandon_upgrade(self) -> None:
        self._complete_upgrade()
        self.close_with(UNREADABLE, b"")

    def _close_with_error(self, end: CloseReason) -> None:
        if self._probing:
            self._abandon_upgrade()
        else:
            self._session.close(end)
            self.close_with(end, b"")

    # --- close

    def close_with(self, end: CloseReason, last: bytes) -> None:
        """Send a close frame, then wait briefly for the client's."""
        if self._close_reason is not None:
            return
        self._close_reason = end
        self.transport.write(
            websocket.close_frame(end.code if end.code in ERROR_CODES else websocket.NORMAL, end.reason)
        )
        self._close_timer = asyncio.get_running_loop().call_later(CLOSE_TIMEOUT, self.transport.abort)

    def pause_writing(self) -> None:
        if self._probing:
            self._abandon_upgrade()  # the transport would not report its full buffer again
        else:
            self._session.on_buffer_full()

    def resume_writing(self) -> None:
        if not self._probing:
            self._session.on_buffer_drained()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disconnected()
        if self._close_timer is not None:
            self._close_timer.cancel()
        if self._sock is not None:
            self._sock.detach()  # the transport closes it right after this
            self._sock = None
        self.transport = NULL_TRANSPORT

    def _disconnected(self) -> None:
        if self._close_reason is None:
            self._close_reason = CloseReason(websocket.NORMAL, "", reconnect=True)
            if self._probing:
                self._complete_upgrade()
            else:
                self._session.discard()
