"""An HTTP server protocol whose requests can hand their socket over.

It is uvicorn's own, plus one function in `scope["extensions"]`: the endpoint authenticates like any other ASGI
endpoint and then takes the transport; the HTTP protocol and its task are let go. WebSocket upgrades come the same
way, as plain requests. Bytes that arrive behind an upgrade wait here for the new owner.
"""

import asyncio
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

EXTENSION = "bellcast.takeover"
# A request head larger than this is nobody's browser; proxies allow 8 to 32 KiB.
HEAD_LIMIT = 65_536
# The longest a client may take over its request head, and over nothing at all after connecting.
HEAD_SECONDS = 10
# Bytes behind an upgrade that wait while the client is being authenticated.
EARLY_LIMIT = 65_536
TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class TakeoverProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, with `take_over`, bounds on the request head, and no upgrade of its own."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._early: bytearray | None = None  # not None once an upgrade was asked for
        self._head = 0
        self._impatience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
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
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._early = bytearray(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            if not self.transport.is_closing():
                self.send_400_response("Invalid HTTP request received.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head = 0
        self.scope["extensions"] = {EXTENSION: self.take_over}  # type: ignore[dict-item]  # ASGI allows any value

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._patient()
        super().on_headers_complete()
        if self.parser.should_upgrade():
            self.cycle.keep_alive = False  # whatever answers, nothing more is parsed on this socket

    def take_over(self, owner: asyncio.Protocol) -> tuple[asyncio.Transport, bytes]:
        """Give the socket to `owner`: the transport, and what the client has sent behind its request.

        Raises ConnectionResetError if the client has gone. Afterwards this request may send nothing."""
        if self.cycle.disconnected or self.transport.is_closing():
            raise ConnectionResetError("the client has gone")
        self.cycle.disconnected = True  # so that uvicorn asks for no response
        self.connections.discard(self)
        self._unset_keepalive_if_required()
        self.flow.resume_reading()
        self.transport.set_protocol(owner)
        return self.transport, bytes(self._early or b"")

    def _count(self, size: int) -> None:
        self._head += size
        if self._head > HEAD_LIMIT and not self.transport.is_closing():
            self.transport.write(TOO_LARGE)
            self.transport.close()
            raise ValueError("request head too large")  # stops the parser

    def _patient(self) -> None:
        if self._impatience is not None:
            self._impatience.cancel()
            self._impatience = None
