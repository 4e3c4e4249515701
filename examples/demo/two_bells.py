"""The page of `bellcast demo` without the extra `demo`: two people with a bell each, who write to each other. It needs no web framework."""

import html
import json
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from bellcast.client import AsyncBellcast, BellcastError

PAGE = Path(__file__).with_name("two_bells.html")
PEOPLE = {"alice": "Alice", "bob": "Bob"}
MAX_BODY = 4_096
Message = MutableMapping[str, Any]


def create_app(
    bellcast_url: str, secret: str
) -> Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]:
    """Create the page: `/`, a token for each person's bell, and `POST /write/{person}` with the fields `from` and `text`."""
    bell = AsyncBellcast(bellcast_url, secret)

    async def respond(method: str, path: str, headers: dict[bytes, bytes], body: bytes) -> tuple[int, str, str]:
        _, action, person = [*path.split("/", 2), ""][:3]
        if (method, path) == ("GET", "/"):
            page = PAGE.read_text(encoding="utf-8")
            return 200, "text/html; charset=utf-8", page.replace("{{server}}", html.escape(bellcast_url))
        if person not in PEOPLE or (method, action) not in (("GET", "token"), ("POST", "write")):
            return 404, "text/plain", "There is no such page."
        if action == "token":
            return 200, "application/json", json.dumps({"token": str(await bell.token(person))})
        if headers.get(b"origin") != b"http://" + headers.get(b"host", b""):
            return 403, "text/plain", "This page belongs to another site."
        fields = dict(parse_qsl(body.decode(errors="replace")))
        sender = PEOPLE.get(fields.get("from", ""), "A visitor")
        try:
            await bell.notify(
                person, title=f"{sender} wrote to you", body=fields.get("text", "")[:200], actor={"name": sender}
            )
        except BellcastError as error:
            return 502, "text/plain", str(error)
        return 204, "text/plain", ""

    async def app(
        scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        if scope["type"] != "http":
            return  # uvicorn then knows that there is nothing to start or to stop
        body, is_complete = b"", False
        while not is_complete and len(body) <= MAX_BODY:
            message = await receive()
            body, is_complete = body + message.get("body", b""), not message.get("more_body")
        status, kind, text = await respond(scope["method"], scope["path"], dict(scope["headers"]), body[:MAX_BODY])
        headers = [(b"content-type", kind.encode()), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": text.encode()})

    return app
