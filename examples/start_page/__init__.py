"""The start page of `bellcast demo`: each of the five apps with its live bell, buttons that ring them, the e-mails that the apps
sent, and buttons that cut the network, kill the server and reset the demo.

`bellcast demo` passes the URLs of the apps and the functions behind the buttons; the page stores nothing."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import jinja2
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from bellcast.client import AsyncBellcast, BellcastError

from .bells import Bells, refuse_other_sites
from .network import Network
from .tiles import Tile
from .visitors import AppFailed

HERE = Path(__file__).parent
# The number of e-mails shown for each tenant.
MOST_EMAILS = 10
# The stock clients of two apps, which these apps serve.
LIBRARIES = {
    "Lead market": "/libraries/pusher-js/dist/web/pusher.min.js",
    "Celebrity booking": "/libraries/socket.io-client/dist/socket.io.min.js",
}

_templates = jinja2.Environment(loader=jinja2.FileSystemLoader(HERE / "templates"), autoescape=True)


def create_app(
    bellcast_url: str, secret: str, key: str, apps: Mapping[str, str], controls: Mapping[str, Callable[[], None]]
) -> Starlette:
    """Create the page. `key` is the project's key for Pusher clients, and `apps` has the URL of each app by its name.
    `controls` has the functions `reset`, which restarts the demo with new data, and `kill`, which kills the server."""
    network = Network(bellcast_url)
    bell = AsyncBellcast(bellcast_url, secret)
    bells = Bells(apps)
    tiles = bells.tiles.values()

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with bell, network:
            yield
        await bells.close()

    async def page(request: Request) -> Response:
        shown = [(tile, apps[tile.name]) for tile in tiles]
        libraries = [apps[name] + path for name, path in LIBRARIES.items() if name in apps]
        text = _templates.get_template("start.html").render(
            tiles=shown, bellcast=bellcast_url, network=network.url, key=key, libraries=libraries
        )
        return HTMLResponse(text, headers={"Cache-Control": "no-store"})

    async def emails(request: Request) -> Response:
        try:
            found = await asyncio.gather(*(_emails(bell, tile, tenant) for tile in tiles for tenant in tile.tenants))
        except BellcastError as error:
            return JSONResponse({"error": str(error)}, 503)
        newest = sorted((email for tenant in found for email in tenant), key=lambda email: email["at"], reverse=True)
        return JSONResponse({"emails": newest[:MOST_EMAILS]}, headers={"Cache-Control": "no-store"})

    async def control(request: Request) -> Response:
        refuse_other_sites(request)
        run = controls.get(request.path_params["name"])
        if run is None:
            raise HTTPException(404, "There is no such control.")
        return Response(status_code=202, background=BackgroundTask(run))

    async def cut(request: Request) -> Response:
        refuse_other_sites(request)
        await network.cut(is_cut=request.method == "POST")
        return Response(status_code=204)

    return Starlette(
        routes=[
            Route("/", page),
            Route("/api/emails", emails),
            *bells.routes,
            Route("/api/network/cut", cut, methods=["POST", "DELETE"]),
            Route("/api/{name}", control, methods=["POST"]),
            Mount("/static", StaticFiles(directory=HERE / "static")),
        ],
        exception_handlers={AppFailed: _app_failed, HTTPException: _refused},
        lifespan=lifespan,
    )


async def _app_failed(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 502)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code)


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
