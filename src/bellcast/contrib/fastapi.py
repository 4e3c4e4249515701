"""Bellcast in FastAPI: a client as a dependency, and the path that issues session tokens.

install(app, recipient=current_user_id)

@app.post("/bookings")
async def book(bell: Bell):
    await bell.notify("alice", title="New booking")
"""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cache
from typing import Annotated, Any

import httpx

from bellcast.client import AsyncBellcast, TooManyRequests, Unavailable

try:
    from fastapi import Depends, FastAPI, Header, HTTPException, Request, Response
    from fastapi.responses import StreamingResponse
except ImportError:
    raise ImportError("bellcast.contrib.fastapi needs FastAPI: run pip install fastapi") from None

log = logging.getLogger("bellcast")

_STREAM_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
# An EventSource connects again after an event stream that has ended, but not after another status than 200.
_RETRY = b"retry: 5000\n\n"


def get_bell(request: Request) -> AsyncBellcast:
    """Return the app's client."""
    bell: AsyncBellcast = request.app.state.bellcast
    return bell


Bell = Annotated[AsyncBellcast, Depends(get_bell)]


def install(
    app: FastAPI,
    recipient: Callable[..., Any],
    *,
    bell: AsyncBellcast | None = None,
    path: str = "/bellcast/token",
    stream: str | None = None,
) -> None:
    """Give the app a client, and a path that returns `{"token", "expires_at"}` for the signed-in user.

    `recipient` is a dependency that returns the user's id, the arguments of `AsyncBellcast.token` as a dict, or None
    for a 401, as an empty id is. Without `bell`, the client is `AsyncBellcast()`. It is closed with the app. `stream` is a path for the user's
    server-sent events from the app's own origin."""
    client = app.state.bellcast = bell or AsyncBellcast()
    inner = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[Any]:
        async with inner(app) as state:
            yield state
        await client.close()

    app.router.lifespan_context = lifespan

    async def token_arguments(user: Annotated[Any, Depends(recipient)]) -> dict[str, Any]:
        arguments = user if isinstance(user, dict) else {"recipient": user}
        if arguments.get("recipient") in (None, ""):  # such as an empty cookie
            raise HTTPException(401)
        return arguments

    async def issue_token(
        user: Annotated[dict[str, Any], Depends(token_arguments)], response: Response
    ) -> dict[str, str]:
        token = await client.token(**user)
        response.headers["Cache-Control"] = "no-store"
        return {"token": str(token), "expires_at": token.expires_at.isoformat()}

    app.add_api_route(path, issue_token, methods=["GET"], include_in_schema=False)

    async def forward_stream(
        user: Annotated[dict[str, Any], Depends(token_arguments)],
        last_event_id: Annotated[str | None, Header()] = None,
    ) -> Response:
        try:
            return await _open_stream(client.url, await client.token(**user), last_event_id)
        except (Unavailable, TooManyRequests, httpx.TransportError) as error:
            log.warning("stream_failed server=%s error=%s", httpx.URL(client.url).host, error)
            return Response(_RETRY, media_type="text/event-stream", headers=_STREAM_HEADERS)

    if stream is not None:
        app.add_api_route(stream, forward_stream, methods=["GET"], include_in_schema=False)


def _stream_client(url: str) -> httpx.AsyncClient:
    # After two missed heartbeats, a stream is dead.
    return httpx.AsyncClient(base_url=url, timeout=httpx.Timeout(10, read=60), verify=_tls())


# The context of all streams: reading the certificates takes up to 88 ms.
_tls = cache(httpx.create_ssl_context)


async def _open_stream(url: str, token: str, last_event_id: str | None) -> Response:
    # The body is forwarded as it arrives, without its Content-Encoding.
    headers = {"Authorization": f"Bearer {token}", "Accept-Encoding": "identity"}
    if last_event_id:
        headers["Last-Event-ID"] = last_event_id
    async with AsyncExitStack() as opened:
        http = await opened.enter_async_context(_stream_client(url))
        response = await http.send(http.build_request("GET", "/v1/stream", headers=headers), stream=True)
        opened.push_async_callback(response.aclose)
        if response.status_code == 429 or response.status_code >= 500:
            raise Unavailable(f"status {response.status_code}")
        if response.status_code != 200:
            raise HTTPException(response.status_code)
        return StreamingResponse(
            _chunks(response, opened.pop_all()), media_type="text/event-stream", headers=_STREAM_HEADERS
        )


async def _chunks(response: httpx.Response, opened: AsyncExitStack) -> AsyncIterator[bytes]:
    async with opened:
        try:
            async for chunk in response.aiter_raw():
                yield chunk
        except httpx.TransportError:
            return  # The browser's EventSource reconnects with its last event id.
