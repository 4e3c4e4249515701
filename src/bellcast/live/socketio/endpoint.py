"""`/socket.io/`: serves stock clients over GET, POST and WebSocket, and serves the client file. `wire` creates the dialect."""

import asyncio
import hashlib
import math
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import msgspec
import structlog
from msgspec import Struct

from bellcast.auth import origins
from bellcast.calls import CONNECT
from bellcast.kernel.errors import BellcastError
from bellcast.kernel.http import Receive, Scope, Send
from bellcast.kernel.http.request_body import Disconnected
from bellcast.live.connection.outbound import CoalescingTransport
from bellcast.live.framing import websocket
from bellcast.live.http import asgi, socket_handoff
from bellcast.live.http.asgi import HandshakeRequest
from bellcast.live.http.socket_handoff import SocketHandoff
from bellcast.live.http.takeover import EXTENSION
from bellcast.live.native.commands import Commands
from bellcast.live.socketio import SocketIOConfig, protocol, transports
from bellcast.live.socketio.engine_session import POLLING, WEBSOCKET, EngineSessions
from bellcast.live.socketio.joined_topics import ConnectionTopics
from bellcast.live.socketio.namespaces import Namespaces
from bellcast.live.socketio.protocol import EngineError
from bellcast.live.socketio.transports import EngineWebSocket, PollingTransport
from bellcast.live.wiring import LiveContext, WiredDialect

log = structlog.get_logger(__name__)

# A misconfigured load balancer would cause many warnings per second.
WARNING_INTERVAL_SECONDS = 60.0
# Headers that later namespaces need. Others are dropped, because they would be most of a connection's memory.
RETAINED_HEADERS = (b"authorization", b"cookie", b"host", b"origin", b"sec-fetch-site")
NO_PARAMETERS: Mapping[str, str] = {}
# Limit of those headers. Credentials are far smaller, and most proxies refuse longer header lines.
MAX_RETAINED_BYTES = 8_192
# Limits for polling sessions that have not joined a namespace. They are not authenticated, have no socket, and use up
# to 10 KB each until `connect_timeout`. Clients join within a round trip, so the limits do not affect a reconnect storm
# for long; refused clients retry.
MAX_UNJOINED_SESSIONS = 5_000
MAX_UNJOINED_SESSIONS_PER_ADDRESS = 2_000
PREFLIGHT_METHODS = (b"access-control-allow-methods", b"GET, POST")
# File names under which the reference implementation serves its client builds.
CLIENT_FILES = ("socket.io.js", "socket.io.min.js", "socket.io.esm.min.js")

ELSEWHERE = EngineError(
    protocol.UNKNOWN_SESSION.code,
    "Session ID unknown: it began on another machine. Polling needs a balancer that keeps each client on one machine, "
    "or clients that use WebSocket alone (transports: ['websocket']).",
)
OUT_OF_REACH = EngineError(
    protocol.UNKNOWN_SESSION.code,
    "Session ID unknown: it began in another process, which has ended or cannot be reached from this one.",
)
TOO_MANY_UNJOINED = EngineError(
    protocol.FORBIDDEN.code, "Too many sessions have not joined a namespace yet: try again in a few seconds.", 503
)
TOO_MANY_UNJOINED_HERE = EngineError(
    protocol.FORBIDDEN.code,
    "Too many sessions from this address have not joined a namespace yet: try again in a few seconds.",
    429,
)
TOO_LARGE_HEADERS = EngineError(
    protocol.BAD_REQUEST.code,
    f"The authorization, cookie and origin headers and the query may have at most {MAX_RETAINED_BYTES} bytes in total.",
    431,
)


