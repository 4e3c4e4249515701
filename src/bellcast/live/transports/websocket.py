"""A WebSocket on a socket of our own."""

import asyncio
from typing import Any

from bellcast.live import reasons
from bellcast.live.connection import Connection, Listener, Phase
from bellcast.live.framing import websocket
from bellcast.live.pace import Pace
from bellcast.live.reasons import Close

# Bytes that wait while a client is being let in: more is a client that does not wait for its greeting.
EARLY_LIMIT = 65_536


class WebSocketConnection(Connection):
    """Reads frames strictly, answers control frames, hands messages to its listener."""

    __slots__ = ("_early", "_listener", "_pace", "_reader")

    def __init__(self, *args: Any, listener: Listener) -> None:
        super().__init__(*args)
        self._early: bytes | None = b""  # not None until its listener may hear it
        self._listener = listener
        self._reader: websocket.FrameReader | None = None  # made with the first word: most clients only listen
        self._pace: Pace

    def listen(self) -> None:
        """From here on it is heard, beginning with what it has said before."""
        early, self._early = self._early, None
        if early:
            if not self.outlet.is_closing():
                self.outlet.resume_reading()
            self.data_received(early)  # last, since many frames at once pause the reading again

    def data_received(self, data: bytes) -> None:
        if self._early is not None:
            self._wait(data)
            return
        self.heard_at = self.keeper.tick
        reader = self._begin() if self._reader is None else self._reader
        for received in reader.receive(data):
            self._hear(received)

    def _begin(self) -> websocket.FrameReader:
        self._pace = Pace(self._listener.limits.frames_per_second)
        self._reader = websocket.FrameReader(self._listener.limits.frame)
        return self._reader

    def _wait(self, data: bytes) -> None:
        self._early = (self._early or b"") + data
        if len(self._early) > EARLY_LIMIT:
            self.outlet.pause_reading()

    def _hear(self, received: websocket.Received) -> None:
        match received:
            case websocket.Closed(code):
                self._answer_close(code)
            case _ if self.phase is Phase.ENDED:
                pass
            case websocket.Failed(code, reason):
                too_large = code == websocket.TOO_LARGE
                end = reasons.TOO_LARGE if too_large else Close(code, reason, reconnect=False)
                self.keeper.end(self, end)
                self.outlet.write_eof()  # the reader is deaf now, so no goodbye is waited for
            case _ if self._pace.exceeded(asyncio.get_running_loop().time()):
                self.keeper.end(self, reasons.TOO_FAST)
            case websocket.Text(text):
                self._listener.receive(self, text)
            case websocket.Binary(data):
                self._listener.receive(self, data)
            case websocket.Ping(data):
                self.write(websocket.pong_frame(data))
            case websocket.Pong(data) if data:
                self.keeper.answered(self, data)

    def ping(self) -> bool:
        self.write(websocket.PING)
        return True

    def say_goodbye(self, end: Close) -> None:
        self.write(self.dialect.close(end) + websocket.close_frame(end.code, end.reason))

    def _answer_close(self, code: int) -> None:
        if self.phase is not Phase.ENDED:
            self.close_reason = reasons.by_client(code)
            self.part()
            self.write(websocket.close_frame(code))
        self.outlet.close()
