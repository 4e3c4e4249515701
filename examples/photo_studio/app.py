"""The ASGI application."""

import hashlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import httpx
from starlette.applications import Starlette
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from bellcast.client import AsyncBellcast

from . import bells, desk, errors, pages
from .bookings import Diary
from .people import CAST, Person

# A stream has a heartbeat every 25 s; after more than two missed ones it is dead.
STREAM_TIMEOUT = httpx.Timeout(10, read=60)
# The people that `/` shows side by side.
SIDE_BY_SIDE = [CAST["clara"], CAST["mira"], CAST["theo"]]


def create_app(bellcast_url: str, secret: str) -> Starlette:
    """Create the studio's site, which sends notifications through the given Bellcast server."""
    bell = AsyncBellcast(bellcast_url, secret)
    streams = httpx.AsyncClient(base_url=bellcast_url, timeout=STREAM_TIMEOUT)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with bell, streams:
            yield

    static = Mount("/static", StaticFiles(directory=pages.HERE / "static"))
    site = Starlette(
        routes=[Route("/", _home), static, *pages.routes, *bells.routes, *desk.routes],
        exception_handlers=errors.HANDLERS,
    )
    site.state.bell, site.state.streams = bell, streams
    site.state.bellcast_url, site.state.diary = bellcast_url, Diary()
    return Starlette(routes=[Route("/", side_by_side), *_mounts(site, secret)], lifespan=lifespan)


async def side_by_side(request: Request) -> Response:
    """Show three people side by side, each with a separate session."""
    return pages.render(request, "side_by_side.html", people=SIDE_BY_SIDE)


def _mounts(site: Starlette, secret: str) -> Iterator[Mount]:
    """Mount the site, and once more for each person shown side by side, with a separate cookie."""
    key = hashlib.sha256(f"photo studio sessions {secret}".encode()).hexdigest()
    for person in SIDE_BY_SIDE:
        signed_in = SessionMiddleware(_signed_in(site, person), key, session_cookie=f"studio_{person.key}")
        yield Mount(f"/as/{person.key}", signed_in)
    yield Mount("/", SessionMiddleware(site, key, session_cookie="studio"))


def _signed_in(site: ASGIApp, person: Person) -> ASGIApp:
    """Return the site with the person already signed in."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope["session"].setdefault("person", person.key)
        await site({**scope, "seated": True}, receive, send)

    return app


async def _home(request: Request) -> Response:
    return RedirectResponse(request.scope["root_path"] + "/bookings")
