"""The ASGI application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import jinja2
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from bellcast import Bellcast

from . import calls, desk, tokens
from .bookings import Ledger
from .notifications import BookingNotifications
from .people import CAST

HERE = Path(__file__).parent
# A copy of the stock client, made by `npm run build` in client/.
LIBRARIES = HERE / "libraries"
CLIENT = "socket.io-client/dist/socket.io.min.js"
_templates = jinja2.Environment(loader=jinja2.FileSystemLoader(HERE / "templates"), autoescape=True)


def create_app(
    bellcast_url: str, secret: str, jwt_secret: str = tokens.JWT_SECRET, *, libraries: Path = LIBRARIES
) -> Starlette:
    """Create the booking site. Configure the Bellcast server with the same `jwt_secret`, and with `HANDLER_PATH` of this
    site as its handler URL."""
    bell = Bellcast(bellcast_url, secret)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        with bell:
            yield

    routes = [
        Mount("/libraries", StaticFiles(directory=libraries, follow_symlink=True, check_dir=False)),
        Route("/", home),
        Route("/as/{person}", page),
        Mount("/static", StaticFiles(directory=HERE / "static")),
        *desk.routes,
        *calls.routes,
    ]
    site = Starlette(routes=routes, lifespan=lifespan, exception_handlers=desk.answers)
    site.state.notifications = BookingNotifications(bell)
    site.state.bellcast_url, site.state.ledger = bellcast_url, Ledger()
    site.state.secret, site.state.jwt_secret = secret, jwt_secret
    site.state.client = f"/libraries/{CLIENT}" if (libraries / CLIENT).is_file() else None
    return site


async def home(request: Request) -> Response:
    """Show the agency and two clients side by side."""
    return _render("side_by_side.html", people=CAST.values())


async def page(request: Request) -> Response:
    """Show the site, signed in as a person."""
    person = CAST.get(request.path_params["person"])
    if person is None:
        raise HTTPException(404, "Unknown person.")
    state = request.app.state
    token = tokens.sign(person, state.jwt_secret)
    return _render(f"{person.role}.html", me=person, token=token, bellcast=state.bellcast_url, client=state.client)


def _render(template: str, **values: Any) -> Response:
    return HTMLResponse(_templates.get_template(template).render(values), headers={"Cache-Control": "no-store"})
