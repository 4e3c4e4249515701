"""The ASGI application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse, Response
from fastapi.staticfiles import StaticFiles

from bellcast.client import AsyncBellcast, Bellcast
from bellcast.contrib.fastapi import install
from bellcast.examples.app_kit import (
    Accounts,
    Database,
    Outbox,
    Reminders,
    accounts,
    mount_with_sessions,
    push,
    reminders,
)
from bellcast.examples.app_kit.sign_in import SignIn

from . import bells, bookings, dependencies, desk, errors, notifications, pages
from .identity import CAST, TENANT

# The people that `/` shows side by side.
SIDE_BY_SIDE = [CAST["clara"], CAST["mira"], CAST["theo"]]


def create_app(bellcast_url: str, secret: str, data: Path = Path("bellcast-demo")) -> FastAPI:
    """Create the studio's site, which notifies through the given Bellcast server; its database is `oriel.db` in the folder."""
    relay_bell = Bellcast(bellcast_url, secret)
    database = Database(data / "oriel.db", accounts.SCHEMA + bookings.SCHEMA + reminders.SCHEMA, bookings.ADDED)
    with database.transaction() as connection:
        bookings.Diary(connection).seed()
    user_accounts = Accounts(database, CAST.values(), TENANT)
    reminding = Reminders(database, TENANT, partial(notifications.reminders, database))
    outbox = Outbox(database, relay_bell, user_accounts.configure, user_accounts.revoke, reminding.reconcile)
    site = _create_site(
        bellcast_url, secret, database, SignIn(user_accounts, relay_bell, pages.HERE / "templates", "/bookings")
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        # The server runs the lifespan of the outer app only.
        async with outbox.lifespan(app), site.router.lifespan_context(site):
            yield

    app = FastAPI(lifespan=lifespan, openapi_url=None)
    app.router.routes.append(pages.PageRoute("/", side_by_side))
    app.router.routes.extend(mount_with_sessions(site, user_accounts, "oriel", SIDE_BY_SIDE))
    return app


def _create_site(bellcast_url: str, secret: str, database: Database, signing_in: SignIn) -> FastAPI:
    """Create the app that is mounted once for each session cookie."""
    site = FastAPI(
        exception_handlers=errors.HANDLERS,
        openapi_url=None,  # the pages of the documentation would load their scripts from another site
        strict_content_type=False,  # SessionMiddleware already rejects the requests that this check is for
    )
    site.state.bellcast_url, site.state.database = bellcast_url, database
    install(
        site, dependencies.token_arguments, bell=AsyncBellcast(bellcast_url, secret),
        path="/api/bell-token", stream="/api/notifications/stream",
    )  # fmt: skip
    site.router.routes.append(pages.PageRoute("/", _home))
    site.router.routes.append(push.worker(bellcast_url))
    site.mount("/static", StaticFiles(directory=pages.HERE / "static"))
    site.router.routes.extend(signing_in.routes)
    for module in (pages, bells, desk):
        site.include_router(module.router)
    return site


def side_by_side(request: Request) -> Response:
    """Show three people side by side, each with a separate session."""
    return pages.render(request, "side_by_side.html", people=SIDE_BY_SIDE)


def _home(request: Request) -> Response:
    return RedirectResponse(request.scope["root_path"] + "/bookings")
