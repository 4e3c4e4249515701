"""Engine.IO over WebSocket: a session born here, or one that tries to move here from polling."""

import asyncio
from socket import SocketType
from typing import Any

from bellcast.live import reasons
from bellcast.live.connection import NOWHERE, PARTING_SECONDS, Outlet, borrowed
from bellcast.live.framing import websocket
from bellcast.live.pace import Pace
from bellcast.live.protocols.socketio import engineio
from bellcast.live.protocols.socketio.engineio import Broken, Form
from bellcast.live.reasons import Close
from bellcast.live.sessions.engineio import UNREADABLE, Pipe
from bellcast.live.transports.polling import Polling

NORMAL = 1000
# A code that says the client may come back at once is a plain end; only what it did wrong has a number it can look up.
OWN_CODES = range(4000, 5000)


class Socket(asyncio.Protocol):
    """One WebSocket: the link of its pipe, or while `_probing` only a candidate."""

    __slots__ = ("_ended", "_limit", "_pace", "_parting", "_pipe", "_probing", "_reader", "form", "outlet", "sock")

    def __init__(self, pipe: Pipe, form: Form, max_payload: int, frames_per_second: int) -> None:
        self._pipe = pipe
        self._reader = websocket.FrameReader(max_payload)
        self._pace = Pace(frames_per_second)
        self._probing = False
        self._ended: Close | None = None
        self._parting: asyncio.TimerHandle | None = None
        self.form = form
        self.outlet: Outlet
        self.sock: SocketType | None = None

    def own(self, outlet: Outlet) -> None:
        """Take the outlet over."""
        self.outlet = outlet
        self.sock = borrowed(outlet)

    def begin(self) -> None:
        """Open a session of its own."""
        self._pipe.begin(self)

    def probe(self, upgrade_timeout: float) -> None:
        """Try to take a session over from polling; give it up unless the client makes up its mind in time. Only one
        may try at a time, and none once the session is on a WebSocket."""
        polling = self._pipe.link
        if not isinstance(polling, Polling) or polling.candidate is not None:
            self.part(UNREADABLE, b"")
            return
        polling.candidate = self
        self._probing = True
        self._parting = asyncio.get_running_loop().call_later(upgrade_timeout, self._give_up)

    # --- what comes in

    def data_received(self, data: bytes) -> None:
        for received in self._reader.receive(data):
            self._hear(received)

    def _hear(self, received: websocket.Received) -> None:
        match received:
            case websocket.Closed(code):
                self._answer_close(code)
            case _ if self._ended is not None:
                pass
            case websocket.Failed(code, reason):
                self._fail(Close(code, reason, reconnect=False))
                self.outlet.write_eof()  # the reader is deaf now, so no goodbye is waited for
            case _ if self._pace.exceeded(asyncio.get_running_loop().time()):
                self._fail(reasons.TOO_FAST)
            case websocket.Text(text):
                self.hear(text)
            case websocket.Binary(data):
                self.hear(data)
            case websocket.Ping(data):
                self.outlet.write(websocket.pong_frame(data))

    def hear_within(self, message: str | bytes, limit: int) -> None:
        """One message that another server has taken in, with limits of its own."""
        if self._ended is not None:
            return
        if 0 < limit < len(message.encode() if isinstance(message, str) else message):
            self._fail(reasons.TOO_LARGE)
        elif self._pace.exceeded(asyncio.get_running_loop().time()):
            self._fail(reasons.TOO_FAST)
        else:
            self.hear(message)

    def hear(self, message: str | bytes) -> None:
        """One message."""
        try:
            packet = engineio.read(message) if isinstance(message, str) else engineio.Packet("4", message)
        except Broken:
            self._fail(UNREADABLE)
            return
        if self._probing:
            self._hear_candidate(packet)
        else:
            self._pipe.hear(packet)

    def _hear_candidate(self, packet: engineio.Packet) -> None:
        polling = self._pipe.link
        if self._pipe.over or not isinstance(polling, Polling):
            self._give_up()
        elif packet == ("2", "probe"):
            self.outlet.write(self.form.text(engineio.PROBED))
            polling.probe(begun=True)
        elif packet.type == "5":
            self._settle()
            self._pipe.move(self, polling.retire())
        else:
            self._give_up()

    def _settle(self) -> None:
        """A candidate no more: polling is free for another, or behind us."""
        polling = self._pipe.link
        if self._probing and isinstance(polling, Polling):
            polling.candidate = None
            polling.probe(begun=False)
        self._probing = False
        if self._parting is not None:
            self._parting.cancel()
            self._parting = None

    def _give_up(self) -> None:
        self._settle()
        self.part(UNREADABLE, b"")

    def _fail(self, end: Close) -> None:
        if self._probing:
            self._give_up()
        else:
            self._pipe.end(end)
            self.part(end, b"")

    # --- its end

    def part(self, end: Close, last: bytes) -> None:
        """Say goodbye, then wait a moment for the client's own."""
        if self._ended is not None:
            return
        self._ended = end
        if self.form is engineio.FRAMES:
            own = end.code in OWN_CODES or end.code in (
                websocket.TOO_LARGE,
                websocket.NOT_UTF8,
                websocket.PROTOCOL_ERROR,
            )
            self.outlet.write(websocket.close_frame(end.code if own else NORMAL, end.reason))
            self._parting = asyncio.get_running_loop().call_later(PARTING_SECONDS, self.outlet.abort)
        else:
            self.outlet.close()

    def closing(self) -> dict[str, Any]:
        """The last message through another server's sends."""
        end = self._ended or Close(NORMAL, "", reconnect=True)
        return {"type": "websocket.close", "code": end.code, "reason": end.reason}

    def closed_by_client(self, code: int) -> None:
        """The client sent a close frame."""
        if not self._probing and not self._pipe.over:
            self._pipe.close_reason = reasons.by_client(code)

    def _answer_close(self, code: int) -> None:
        if self._ended is None:
            self.closed_by_client(code)
            self._lost()
            self.outlet.write(websocket.close_frame(code))
        self.outlet.close()

    def pause_writing(self) -> None:
        if not self._probing:
            self._pipe.full()

    def resume_writing(self) -> None:
        if not self._probing:
            self._pipe.drained()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost()
        if self._parting is not None:
            self._parting.cancel()
        if self.sock is not None:
            self.sock.detach()  # the transport closes it right after this
            self.sock = None
        self.outlet = NOWHERE

    def _lost(self) -> None:
        if self._ended is None:
            self._ended = Close(NORMAL, "", reconnect=True)
            if self._probing:
                self._settle()
            else:
                self._pipe.forget()
