"""A WebSocket that is compatible with hand-written notification systems: `NotificationSocket.as_asgi()` at
`ws/notifications/`. It follows the user's inbox in Bellcast and sends the messages that existing pages expect. New
pages use `<bellcast-bell>`."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from contextlib import suppress
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec
from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth import get_user
from django.db import DatabaseError, close_old_connections
from django.http import HttpRequest, parse_cookie
from django.utils.http import is_same_domain
from django.utils.module_loading import import_string

from bellcast.client import BellcastError, Notification
from bellcast.contrib.django import conf, identity, relaying
from bellcast.contrib.django.views import to_row

log = logging.getLogger("bellcast.django")

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

ANONYMOUS = 4401
# Bellcast sends a heartbeat every 25 seconds; a stream that is silent for longer is dead.
STREAM_TIMEOUT = httpx.Timeout(5.0, read=60.0)
FIRST_WAIT, LONGEST_WAIT = 0.5, 15.0


class NotificationSocket:
    """An ASGI application for one path, with or without Channels."""

    @classmethod
    def as_asgi(cls) -> "NotificationSocket":
        return cls()

    @classmethod
    def beside(cls, pages: Application, path: str = "/ws/notifications/") -> Application:
        """Serve the socket at `path` and the application of Django at all others. When the server stops, the due rows of the
        outbox are sent."""
        socket = cls()

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "lifespan":
                await receive()
                await send({"type": "lifespan.startup.complete"})
                await receive()
                await asyncio.to_thread(relaying.finish)
                await send({"type": "lifespan.shutdown.complete"})
            elif scope["type"] == "http":
                await pages(scope, receive, send)
            elif scope["path"].removeprefix(scope.get("root_path", "")) == path:
                await socket(scope, receive, send)
            else:
                await send({"type": "websocket.close", "code": 1000})  # before accept: the server responds 403

        return application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            raise ValueError(f"NotificationSocket serves WebSockets, not {scope['type']}")
        message = await receive()
        if message["type"] != "websocket.connect":
            return
        if not _is_same_origin(scope):
            await send({"type": "websocket.close", "code": 403})  # before accept: the server responds 403
            return
        session_user = await _session_user(scope)
        user = scope.get("user") or session_user
        await send({"type": "websocket.accept"})
        if not getattr(user, "is_authenticated", False):
            await send({"type": "websocket.close", "code": ANONYMOUS})
            return
        # With another kind of authentication, there is no session that could end.
        session = scope if session_user is not None and session_user.pk == user.pk else None
        await _NotificationConnection(user, session, receive, send).run()


class _NotificationConnection:
    """One accepted WebSocket and the stream behind it. `session` is the scope with the cookie of the user's session."""

    def __init__(self, user: Any, session: Scope | None, receive: Receive, send: Send) -> None:
        self._user = user
        self._session = session
        self._receive = receive
        self._send = send
        self._unread: int | None = None
        self._position: str | None = None

    async def run(self) -> None:
        """Follow the inbox, and respond to `ping`, until the client disconnects. An unexpected error is raised, and the client
        reconnects."""
        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(self._follow())
            while True:
                message = await self._receive()
                if message["type"] == "websocket.disconnect":
                    break
                text = message.get("text") or ""
                if text == "ping":
                    await self._send({"type": "websocket.send", "text": "pong"})
                    continue
                with suppress(ValueError, RecursionError):
                    received = json.loads(text)
                    if received == "ping" or (isinstance(received, dict) and received.get("type") == "ping"):
                        await self._emit({"type": "pong"})
            following.cancel()

    async def _follow(self) -> None:
        """Follow the inbox. After a disconnect, resume from the last position, unless the session has ended."""
        wait = FIRST_WAIT
        async with httpx.AsyncClient(timeout=STREAM_TIMEOUT, verify=_tls()) as http:
            while True:
                try:
                    if self._session is not None:
                        user = await _session_user(self._session)
                        if user is None or user.pk != self._user.pk:
                            break
                    async for event, data in self._frames(http):
                        wait = FIRST_WAIT
                        if event == "notification":
                            row = msgspec.convert(data["notification"], Notification)
                            await self._emit({"type": "notification", "data": to_row(row)})
                        if "unread" in data and data["unread"] != self._unread:
                            self._unread = data["unread"]
                            await self._emit({"type": "notification_count", "count": self._unread})
                except (httpx.HTTPError, BellcastError, msgspec.DecodeError, DatabaseError) as error:
                    log.info("notification_stream_lost error=%s", error)
                await asyncio.sleep(wait)
                wait = min(LONGEST_WAIT, wait * 2)
        await self._send({"type": "websocket.close", "code": ANONYMOUS})

    async def _frames(self, http: httpx.AsyncClient) -> AsyncIterator[tuple[str, Any]]:
        token = await _in_thread(identity.session_token, self._user, identity.INBOX_TTL)
        headers = {"Authorization": f"Bearer {token}", "Accept": "text/event-stream"}
        if self._position is not None:
            headers["Last-Event-ID"] = self._position
        async with http.stream("GET", f"{conf.current().url}/v1/stream", headers=headers) as response:
            response.raise_for_status()
            event, position, rest = "", None, b""
            # The lines of httpx also end at separators within a JSON text, such as U+2028.
            async for chunk in response.aiter_bytes():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    name, _, value = line.decode().partition(":")
                    value = value.removeprefix(" ")
                    if name == "event":
                        event = value
                    elif name == "id":
                        position = value
                    elif name == "data":
                        yield event, json.loads(value)
                        self._position = position or self._position

    async def _emit(self, message: Mapping[str, Any]) -> None:
        await self._send({"type": "websocket.send", "text": json.dumps(message)})


# The context of all connections: reading the certificates takes 18 ms.
_tls = cache(httpx.create_ssl_context)


def _headers(scope: Scope) -> dict[str, str]:
    """Return the headers; over HTTP/2, there may be one for each cookie."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}; {value}" if name == "cookie" and name in headers else value
    return headers


def _is_same_origin(scope: Scope) -> bool:
    """True without an Origin, for the page's own host, and for the trusted origins of CSRF protection."""
    headers = _headers(scope)
    origin = headers.get("origin")
    if origin is None:
        return True
    try:
        scheme, host, *_ = urlsplit(origin)
    except ValueError:  # a wrong IPv6 address
        return False
    if not host or host == headers.get("host"):
        return bool(host)
    # `https://*.example.com` includes all subdomains.
    origins = (origin.partition("://") for origin in settings.CSRF_TRUSTED_ORIGINS)
    return any(scheme == trusted and is_same_domain(host, pattern.removeprefix("*")) for trusted, _, pattern in origins)


async def _session_user(scope: Scope) -> Any:
    """Return the user of the session cookie."""
    cookies = parse_cookie(_headers(scope).get("cookie", ""))
    key = cookies.get(settings.SESSION_COOKIE_NAME)
    if key is None:
        return None
    request = HttpRequest()
    request.session = import_string(f"{settings.SESSION_ENGINE}.SessionStore")(key)
    return await _in_thread(get_user, request)


async def _in_thread(function: Callable[..., Any], *args: Any) -> Any:
    """Call a function that queries the database. Django closes old database connections at the end of requests, which
    do not occur here."""

    def call() -> Any:
        close_old_connections()
        try:
            return function(*args)
        finally:
            close_old_connections()

    return await sync_to_async(call)()