class SocketIOEndpoint(Struct, eq=False):
    sessions: EngineSessions
    live: LiveContext
    _warned_at: float = -math.inf

    @property
    def _settings(self) -> SocketIOConfig:
        return self.sessions.config

    @property
    def _upgrade_timeout(self) -> float:
        """The timeout for reading a body, in seconds."""
        return self._settings.ping_interval + self._settings.ping_timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = asgi.read_handshake(scope)
        query = request.parameter_values
        siblings = self.live.siblings
        if siblings is not None and await self._hand_off(siblings, scope, query, receive, send):
            return
        if (request.header(b"upgrade") or "").lower() == "websocket":
            await self._serve_websocket(scope, request, query, send)
        else:
            await self._respond(request, query, receive, send)

    # --- sessions of other processes

    async def _hand_off(
        self, siblings: SocketHandoff, scope: Scope, query: Mapping[str, str], receive: Receive, send: Send
    ) -> bool:
        """Pass the request to the process that owns its session. Return True if it needs no response here."""
        owner = socket_handoff.owner_of(_session_id(query))
        if owner is None or owner[0] != socket_handoff.HOST:
            return False
        socket_path = siblings.peer_path(owner[1])
        if socket_path is None or scope["method"] not in ("GET", "POST") or not asgi.can_take_over(scope):
            return False
        body: bytes | None = b""
        if scope["method"] == "POST":
            try:
                async with asyncio.timeout(self._upgrade_timeout):
                    body = await transports.read_body(receive, self._settings.max_payload)
            except (Disconnected, TimeoutError):
                return False
        if body is None:
            await transports.reject_body(send, [])
            return True
        return await socket_handoff.hand_off(socket_path, scope, body)

    # --- polling

    async def _respond(self, request: HandshakeRequest, query: Mapping[str, str], receive: Receive, send: Send) -> None:
        declared = self.live.config.access.origins
        if request.method == "OPTIONS":
            wanted = request.header(b"access-control-request-headers")
            named = [] if wanted is None else [(b"access-control-allow-headers", wanted.encode("latin-1"))]
            allowed = origins.preflight_origin(request.origin, declared)
            await asgi.respond(send, 204, [*allowed, PREFLIGHT_METHODS, *named])
            return
        cors = request.cors_headers(declared)
        sid = _session_id(query)
        error = self._refusal(request, query, upgrading=False)
        if error is not None:
            final = self.sessions.final_packets.pop(sid, None) if error is protocol.UNKNOWN_SESSION else None
            if isinstance(final, PollingTransport):
                await transports.respond_body(send, request, cors, final.take_pending())
                return
            await transports.respond_engine_error(send, error, request.cors_headers(declared, error.status))
        elif not sid:
            session = self.sessions.create(self._retained_request(request))
            transport = PollingTransport(session)
            transport.set_write_buffer_limits(high=self.live.config.limits.unsent)
            self.sessions.begin(session, transport)
            await asgi.respond(send, 200, [*transports.TEXT, *cors], transport.take_pending())
        elif (known := self.sessions.find(sid)) is None or not isinstance(known.transport, PollingTransport):
            await transports.respond_engine_error(send, protocol.BAD_REQUEST, cors)
        elif request.method == "GET":
            await known.transport.respond_poll(request, receive, send, cors)
        elif request.method != "POST" or (request.header(b"content-type") or "").startswith("application/octet-stream"):
            await transports.respond_engine_error(send, protocol.BAD_REQUEST, cors)
        else:
            limits = (self._settings.max_payload, self._upgrade_timeout)
            await known.transport.respond_post(receive, send, cors, limits)

    # --- WebSocket

    async def _serve_websocket(
        self, scope: Scope, request: HandshakeRequest, query: Mapping[str, str], send: Send
    ) -> None:
        error = self._refusal(request, query, upgrading=True)
        try:
            key = asgi.check_upgrade(scope)
        except BellcastError:
            await transports.respond_engine_error(send, error or protocol.BAD_REQUEST, [])
            return
        if error is not None:
            await transports.respond_engine_error(send, error, [])
            return
        session = self.sessions.find(_session_id(query))
        session = session or self.sessions.create(self._retained_request(request))
        limit = self.live.config.limits.frames_per_second
        socket = EngineWebSocket(session, self._settings.max_payload, limit)
        try:
            transport, early = scope["extensions"][EXTENSION](socket)
        except ConnectionResetError:
            return
        output = CoalescingTransport(transport)
        output.set_write_buffer_limits(high=self.live.config.limits.unsent or 2**31 - 1)
        output.write(websocket.response(key, own_line=request.id_line))
        socket.transport = output
        if _session_id(query):
            socket.probe(self._settings.upgrade_timeout)  # closes a second socket for the same session
        else:
            self.sessions.begin(session, socket)
        if early:
            socket.data_received(early)

    def _retained_request(self, request: HandshakeRequest) -> HandshakeRequest:
        headers = [(name, value) for name, value in request.headers if name in RETAINED_HEADERS]
        return msgspec.structs.replace(
            request,
            request_id=None,
            headers=headers,
            query=_token_query(request),
            parameters=(),  # a list would take 56 bytes
            header_values=dict(headers),
            parameter_values=NO_PARAMETERS,
            # As JSON, because two dictionaries would take three times the memory.
            app_handshake=msgspec.json.encode(request.for_app()) if self.live.app.has(CONNECT) else b"",
        )

    # --- request validation

    def _refusal(self, request: HandshakeRequest, query: Mapping[str, str], *, upgrading: bool) -> EngineError | None:
        """Return the error for an invalid request, checked in the order of the reference implementation."""
        transport, sid = query.get("transport"), _session_id(query)
        if transport not in ("polling", "websocket") or (upgrading and transport != "websocket"):
            return protocol.UNKNOWN_TRANSPORT
        if not request.may_use_token(self.live.config.access.origins):
            return protocol.FORBIDDEN
        if sid:
            if self.sessions.find(sid) is None:
                error, now = _unknown_session(sid), asyncio.get_running_loop().time()
                if error is ELSEWHERE and now - self._warned_at > WARNING_INTERVAL_SECONDS:
                    self._warned_at = now
                    log.warning("session_on_other_machine", reason=error.message)
                return error
            return None if upgrading or transport == "polling" else protocol.BAD_REQUEST
        if request.method != "GET":
            return protocol.BAD_METHOD
        if transport == "websocket" and not upgrading:
            return protocol.BAD_REQUEST
        if query.get("EIO") != protocol.VERSION:
            return protocol.BAD_VERSION
        # The limits of connections; refused clients retry the handshake
        limit = self.live.config.max_connections
        try:
            unjoined = self.sessions.unjoined_from(request.address, POLLING, WEBSOCKET)
            self.live.admission.check_address(request.address, unjoined)
        except BellcastError as error:
            return EngineError(protocol.FORBIDDEN.code, error.detail, error.status)
        if limit and len(self.sessions) >= limit:
            return EngineError(protocol.FORBIDDEN.code, "This server has reached its connection limit.", 503)
        if self.sessions.unjoined >= MAX_UNJOINED_SESSIONS:
            return TOO_MANY_UNJOINED
        if self.sessions.unjoined_from(request.address, POLLING) >= MAX_UNJOINED_SESSIONS_PER_ADDRESS:
            return TOO_MANY_UNJOINED_HERE
        retained = sum(len(name) + len(value) for name, value in request.headers if name in RETAINED_HEADERS)
        if retained + len(_token_query(request)) > MAX_RETAINED_BYTES:
            return TOO_LARGE_HEADERS
        return None


