"""An HTTP server protocol whose requests can hand their socket over.

It is uvicorn's own, plus one function in `scope["extensions"]`: the endpoint authenticates like any other ASGI
endpoint and then takes the transport; the HTTP protocol and its task are let go. WebSocket upgrades come the same
way, as plain requests. Bytes that arrive behind an upgrade wait here for the new owner.
"""

import asyncio
from enum import Enum, auto
from functools import partial
from typing import Any
from weakref import ref

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.utils import is_ssl

EXTENSION = "bellcast.takeover"
# A request head larger than this is nobody's browser; proxies allow 8 to 32 KiB.
HEAD_LIMIT = 65_536
# The longest a client may take over its request head, and over nothing at all after connecting.
HEAD_SECONDS = 10
# The longest silence in the midst of a body: a phone that lost its network is gone, one in a tunnel may come out again.
BODY_SECONDS = 30
# Bytes behind an upgrade that wait while the client is being authenticated.
EARLY_LIMIT = 65_536
# Requests sent ahead while an earlier one is unanswered; clients that pipeline at all send a handful.
AHEAD = 100
# The wish of every browser.
WEBSOCKET = (b"upgrade", b"websocket")
TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class Stage(Enum):
    """What of a request is still to come."""

    HEAD = auto()
    BODY = auto()
    NOTHING = auto()


class TakeoverProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, with `take_over`, bounds on the request head, and no upgrade of its own."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._early: bytearray | None = None  # not None once WebSocket was asked for
        self._passed_over: bool | None = None  # a wish for a protocol that is not spoken here; None: not looked at yet
        self._endless = 0  # bytes of a head that has not come to its end
        self._piece = 0  # bytes that are being parsed
        self._stage = Stage.HEAD
        self._impatience: asyncio.TimerHandle | None = None  # not None while something is awaited

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        # As uvicorn's own, which makes eight system calls to learn both addresses; nobody asks for the server's.
        self.connections.add(self)
        self.transport = transport
        self.flow = FlowControl(transport)
        peer = transport.get_extra_info("peername")
        self.client = (str(peer[0]), int(peer[1])) if isinstance(peer, tuple) else None
        self.scheme = "https" if is_ssl(transport) else "http"
        self._impatience = self.loop.call_later(HEAD_SECONDS, transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        self._patient()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._early is not None:
            self._early += data
            if len(self._early) > EARLY_LIMIT:
                self.flow.pause_reading()
            return
        before, self._piece = self._impatience, len(data)
        self._parse(data)
        if not self.transport.is_closing():
            self._watch(before, len(data))

    def _watch(self, before: asyncio.TimerHandle | None, size: int) -> None:
        """See that what is still to come does come. A head has its time once; in a body each silence has."""
        if self._stage is Stage.HEAD and before is not None and before is self._impatience:
            self._endless += size
            if self._endless > HEAD_LIMIT:
                self._refuse_head()
            return
        self._patient()
        if self._stage is not Stage.NOTHING:
            seconds = HEAD_SECONDS if self._stage is Stage.HEAD else BODY_SECONDS
            self._impatience = self.loop.call_later(seconds, self.transport.close)

    def _parse(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            behind = data[upgrade.args[0] :]
            if self._should_upgrade():
                self._parse_again(behind)
            else:
                self._stage, self._early = Stage.NOTHING, bytearray(behind)
        except httptools.HttpParserError:
            if not self.transport.is_closing():
                self.send_400_response("Invalid HTTP request received.")

    def _should_upgrade(self) -> bool:
        """uvicorn's word for requests it passes over. Those that wish for a protocol we do not speak, as Java's client
        does for HTTP/2, are answered without it (RFC 9110, 7.8): they are parsed again."""
        if self._passed_over is None:  # it is asked four times a request
            self._passed_over = WEBSOCKET not in self.headers and self._get_upgrade() not in (None, b"websocket")
        return self._passed_over

    def _parse_again(self, behind: bytes) -> None:
        """The same request without its wish; the parser would take its body for the other protocol."""
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        lines = [b"%b: %b" % (name, value) for name, value in self.headers if name != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self._parse(b"\r\n".join((b"%b %b HTTP/%b" % (method, self.url, version), *lines, b"", behind)))

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._unset_keepalive_if_required()
        self._stage = Stage.HEAD
        self._endless = 0
        self._passed_over = None

    def on_headers_complete(self) -> None:
        self._patient()
        if self._endless + self._piece > HEAD_LIMIT and self._head_size() > HEAD_LIMIT:
            self._refuse_head()
            raise ValueError("request head too large")  # stops the parser
        self._stage = Stage.BODY
        super().on_headers_complete()
        if self.parser.should_upgrade():
            if self._should_upgrade():
                return
            self.cycle.keep_alive = False  # whatever answers, nothing more is parsed on this socket
        # Weakly, since both hold the scope: a request that is answered would wait for the garbage collector.
        self.scope["extensions"] = {EXTENSION: partial(_take_over, ref(self), ref(self.cycle))}  # type: ignore[dict-item]  # ASGI allows any value
        if len(self.pipeline) > AHEAD:
            self.transport.close()
            raise ValueError("too many requests at once")  # stops the parser

    def on_message_complete(self) -> None:
        self._stage = Stage.NOTHING
        super().on_message_complete()

    def take_over(self, cycle: RequestResponseCycle, owner: asyncio.Protocol) -> tuple[asyncio.Transport, bytes]:
        """Give the socket to `owner`: the transport, and what the client has sent behind its request.

        Raises ConnectionResetError if the client has gone. Afterwards this request may send nothing."""
        gone = cycle.disconnected or self.transport.is_closing()
        cycle.disconnected = True  # so that uvicorn asks for no response
        if gone:
            raise ConnectionResetError("the client has gone")
        self.pipeline.clear()  # there is no second request on this socket
        self.connections.discard(self)
        self._unset_keepalive_if_required()
        self._patient()
        self.flow.resume_reading()
        transport, early = self.transport, bytes(self._early or b"")
        transport.set_protocol(owner)
        self._let_go()
        return transport, early

    def _let_go(self) -> None:
        """Undo the circles this request's objects stand in: otherwise thousands of them wait for the garbage collector."""
        self.scope["extensions"] = {}
        self.cycle = self.scope = self.flow = self.transport = self.parser = None  # type: ignore[assignment]  # as uvicorn does

    def _head_size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def _refuse_head(self) -> None:
        self.transport.write(TOO_LARGE)
        self.transport.close()

    def _patient(self) -> None:
        if self._impatience is not None:
            self._impatience.cancel()
            self._impatience = None


def _take_over(
    server: ref[TakeoverProtocol], cycle: ref[RequestResponseCycle], owner: asyncio.Protocol
) -> tuple[asyncio.Transport, bytes]:
    """Both are there as long as the request is being answered."""
    protocol, answering = server(), cycle()
    if protocol is None or answering is None:
        raise ConnectionResetError("the client has gone")
    return protocol.take_over(answering, owner)
