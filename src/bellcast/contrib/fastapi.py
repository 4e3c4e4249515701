"""Bellcast in FastAPI: a client as a dependency, and the path that issues session tokens.

install(app, recipient=current_user_id)

@app.post("/bookings")
async def book(bell: Bell):
    await bell.notify("alice", title="New booking")
"""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

import httpx

from bellcast.client import AsyncBellcast, SessionToken

try:
    from fastapi import Depends, FastAPI, Header, HTTPException, Request, Response
    from fastapi.responses import StreamingResponse
except ImportError:
    raise ImportError("bellcast.contrib.fastapi needs FastAPI: run pip install fastapi") from None

log = logging.getLogger("bellcast")

_STREAM_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


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
    for a 401. Without `bell`, the client is `AsyncBellcast()`. It is closed with the app. `stream` is a path for the user's
    server-sent events from the app's own origin."""
    client = app.state.bellcast = bell or AsyncBellcast()
    inner = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[Any]:
        async with _stream_client(client.url) as app.state.bellcast_streams, inner(app) as state:
            yield state
        await client.close()

    app.router.lifespan_context = lifespan

    async def session_token(user: Annotated[Any, Depends(recipient)]) -> SessionToken:
        if user is None:
            raise HTTPException(401)
        return await client.token(**(user if isinstance(user, dict) else {"recipient": user}))

    async def issue_token(token: Annotated[SessionToken, Depends(session_token)], response: Response) -> dict[str, str]:
        response.headers["Cache-Control"] = "no-store"
        return {"token": str(token), "expires_at": token.expires_at.isoformat()}

    app.add_api_route(path, issue_token, methods=["GET"], include_in_schema=False)

    async def forward_stream(
        request: Request,
        token: Annotated[SessionToken, Depends(session_token)],
        last_event_id: Annotated[str | None, Header()] = None,
    ) -> Response:
        return await _open_stream(request.app.state.bellcast_streams, token, last_event_id)

    if stream is not None:
        app.add_api_route(stream, forward_stream, methods=["GET"], include_in_schema=False)


def _stream_client(url: str) -> httpx.AsyncClient:
    # Each open page has a stream, and httpx has 100 connections by default. After two missed heartbeats, a stream is dead.
    return httpx.AsyncClient(
        base_url=url, timeout=httpx.Timeout(10, read=60), limits=httpx.Limits(max_connections=None)
    )


async def _open_stream(streams: httpx.AsyncClient, token: str, last_event_id: str | None) -> Response:
    # The body is forwarded as it arrives, without its Content-Encoding.
    headers = {"Authorization": f"Bearer {token}", "Accept-Encoding": "identity"}
    if last_event_id:
        headers["Last-Event-ID"] = last_event_id
    request = streams.build_request("GET", "/v1/stream", headers=headers)
    try:
        response = await streams.send(request, stream=True)
    except httpx.TransportError as error:
        log.warning("stream_failed server=%s error=%s", request.url.host, error)
        raise HTTPException(503, "The notification server cannot be reached.") from error
    if response.status_code != 200:
        await response.aclose()
        raise HTTPException(502, f"The notification server returned status {response.status_code}.")
    return StreamingResponse(_chunks(response), media_type="text/event-stream", headers=_STREAM_HEADERS)


async def _chunks(response: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for chunk in response.aiter_raw():
            yield chunk
    except httpx.TransportError:
        return  # The browser's EventSource reconnects with its last event id.
    finally:
        await response.aclose()
