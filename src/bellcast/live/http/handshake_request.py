"""The request for a live connection, parsed once from its ASGI scope."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from urllib.parse import unquote_plus

from bellcast.auth import origins
from bellcast.auth.authenticator import AuthRequest
from bellcast.auth.origins import HeaderPairs
from bellcast.calls import ConnectRequest
from bellcast.kernel.errors import Invalid
from bellcast.kernel.http import HEADER_VALUES
from bellcast.live_feed import STATE

Headers = list[tuple[bytes, bytes]]
# Maximum parameters; further ones are ignored. The topic limit is far lower.
MAX_PARAMETERS = 1_000
# Maximum rewind; larger values are lowered to 100 events.
MAX_REWIND_DIGITS = 9
# Maximum characters of the query, and of the headers, in a `connect` call; a browser sends about 1,000. A larger one is left out.
MAX_HANDSHAKE_CHARACTERS = 8_192
# Bellcast checks these credentials itself. The app receives the client's `auth` and, if they are valid, the recipient.
CREDENTIALS = frozenset({"authorization", "cookie", "proxy-authorization", "token"})


class HandshakeRequest(AuthRequest, frozen=True, kw_only=True):
    """Headers as sent, parameters decoded."""

    path: str
    http_version: str
    address: str | None
    parameters: Sequence[tuple[str, str]]
    parameter_values: Mapping[str, str]  # of several equal parameters, the last one
    request_id: str | None = None
    app_handshake: bytes = b""  # of Socket.IO, whose namespaces connect later: `for_app` as JSON

    @property
    def id_line(self) -> bytes:
        """The header line with the request's id in a response that bypasses the HTTP server; the request log adds the
        header to other responses. The id contains no line break: `api.middleware.request_id` checks it."""
        return b"" if self.request_id is None else b"X-Request-Id: %b\r\n" % self.request_id.encode()

    def cors_headers(self, declared: Collection[str], status: int = 200) -> HeaderPairs:
        """Return the CORS headers of a response with this status."""
        return origins.cors_headers(self.header(b"origin"), declared, status)

    def for_app(self) -> ConnectRequest:
        """Return the part of the request that a `connect` handler receives."""
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in self.headers]
        return ConnectRequest(_bounded(self.parameters), _bounded(headers), self.address)

    @property
    def topics(self) -> list[str]:
        """The topics in `topics=a,b` and in repeated `topic=`."""
        topics: list[str] = []
        for name, value in self.parameters:
            if name == "topics":
                topics += [topic for topic in value.split(",") if topic]
            elif name == "topic":
                topics.append(value)
        return topics

    @property
    def position(self) -> str | None:
        """The resume position of the client. `Last-Event-ID` overrides `?position=`: EventSource reconnects to the same URL
        with an old position in it."""
        return self.header(b"last-event-id") or self.parameter_values.get("position") or None

    @property
    def rewind(self) -> int:
        """The number of past events requested of each topic. Raises Invalid."""
        text = self.parameter_values.get("rewind")
        if text is None:
            return 0
        if not (text.isascii() and text.isdigit() and len(text) <= MAX_REWIND_DIGITS):
            raise Invalid.of("rewind", "must be a whole number, 0 or more")
        return int(text)


def read(scope: Mapping[str, Any]) -> HandshakeRequest:
    client, headers = scope.get("client"), scope["headers"]
    query, state = scope.get("query_string", b""), scope.get(STATE, {})
    parameters: list[tuple[str, str]] = []
    if query:  # `parse_qsl` takes twice as long, which matters in a reconnect storm
        text = query.decode("latin-1")
        parts = text.split("&", MAX_PARAMETERS)[:MAX_PARAMETERS]
        parameters = [part.partition("=")[::2] for part in parts]  # without the separator
        if "%" in text or "+" in text:
            parameters = [(unquote_plus(name), unquote_plus(value)) for name, value in parameters]
    return HandshakeRequest(
        method=scope.get("method", "GET"),
        path=scope["path"].removeprefix(scope.get("root_path", "")),
        http_version=scope.get("http_version", "1.1"),
        scheme=scope["scheme"],
        headers=headers,
        query=query,
        address=client[0] if client else None,
        parameters=parameters,
        header_values=state.get(HEADER_VALUES) or dict(headers),
        parameter_values=dict(parameters),
        request_id=state.get("request_id"),
    )


def _bounded(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    room, result = MAX_HANDSHAKE_CHARACTERS, {}
    for name, value in pairs:
        if name not in CREDENTIALS and len(name) + len(value) <= room:
            room -= len(name) + len(value)
            result[name] = value
    return result
