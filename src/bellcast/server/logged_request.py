"""A request while it is served: the data for the request log and the feed."""

import re
import time
from typing import Any

from msgspec import Struct

from bellcast.console.types.live_feed import cut
from bellcast.kernel.http.asgi import HEADER_VALUES, AsgiMessage, Receive, Scope, Send
from bellcast.rest.audit import SECRET_ACTOR
from bellcast.server.middleware import REQUEST_ID

# Truncates the logged path. The longest valid path has two percent-encoded keys of 200 characters; a request head may
# be a hundred times as long.
MAX_PATH = 2_000
# Names of the reason in an error body: `"code"` of a problem, `"reason"` of a rejected stream, `"message"` of
# Engine.IO, where `"code"` is a number.
REASON = re.compile(rb'"(?:code|reason|message)":"([^"]{1,100})"')
# Scheme, host and port.
MAX_ORIGIN = 200
# Kept for refused requests, because it explains the refusal.
MAX_REFUSED_BODY = 1_000
SWITCHING_PROTOCOLS, FORBIDDEN = 101, 403


class LoggedRequest(Struct, eq=False):
    """The fields of one request's log line, collected while it is served."""

    scope: Scope
    receive: Receive
    send: Send
    adds_id: bool
    started: float  # seconds of the performance counter
    state: dict[str, Any]
    status: int | None = None
    reason: str | None = None
    has_connection: bool = False
    body: bytes | None = None
    problem: bytes | None = None

    async def receive_and_keep(self) -> AsgiMessage:
        """Receive a message, and keep a body that it contains."""
        message = await self.receive()
        if message["type"] == "http.request":
            # Only a small body that arrived in one piece is kept.
            body = message.get("body", b"")
            if body and not message.get("more_body") and len(body) <= MAX_REFUSED_BODY:
                self.body = body
        return message

    async def read_and_send(self, message: AsgiMessage) -> None:
        """Record the status and the reason in a message, add the request's id to the head of its response, and send
        it."""
        match message["type"]:
            case "http.response.start":
                self.status = message["status"]
                self._add_id(message)
            case "http.response.body" if self.reason is None and not self.has_connection:
                body = message.get("body", b"")
                is_refusal = self.status is not None and (self.status >= 400 or body.startswith(b"retry:"))
                if is_refusal and (found := REASON.search(body)) is not None:
                    self.reason = found[1].decode(errors="replace")
                    self.problem = body
            case "websocket.accept":
                self.status = SWITCHING_PROTOCOLS
                self._add_id(message)
            case "websocket.close" if self.status is None:
                self.status = FORBIDDEN  # the server's response if a WebSocket is closed before it is accepted
        await self.send(message)

    def _add_id(self, message: AsgiMessage) -> None:
        if self.adds_id:
            message["headers"] = [*message.get("headers", ()), (REQUEST_ID, self.state["request_id"].encode())]

    @property
    def origin(self) -> str | None:
        """The origin of the page that sent the request."""
        values = self.state.get(HEADER_VALUES) or dict(self.scope["headers"])
        value: bytes | None = values.get(b"origin")
        return None if value is None else cut(value.decode("latin-1"), MAX_ORIGIN)

    @property
    def code(self) -> str | None:
        """The reason of a refusal."""
        reason: str | None = self.reason or self.state.get("reason")
        return reason

    @property
    def ms(self) -> float:
        """The milliseconds since the request began."""
        return round((time.perf_counter() - self.started) * 1000, 1)

    @property
    def caller(self) -> dict[str, str | None]:
        """Who sent the request, in the fields of the log and of the list of requests."""
        principal, caller = self.state.get("principal"), self.state.get("caller")
        return {
            "recipient": None if principal is None else principal.recipient,
            "tenant": (self.state.get("tenant") if principal is None else principal.tenant) or None,
            "key": None if caller is None or caller.operator else caller.key or SECRET_ACTOR,
            "operator": None if caller is None else caller.operator,
        }

    @property
    def fields(self) -> dict[str, Any]:
        """The fields that the log lines of the request and of its connection have in common."""
        return {
            "method": self.scope.get("method", "GET"),
            "path": self.state["logged_path"],
            "status": self.status,
            "reason": self.code,
            **self.caller,
            "ms": self.ms,
            "request_id": self.state["request_id"],
        }
