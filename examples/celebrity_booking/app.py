"""The ASGI application."""

from functools import partial
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from bellcast import Bellcast
from bellcast.examples.app_kit import (
    Accounts,
    Database,
    NotSignedIn,
    Outbox,
    Reminders,
    accounts,
    mount_with_sessions,
    reminders,
)
from bellcast.examples.app_kit.sign_in import SignIn, not_signed_in

from . import agency, bookings, calls, desk, pages, tokens
from .identity import CAST, TENANT

# A copy of the stock client, made by `npm run build` in client/.
LIBRARIES = pages.HERE / "libraries"
CLIENT = "socket.io-client/dist/socket.io.min.js"


def create_app(
    bellcast_url: str,
    secret: str,
    data: Path = Path("bellcast-demo"),
    jwt_secret: str = tokens.JWT_SECRET,
    *,
    libraries: Path = LIBRARIES,
) -> Starlette:
    """Create the booking site; its database is `starlight.db` in the folder. The Bellcast server needs the same
    `jwt_secret`, `JWT_CLAIMS`, and `HANDLER_PATH` of this site as its handler URL."""
    bell = Bellcast(bellcast_url, secret)
    schema = accounts.SCHEMA + bookings.SCHEMA + reminders.SCHEMA
    database = Database(data / "starlight.db", schema, bookings.ADDED)
    user_accounts = Accounts(database, CAST, TENANT)
    ledger = bookings.Ledger(database, user_accounts.people)
    reminding = Reminders(database, TENANT, partial(agency.reminders, ledger))
    day_plan = agency.DayPlan(ledger)
    configure = partial(agency.configure, user_accounts)
    outbox = Outbox(database, bell, configure, user_accounts.revoke, reminding.reconcile, day_plan.reconcile)

    library_files = (
        [Mount("/libraries", StaticFiles(directory=libraries, follow_symlink=True))] if libraries.is_dir() else []
    )
    site = Starlette(
        routes=[
            *library_files,
            Mount("/static", StaticFiles(directory=pages.HERE / "static")),
            *SignIn(user_accounts, bell, pages.HERE / "templates", "/bookings").routes,
            *pages.routes,
            *desk.routes,
        ],
        exception_handlers={
            HTTPException: pages.refused,
            bookings.NotPossible: pages.refused,
            NotSignedIn: not_signed_in,
        },
    )
    site.state.bell, site.state.bellcast_url, site.state.jwt_secret = bell, bellcast_url, jwt_secret
    site.state.accounts, site.state.ledger = user_accounts, ledger
    site.state.client = f"/libraries/{CLIENT}" if (libraries / CLIENT).is_file() else None
    return Starlette(
        routes=[
            Route("/", pages.side_by_side),
            *calls.routes(ledger, user_accounts.people, secret),
            *mount_with_sessions(site, user_accounts, "starlight", CAST),
        ],
        lifespan=outbox.lifespan,
    )
