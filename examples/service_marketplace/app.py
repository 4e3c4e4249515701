"""Putting the marketplace together."""

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

from . import desk, entrance, pages, refusals, talking
from .bookings import Bookings
from .chats import Chats, Devices
from .pace import Pace
from .people import CAST
from .sessions import LIFETIME, Entrance, Sessions
from .shields import Shields

# Those whom `/` shows next to each other.
SIDE_BY_SIDE = [CAST["nora"], CAST["ben"]]


def create_app(bellcast_url: str, secret: str, *, session_lifetime: timedelta = LIFETIME) -> Starlette:
    """The marketplace, its people told things by the Bellcast server at that address."""
    bell = AsyncBellcast(bellcast_url, secret)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with bell:
            yield

    sessions = Sessions(session_lifetime)
    site = Starlette(
        routes=[
            Mount("/static", StaticFiles(directory=pages.HERE / "static")),
            *pages.routes, *entrance.routes, *desk.routes, *talking.routes,
        ],
        exception_handlers=refusals.ANSWERS,
    )  # fmt: skip
    site.state.bell, site.state.bellcast_url, site.state.sessions = bell, bellcast_url, sessions
    site.state.bookings, site.state.chats, site.state.devices = Bookings(), Chats(), Devices(sessions)
    site.state.pace = Pace()
    return Starlette(
        routes=[Route("/", side_by_side), *_entrances(site, sessions)],
        middleware=[Middleware(Shields, bellcast_url=bellcast_url)],
        lifespan=lifespan,
    )


async def side_by_side(request: Request) -> Response:
    """Two people next to each other, each with a session of their own."""
    return pages.render(request, "side_by_side.html", people=SIDE_BY_SIDE)


def _entrances(site: Starlette, sessions: Sessions) -> Iterator[Mount]:
    """The site as everybody has it, and once more for each person shown side by side, with a cookie for each."""
    for person in SIDE_BY_SIDE:
        yield Mount(f"/as/{person.key}", Entrance(site, sessions, f"gable_{person.key}", person))
    yield Mount("/", Entrance(site, sessions, "gable"))
