"""The ASGI application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from bellcast.client import AsyncBellcast, Bellcast
from bellcast.examples.app_kit import Accounts, Database, Outbox, accounts, mount_with_sessions
from bellcast.examples.app_kit.sign_in import SignIn

from . import bells, bookings, desk, errors, notifications, pages
from .people import CAST, TENANT

# A stream has a heartbeat every 25 s; after more than two missed ones it is dead.
STREAM_TIMEOUT = httpx.Timeout(10, read=60)
# The people that `/` shows side by side.
SIDE_BY_SIDE = [CAST["clara"], CAST["mira"], CAST["theo"]]


def create_app(bellcast_url: str, secret: str, data: Path = Path("bellcast-demo")) -> Starlette:
    """Create the studio's site, which notifies through the given Bellcast server; its database is `oriel.db` in the folder."""
    bell, relay_bell = AsyncBellcast(bellcast_url, secret), Bellcast(bellcast_url, secret)
    streams = httpx.AsyncClient(base_url=bellcast_url, timeout=STREAM_TIMEOUT)
    database = Database(data / "oriel.db", accounts.SCHEMA + bookings.SCHEMA)
    with database.transaction() as connection:
        bookings.Diary(connection).seed()
    users = Accounts(database, CAST.values(), TENANT)
    outbox = Outbox(database, relay_bell, notifications.configure, users.revoke)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        with relay_bell:
            outbox.start()
            async with bell, streams:
                yield
            outbox.stop()

    static = Mount("/static", StaticFiles(directory=pages.HERE / "static"))
    signing_in = SignIn(users, relay_bell, pages.HERE / "templates", "/bookings")
    site = Starlette(
        routes=[Route("/", _home), static, *signing_in.routes, *pages.routes, *bells.routes, *desk.routes],
        exception_handlers=errors.HANDLERS,
    )
    site.state.bell, site.state.streams = bell, streams
    site.state.bellcast_url, site.state.database = bellcast_url, database
    return Starlette(
        routes=[Route("/", side_by_side), *mount_with_sessions(site, users, "oriel", SIDE_BY_SIDE)], lifespan=lifespan
    )


async def side_by_side(request: Request) -> Response:
    """Show three people side by side, each with a separate session."""
    return pages.render(request, "side_by_side.html", people=SIDE_BY_SIDE)


async def _home(request: Request) -> Response:
    return RedirectResponse(request.scope["root_path"] + "/bookings")
