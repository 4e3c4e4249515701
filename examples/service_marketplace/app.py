"""The ASGI application."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from bellcast.client import AsyncBellcast

from . import chat_api, desk, errors, pages, sign_in
from .bookings import Bookings
from .chats import Chats, Devices
from .people import CAST
from .rate_limit import RateLimit
from .security_headers import SecurityHeaders
from .sessions import LIFETIME, SessionMiddleware, Sessions

# The people that `/` shows side by side.
SIDE_BY_SIDE = [CAST["nora"], CAST["ben"]]


def create_app(bellcast_url: str, secret: str, *, session_lifetime: timedelta = LIFETIME) -> Starlette:
    """Create the marketplace, which sends notifications through the given Bellcast server."""
    bell = AsyncBellcast(bellcast_url, secret)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with bell:
            yield

    sessions = Sessions(session_lifetime)
    site = Starlette(
        routes=[
            Mount("/static", StaticFiles(directory=pages.HERE / "static")),
            *pages.routes, *sign_in.routes, *desk.routes, *chat_api.routes,
        ],
        exception_handlers=errors.HANDLERS,
    )  # fmt: skip
    site.state.bell, site.state.bellcast_url, site.state.sessions = bell, bellcast_url, sessions
    site.state.bookings, site.state.chats, site.state.devices = Bookings(), Chats(), Devices(sessions)
    site.state.rate_limit = RateLimit()
    return Starlette(
        routes=[Route("/", side_by_side), *_mounts(site, sessions)],
        middleware=[Middleware(SecurityHeaders, bellcast_url=bellcast_url)],
        lifespan=lifespan,
    )


async def side_by_side(request: Request) -> Response:
    """Show two people side by side, each with a separate session."""
    return pages.render(request, "side_by_side.html", people=SIDE_BY_SIDE)


def _mounts(site: Starlette, sessions: Sessions) -> Iterator[Mount]:
    """Mount the site, and once more for each person shown side by side, with a separate cookie."""
    for person in SIDE_BY_SIDE:
        yield Mount(f"/as/{person.key}", SessionMiddleware(site, sessions, f"gable_{person.key}", person))
    yield Mount("/", SessionMiddleware(site, sessions, "gable"))
