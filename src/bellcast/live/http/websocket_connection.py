"""A WebSocket on a raw socket."""

import asyncio
from typing import Any

from bellcast.live.connection import close_reasons
from bellcast.live.connection.close_reasons import CloseReason
from bellcast.live.connection.connection import Connection, Listener, Phase
from bellcast.live.connection.inbound_queue import MessageRateLimiter
from bellcast.live.framing import websocket

# Bytes buffered during authentication; then reading is paused.
MAX_EARLY_BYTES = 65_536


class WebSocketConnection(Connection):
    """Parses frames, responds to control frames and passes messages to its listener."""

    __slots__ = ("_early", "_listener", "_rate_limiter", "_reader")

    def __init__(self, *args: Any, listener: Listener) -> None:
        super().__init__(*args)
        self._early: bytes | None = b""  # not None until the listener may receive messages
        self._listener = listener
        # created with the first input, because most clients only listen
        self._reader: websocket.FrameReader | None = None
        self._rate_limiter: MessageRateLimiter

    def start_reading(self) -> None:
        """Start processing input, beginning with the buffered bytes."""
        early, self._early = self._early, None
        if early:
            if not self.transport.is_closing():
                self.transport.resume_reading()
            self.data_received(early)  # last, because many frames pause the reading again

    def data_received(self, data: bytes) -> None:
        if self._early is not None:
            self._early = (self._early or b"") + data
            if len(self._early) > MAX_EARLY_BYTES:
                self.transport.pause_reading()
            return
        self.last_received_tick = self.owner.tick
        reader = self._create_reader() if self._reader is None else self._reader
        for event in reader.receive(data):
            self._receive(event)

    def _create_reader(self) -> websocket.FrameReader:
        limits = self._listener.limits
        self._rate_limiter = MessageRateLimiter(limits.frames_per_second)
        self._reader = websocket.FrameReader(limits.frame, limits.frames_per_second)
        return self._reader

    def _receive(self, event: websocket.ReaderEvent) -> None:
        match event:
            case websocket.CloseReceived(code):
                if self.phase is not Phase.CLOSED:
                    self.close_reason = close_reasons.by_client(code)
                    self.begin_close()
                    self.write(websocket.close_frame(code))
                self.transport.close()
            case websocket.TooManyFrames():
                self._end_flood()
            case _ if self._rate_limiter.hit(asyncio.get_running_loop().time()):
                self._end_flood()
            case _ if self.phase is Phase.CLOSED:
                pass
            case websocket.ProtocolViolation(code, reason):
                too_large = code == websocket.TOO_LARGE
                end = close_reasons.TOO_LARGE if too_large else CloseReason(code, reason, reconnect=False)
                self.owner.end(self, end)
                self.transport.write_eof()  # the reader ignores further input, so no close frame is expected
            case websocket.TextMessage(text):
                self._listener.receive(self, text)
            case websocket.BinaryMessage(data):
                self._listener.receive(self, data)
            case websocket.PingReceived(data):
                self.write(websocket.pong_frame(data))
            case websocket.PongReceived(data) if data:
                self.owner.on_pong(self, data)

    def _end_flood(self) -> None:
        """Close, and ignore further input, including the client's close frame: parsing it would delay other
        connections."""
        self.owner.end(self, close_reasons.TOO_FAST)
        if self._reader is not None:
            self._reader.stop()
        if not self.transport.is_closing():
            self.transport.write_eof()

    def ping(self) -> bool:
        self.write(websocket.PING)
        return True

    def send_close(self, end: CloseReason) -> None:
        self.write(self.dialect.close(end) + websocket.close_frame(end.code, end.reason))
