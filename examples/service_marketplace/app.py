"""The ASGI application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from bellcast.client import AsyncBellcast, Bellcast
from bellcast.examples import app_kit
from bellcast.examples.app_kit import (
    Accounts,
    Database,
    Outbox,
    RateLimit,
    Reminders,
    accounts,
    mount_with_sessions,
    push,
)
from bellcast.examples.app_kit.sign_in import SignIn

from . import bookings, chat_api, chats, desk, errors, languages, pages, reminders, sign_in
from .bookings import Bookings
from .identity import CAST, TENANT
from .languages import HERE
from .security_headers import SecurityHeaders

# The people that `/` shows side by side.
SIDE_BY_SIDE = [CAST["nora"], CAST["ben"]]


def create_app(
    bellcast_url: str,
    secret: str,
    data: Path = Path("bellcast-demo"),
    *,
    session_lifetime: timedelta = accounts.LIFETIME,
) -> Starlette:
    """Create the marketplace, which notifies through the given Bellcast server; its database is `gable.db` in the folder."""
    bell, relay_bell = AsyncBellcast(bellcast_url, secret), Bellcast(bellcast_url, secret)
    schemas = (accounts, bookings, chats, languages, app_kit.reminders)
    database = Database(data / "gable.db", "".join(module.SCHEMA for module in schemas))
    with database.transaction() as connection:
        Bookings(connection).seed()
    user_accounts = Accounts(database, CAST.values(), TENANT, session_lifetime)
    reminding = Reminders(database, TENANT, partial(reminders.upcoming, database))
    write_recipients = languages.Recipients(database).write
    reconcile = (user_accounts.revoke, reminding.reconcile, chat_api.Rings(database).reconcile, write_recipients)
    outbox = Outbox(database, relay_bell, write_recipients, *reconcile)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with outbox.lifespan(app), bell:
            yield

    signing_in = SignIn(
        user_accounts,
        relay_bell,
        HERE / "templates",
        "/bookings",
        values=pages.login_values,
        on_sign_in=languages.keep_language,
    )
    site = Starlette(
        routes=[
            Mount("/static", StaticFiles(directory=HERE / "static")),
            push.worker(bellcast_url),
            *signing_in.routes, *pages.routes, *sign_in.routes, *languages.routes, *desk.routes, *chat_api.routes,
        ],
        exception_handlers=errors.HANDLERS,
    )  # fmt: skip
    site.state.bell, site.state.bellcast_url, site.state.database = bell, bellcast_url, database
    site.state.accounts, site.state.sign_in, site.state.rate_limit = user_accounts, signing_in, RateLimit()
    return Starlette(
        routes=[Route("/", side_by_side), *mount_with_sessions(site, user_accounts, "gable", SIDE_BY_SIDE)],
        middleware=[Middleware(SecurityHeaders, bellcast_url=bellcast_url)],
        lifespan=lifespan,
    )


async def side_by_side(request: Request) -> Response:
    """Show two people side by side, each with a separate session."""
    return pages.render(request, "side_by_side.html", people=SIDE_BY_SIDE)
