"""Putting the studio's site together."""

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

from . import bells, desk, pages, refusals
from .bookings import Diary
from .people import CAST, Person

# A stream hears a heartbeat every 25 s; twice that in silence means it is dead.
STREAM_TIMEOUT = httpx.Timeout(10, read=60)
# Those whom `/` shows at work next to each other.
SIDE_BY_SIDE = [CAST["clara"], CAST["mira"], CAST["theo"]]


def create_app(bellcast_url: str, secret: str) -> Starlette:
    """The studio's site, its bells rung by the Bellcast server at that address."""
    bell = AsyncBellcast(bellcast_url, secret)
    streams = httpx.AsyncClient(base_url=bellcast_url, timeout=STREAM_TIMEOUT)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with bell, streams:
            yield

    static = Mount("/static", StaticFiles(directory=pages.HERE / "static"))
    site = Starlette(
        routes=[Route("/", _home), static, *pages.routes, *bells.routes, *desk.routes],
        exception_handlers=refusals.ANSWERS,
    )
    site.state.bell, site.state.streams = bell, streams
    site.state.bellcast_url, site.state.diary = bellcast_url, Diary()
    return Starlette(routes=[Route("/", side_by_side), *_entrances(site, secret)], lifespan=lifespan)


async def side_by_side(request: Request) -> Response:
    """Three people at work next to each other, each with a session of their own."""
    return pages.render(request, "side_by_side.html", people=SIDE_BY_SIDE)


def _entrances(site: Starlette, secret: str) -> Iterator[Mount]:
    """The site as everybody has it, and once more for each person shown side by side, with a cookie for each."""
    key = hashlib.sha256(f"photo studio sessions {secret}".encode()).hexdigest()
    for person in SIDE_BY_SIDE:
        seated = SessionMiddleware(_seated(site, person), key, session_cookie=f"studio_{person.key}")
        yield Mount(f"/as/{person.key}", seated)
    yield Mount("/", SessionMiddleware(site, key, session_cookie="studio"))


def _seated(site: ASGIApp, person: Person) -> ASGIApp:
    """The site with that person signed in from the start."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope["session"].setdefault("person", person.key)
        await site({**scope, "seated": True}, receive, send)

    return app


async def _home(request: Request) -> Response:
    return RedirectResponse(request.scope["root_path"] + "/bookings")