async def serve_client_file(file: Path | None, scope: Scope, receive: Receive, send: Send) -> None:
    """Serve the stock client to pages that load it from their Socket.IO server."""
    name = scope["path"].rpartition("/")[2]
    content = None if file is None else await asyncio.to_thread(_read, file, name)
    if content is None:
        text = b"There is no Socket.IO client here: name a copy of it with BELLCAST_SOCKETIO_CLIENT_FILE.\n"
        await asgi.respond(send, 404, [(b"content-type", b"text/plain; charset=utf-8")], text)
        return
    tag = b'"' + hashlib.sha256(content).hexdigest()[:32].encode() + b'"'
    headers = [(b"etag", tag), (b"cache-control", b"public, max-age=0"), *origins.cors_headers("*", ())]
    if asgi.read_handshake(scope).header(b"if-none-match") == tag.decode():
        await asgi.respond(send, 304, headers)
    else:
        await asgi.respond(send, 200, [(b"content-type", b"application/javascript; charset=utf-8"), *headers], content)


def _read(file: Path, name: str) -> bytes | None:
    """Return the build with this name in the folder of `file`. For the two names of the same script, return `file`
    itself."""
    build = file.with_name(name)
    if build.is_file():
        return build.read_bytes()
    return file.read_bytes() if ".esm." not in name and file.is_file() else None


def wire(live: LiveContext) -> WiredDialect:
    """Wire the Engine.IO endpoint, the namespaces of its sessions, and the client files."""
    settings: SocketIOConfig = live.settings["socketio"]
    namespaces = Namespaces(live, Commands(live), ConnectionTopics(live))
    sessions = EngineSessions(namespaces.receive, settings, live.engines.clock, live.hub.callbacks)
    file = partial(serve_client_file, settings.client_file)
    return WiredDialect(
        paths={
            settings.path: SocketIOEndpoint(sessions, live),
            **{settings.path + name: file for name in CLIENT_FILES},
        },
        loops={"socketio sessions": sessions.run},
        close_sessions=sessions.close,
    )


def _unknown_session(sid: str) -> EngineError:
    """Return the reason why a session was not found."""
    owner = socket_handoff.owner_of(sid)
    if owner is None or owner == (socket_handoff.HOST, os.getpid()):
        return protocol.UNKNOWN_SESSION
    return OUT_OF_REACH if owner[0] == socket_handoff.HOST else ELSEWHERE


def _session_id(query: Mapping[str, str]) -> str:
    """Return the session's id, empty in a handshake: some clients send an empty `sid` with it, others none."""
    return query.get("sid", "")


def _token_query(request: HandshakeRequest) -> bytes:
    return request.query if b"token=" in request.query else b""
