"""What a request for a live connection says, read once from its ASGI scope."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_plus

from msgspec import Struct

Headers = list[tuple[bytes, bytes]]
# More parameters than this are somebody's mistake; the topic limit is reached long before.
MAX_PARAMETERS = 1_000
# How a page names the way it came.
SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}


class HandshakeRequest(Struct, frozen=True, kw_only=True):
    """Headers as sent, parameters decoded; `position` is where the client says it was."""

    method: str
    path: str
    http_version: str
    scheme: str
    headers: Headers
    query: bytes
    address: str | None
    parameters: list[tuple[str, str]]

    def header(self, name: bytes) -> str | None:
        """The last header of that name."""
        value = dict(self.headers).get(name)
        return None if value is None else value.decode("latin-1")

    @property
    def topics(self) -> list[str]:
        """`topics=a,b` and `topic=` repeated."""
        found = []
        for name, value in self.parameters:
            if name == "topics":
                found += [topic for topic in value.split(",") if topic]
            elif name == "topic":
                found.append(value)
        return found

    @property
    def position(self) -> str | None:
        """`Last-Event-ID` wins over `?position=`: the address of a page stays while its position moves on."""
        last = self.header(b"last-event-id")
        return last or dict(self.parameters).get("position") or None


def read(scope: Mapping[str, Any]) -> HandshakeRequest:
    """The request in an ASGI scope."""
    client = scope.get("client")
    query = scope.get("query_string", b"")
    return HandshakeRequest(
        method=scope.get("method", "GET"),
        path=scope["path"].removeprefix(scope.get("root_path", "")),
        http_version=scope.get("http_version", "1.1"),
        scheme=SCHEMES[scope["scheme"]],
        headers=scope["headers"],
        query=query,
        address=client[0] if client else None,
        parameters=_parameters(query),
    )


def _parameters(query: bytes) -> list[tuple[str, str]]:
    """Names and values; `parse_qsl` takes twice as long, at every connection of a storm."""
    if not query:
        return []
    said = query.decode("latin-1")
    parameters = [parameter.partition("=") for parameter in said.split("&", MAX_PARAMETERS)[:MAX_PARAMETERS]]
    if "%" in said or "+" in said:
        return [(unquote_plus(name), unquote_plus(value)) for name, _, value in parameters]
    return [(name, value) for name, _, value in parameters]
