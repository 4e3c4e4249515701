"""The start page of `bellcast demo`: the five apps, the e-mails that they sent, and a button that resets everything.

`bellcast demo` passes the URLs of the apps and the function of Reset; the page stores nothing."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import jinja2
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from bellcast.client import AsyncBellcast, BellcastError

HERE = Path(__file__).parent
# Of each tenant.
MOST_EMAILS = 10


class Tile(NamedTuple):
    """An app on the page. `name` is its name in `bellcast demo`."""

    name: str
    brand: str
    about: str
    stack: str
    people: str
    steps: str
    tenants: tuple[str | None, ...]


TILES = [
    Tile("Photo studio", "Oriel", "Clients book sessions, the front desk assigns them, photographers deliver.",
         "Starlette, server-sent events", "clara, mira, theo",
         "Book as Clara, assign Theo as Mira, and watch whose bell rings.", ("oriel",)),
    Tile("Lead market", "Leadwell", "Customers’ requests, sold to plumbers and roofers.",
         "pusher-js, Laravel Echo", "ruth, 42, 43", "Add a lead as Ruth and assign it to a provider.", (None,)),
    Tile("Shop suite", "North Street", "Sales, stock and customers of two shops.",
         "Django", "nadia, omar, petra", "Record a sale of the last filter papers.", ("north", "south")),
    Tile("Celebrity booking", "Starlight", "Stars for weddings and openings, with e-mails and reminders.",
         "Socket.IO, JWT", "dana, iris, noah", "Request a star as Iris, confirm it as Dana, then read the e-mail.",
         ("starlight",)),
    Tile("Home services", "Gable", "Book a plumber, pay, and chat in private.",
         "WebSocket, React", "nora, ben, lucia", "Book Ben as Nora, accept, pay, and write to each other.", ("gable",)),
]  # fmt: skip

_templates = jinja2.Environment(loader=jinja2.FileSystemLoader(HERE / "templates"), autoescape=True)


def create_app(bellcast_url: str, secret: str, apps: Mapping[str, str], reset: Callable[[], None]) -> Starlette:
    """Create the page. `apps` has the URL of each app by its name; `reset` restarts the demo with new data."""
    bell = AsyncBellcast(bellcast_url, secret)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with bell:
            yield

    async def page(request: Request) -> Response:
        tiles = [(tile, apps[tile.name]) for tile in TILES if tile.name in apps]
        text = _templates.get_template("start.html").render(tiles=tiles, bellcast=bellcast_url)
        return HTMLResponse(text, headers={"Cache-Control": "no-store"})

    async def emails(request: Request) -> Response:
        try:
            found = await asyncio.gather(
                *(_emails(bell, tile, tenant) for tile in TILES if tile.name in apps for tenant in tile.tenants)
            )
        except BellcastError as error:
            return JSONResponse({"error": str(error)}, 503)
        newest = sorted((email for tenant in found for email in tenant), key=lambda email: email["at"], reverse=True)
        return JSONResponse({"emails": newest[:MOST_EMAILS]}, headers={"Cache-Control": "no-store"})

    async def restart(request: Request) -> Response:
        origin = request.headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
            return JSONResponse({"error": "This page belongs to another site."}, 403)
        return JSONResponse({"resetting": True}, 202, background=BackgroundTask(reset))

    return Starlette(
        routes=[
            Route("/", page),
            Route("/api/emails", emails),
            Route("/api/reset", restart, methods=["POST"]),
            Mount("/static", StaticFiles(directory=HERE / "static")),
        ],
        lifespan=lifespan,
    )


async def _emails(bell: AsyncBellcast, tile: Tile, tenant: str | None) -> list[dict[str, Any]]:
    """The newest e-mails of a tenant, with the link to its mailbox."""
    found = (await bell.messages.list(channel="email", limit=MOST_EMAILS, tenant=tenant)).messages
    if not found:
        return []
    messages = await asyncio.gather(*(bell.messages.get(message.id, tenant=tenant) for message in found))
    mailbox = (await bell.messages.mailbox(tenant=tenant))["url"]
    return [
        {
            "app": tile.brand,
            "to": message.to,
            "subject": message.content.get("subject", ""),
            "state": message.state,
            "at": message.created_at.isoformat(),
            "mailbox": mailbox,
        }
        for message in messages
    ]
