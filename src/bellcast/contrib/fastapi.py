"""Bellcast in FastAPI: a client as a dependency, and the path that issues session tokens.

install(app, recipient=current_user_id)

@app.post("/bookings")
async def book(bell: Bell):
    await bell.notify("alice", title="New booking")
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

from bellcast.client import AsyncBellcast

try:
    from fastapi import Depends, FastAPI, HTTPException, Request, Response
except ImportError:
    raise ImportError("bellcast.contrib.fastapi needs FastAPI: run pip install fastapi") from None


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
) -> None:
    """Give the app a client, and a path that returns `{"token", "expires_at"}` for the signed-in user.

    `recipient` is a dependency that returns the user's id, the arguments of `AsyncBellcast.token` as a dict, or None
    for a 401. Without `bell`, the client is `AsyncBellcast()`. It is closed with the app."""
    client = app.state.bellcast = bell or AsyncBellcast()
    inner = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[Any]:
        async with inner(app) as state:
            yield state
        await client.close()

    app.router.lifespan_context = lifespan

    async def issue_token(user: Annotated[Any, Depends(recipient)], response: Response) -> dict[str, str]:
        if user is None:
            raise HTTPException(401)
        response.headers["Cache-Control"] = "no-store"
        token = await client.token(**(user if isinstance(user, dict) else {"recipient": user}))
        return {"token": str(token), "expires_at": token.expires_at.isoformat()}

    app.add_api_route(path, issue_token, methods=["GET"], include_in_schema=False)
