"""Engine.IO over WebSocket: a new session, or an upgrade of a polling session."""

import asyncio
from socket import SocketType
from typing import Any

from bellcast.live.connection import close_reasons
from bellcast.live.connection.close_reasons import CloseReason
from bellcast.live.connection.connection import CLOSE_TIMEOUT, NULL_TRANSPORT, OutboundTransport, raw_socket
from bellcast.live.connection.message_rate import MessageRateLimiter
from bellcast.live.framing import websocket
from bellcast.live.socketio.engine_session import UNREADABLE, EngineSession
from bellcast.live.socketio.long_polling import PollingTransport
from bellcast.live.socketio.protocol import engineio
from bellcast.live.socketio.protocol.engineio import Encoding, InvalidPacket

NORMAL = 1000
# A code that says the client may come back at once is a plain end; only what it did wrong has a number it can look up.
OWN_CODES = range(4000, 5000)


class EngineWebSocket(asyncio.Protocol):
    """One WebSocket: the link of its pipe, or while `_probing` only a candidate."""

    __slots__ = (
        "_close_timer",
        "_is_closed",
        "_limit",
        "_probing",
        "_rate_limiter",
        "_reader",
        "_session",
        "encoding",
        "sock",
        "transport",
    )

    def __init__(self, pipe: EngineSession, form: Encoding, max_payload: int, frames_per_second: int) -> None:
        self._session = pipe
        self._reader = websocket.FrameReader(max_payload)
        self._rate_limiter = MessageRateLimiter(frames_per_second)
        self._probing = False
        self._is_closed: CloseReason | None = None
        self._close_timer: asyncio.TimerHandle | None = None
        self.encoding = form
        self.transport: OutboundTransport
        self.sock: SocketType | None = None

    def attach(self, outlet: OutboundTransport) -> None:
        """Attach the outbound transport."""
        self.transport = outlet
        self.sock = raw_socket(outlet)

    def begin(self) -> None:
        """Open a new session."""
        self._session.begin(self)

    def probe(self, upgrade_timeout: float) -> None:
        """Try to take a session over from polling; give it up unless the client makes up its mind in time. Only one
        may try at a time, and none once the session is on a WebSocket."""
        polling = self._session.transport
        if not isinstance(polling, PollingTransport) or polling.candidate is not None:
            self.close_with(UNREADABLE, b"")
            return
        polling.candidate = self
        self._probing = True
        self._close_timer = asyncio.get_running_loop().call_later(upgrade_timeout, self._abandon_upgrade)

    # --- inbound

    def data_received(self, data: bytes) -> None:
        for received in self._reader.receive(data):
            self._receive(received)

    def _receive(self, received: websocket.ReaderEvent) -> None:
        match received:
            case websocket.CloseReceived(code):
                self._answer_close(code)
            case _ if self._is_closed is not None:
                pass
            case websocket.ProtocolViolation(code, reason):
                self._fail(CloseReason(code, reason, reconnect=False))
                self.transport.write_eof()  # the reader is deaf now, so no goodbye is waited for
            case _ if self._rate_limiter.hit(asyncio.get_running_loop().time()):
                self._fail(close_reasons.TOO_FAST)
            case websocket.TextMessage(text):
                self.receive(text)
            case websocket.BinaryMessage(data):
                self.receive(data)
            case websocket.PingReceived(data):
                self.transport.write(websocket.pong_frame(data))

    def receive_limited(self, message: str | bytes, limit: int) -> None:
        """Handle a message from ASGI `receive`, where the server enforces its own limits."""
        if self._is_closed is not None:
            return
        if 0 < limit < len(message.encode() if isinstance(message, str) else message):
            self._fail(close_reasons.TOO_LARGE)
        elif self._rate_limiter.hit(asyncio.get_running_loop().time()):
            self._fail(close_reasons.TOO_FAST)
        else:
            self.receive(message)

    def receive(self, message: str | bytes) -> None:
        """One message."""
        try:
            packet = engineio.read(message) if isinstance(message, str) else engineio.EnginePacket("4", message)
        except InvalidPacket:
            self._fail(UNREADABLE)
            return
        if self._probing:
            self._receive_probe(packet)
        else:
            self._session.receive(packet)

    def _receive_probe(self, packet: engineio.EnginePacket) -> None:
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

    def _complete_upgrade(self) -> None:
        """A candidate no more: polling is free for another, or behind us."""
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

    def _fail(self, end: CloseReason) -> None:
        if self._probing:
            self._abandon_upgrade()
        else:
            self._session.close(end)
            self.close_with(end, b"")

    # --- close

    def close_with(self, end: CloseReason, last: bytes) -> None:
        """Send a close frame, then wait briefly for the client's."""
        if self._is_closed is not None:
            return
        self._is_closed = end
        if self.encoding is engineio.FRAMES:
            own = end.code in OWN_CODES or end.code in (
                websocket.TOO_LARGE,
                websocket.NOT_UTF8,
                websocket.PROTOCOL_ERROR,
            )
            self.transport.write(websocket.close_frame(end.code if own else NORMAL, end.reason))
            self._close_timer = asyncio.get_running_loop().call_later(CLOSE_TIMEOUT, self.transport.abort)
        else:
            self.transport.close()

    def closing(self) -> dict[str, Any]:
        """Return the final ASGI message."""
        end = self._is_closed or CloseReason(NORMAL, "", reconnect=True)
        return {"type": "websocket.close", "code": end.code, "reason": end.reason}

    def closed_by_client(self, code: int) -> None:
        """The client sent a close frame."""
        if not self._probing and not self._session.is_closed:
            self._session.close_reason = close_reasons.by_client(code)

    def _answer_close(self, code: int) -> None:
        if self._is_closed is None:
            self.closed_by_client(code)
            self._disconnected()
            self.transport.write(websocket.close_frame(code))
        self.transport.close()

    def pause_writing(self) -> None:
        if not self._probing:
            self._session.on_buffer_full()

    def resume_writing(self) -> None:
        if not self._probing:
            self._session.on_buffer_drained()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disconnected()
        if self._close_timer is not None:
            self._close_timer.cancel()
        if self.sock is not None:
            self.sock.detach()  # the transport closes it right after this
            self.sock = None
        self.transport = NULL_TRANSPORT

    def _disconnected(self) -> None:
        if self._is_closed is None:
            self._is_closed = CloseReason(NORMAL, "", reconnect=True)
            if self._probing:
                self._complete_upgrade()
            else:
                self._session.discard()
