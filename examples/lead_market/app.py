"""The ASGI application."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import jinja2
import pusher
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from bellcast.client import AsyncBellcast

from . import people
from .events import Events
from .leads import STATUSES, Leads
from .people import CAST, PROVIDERS

HERE = Path(__file__).parent
# Copies of the stock libraries, made by `npm run build` in client/.
LIBRARIES = HERE / "libraries"
PUSHER_JS, ECHO_JS = "pusher-js/dist/web/pusher.min.js", "laravel-echo/dist/echo.iife.js"

_templates = jinja2.Environment(loader=jinja2.FileSystemLoader(HERE / "templates"), autoescape=True)


def create_app(bellcast_url: str, secret: str, *, app_id: str, key: str, libraries: Path = LIBRARIES) -> Starlette:
    """Create the site. Only host and port of its Pusher library point to the Bellcast server."""
    place = urlsplit(bellcast_url)
    bell = AsyncBellcast(bellcast_url, secret)
    channels = pusher.Pusher(app_id, key, secret, host=place.hostname, port=place.port, ssl=place.scheme == "https")

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with bell:
            yield

    site = Starlette(routes=_routes(libraries), lifespan=lifespan, exception_handlers={HTTPException: _refused})
    site.state.bell, site.state.channels, site.state.leads = bell, channels, Leads()
    site.state.events = Events(channels, bell)
    site.state.page = {"bellcast": bellcast_url, "key": key, "libraries": _paths(libraries), "statuses": STATUSES}
    return site


def _routes(libraries: Path) -> list[Route | Mount]:
    return [
        Mount("/libraries", StaticFiles(directory=libraries, follow_symlink=True, check_dir=False)),
        Mount("/static", StaticFiles(directory=HERE / "static")),
        Route("/", side_by_side),
        Route("/{desk}", desk),
        Route("/{desk}/leads", leads),
        Route("/{desk}/bell-token", bell_token),
        Route("/{desk}/broadcasting/auth", broadcasting_auth, methods=["POST"]),
        Route("/{desk}/api/leads", new_lead, methods=["POST"]),
        Route("/{desk}/api/admin/leads/{id:int}", change_as_admin, methods=["PATCH", "PUT"]),
        Route("/{desk}/api/provider/leads/{id:int}", change_as_provider, methods=["PATCH", "PUT"]),
    ]


def _paths(libraries: Path) -> list[str]:
    """Return the URLs of the libraries, or nothing if they are not installed."""
    files = [PUSHER_JS, ECHO_JS]
    return [f"/libraries/{file}" for file in files] if all((libraries / file).is_file() for file in files) else []


async def side_by_side(request: Request) -> Response:
    """Show three desks side by side."""
    return _page(request, "side_by_side.html", cast=CAST.values())


async def desk(request: Request) -> Response:
    """Show a person's dashboard."""
    return _page(request, "desk.html", me=people.asking(request), providers=PROVIDERS)


async def leads(request: Request) -> Response:
    """Return the leads of the dashboard."""
    person = people.asking(request)
    shown = request.app.state.leads.of(person.key if person.role == "provider" else None)
    return JSONResponse([lead.shown() for lead in shown], headers={"Cache-Control": "no-store"})


async def bell_token(request: Request) -> Response:
    """Return a session token for <bellcast-bell>."""
    token = await request.app.state.bell.token(people.asking(request).key)
    return JSONResponse({"token": token}, headers={"Cache-Control": "no-store"})


async def broadcasting_auth(request: Request) -> Response:
    """Authorize a provider's own private channel. The Pusher library signs, as before."""
    person, form = people.asking(request), dict(parse_qsl((await request.body()).decode(errors="replace")))
    channel, socket_id = form.get("channel_name", ""), form.get("socket_id", "")
    if person.role != "provider" or channel != f"private-provider.{person.key}":
        raise HTTPException(403, "This channel belongs to another provider.")
    try:
        return JSONResponse(request.app.state.channels.authenticate(channel, socket_id))
    except ValueError as wrong:
        raise HTTPException(400, str(wrong)) from None


async def new_lead(request: Request) -> Response:
    """`POST /api/leads`: add a lead."""
    people.asking(request)
    lead = request.app.state.leads.add(await _fields(request))
    await request.app.state.events.lead_assigned(lead, _socket_id(request))
    return JSONResponse(lead.shown(), 201)


async def change_as_admin(request: Request) -> Response:
    """`PATCH /api/admin/leads/{id}`: assign a provider or set the status."""
    return await _change(request, people.asking_as(request, "admin").key, await _fields(request))


async def change_as_provider(request: Request) -> Response:
    """`PATCH /api/provider/leads/{id}`: set the status of the provider's own lead."""
    person, fields = people.asking_as(request, "provider"), await _fields(request)
    if request.app.state.leads.get(request.path_params["id"]).provider != person.key:
        raise HTTPException(404, "Lead not found.")
    return await _change(request, person.key, {"status": fields.get("status")})


async def _change(request: Request, by: str, fields: dict[str, Any]) -> Response:
    state = request.app.state
    lead = state.leads.get(request.path_params["id"])
    assigned, moved = state.leads.change(lead, fields)
    if assigned:
        await state.events.lead_assigned(lead, _socket_id(request))
    elif moved:
        await state.events.lead_status_updated(lead, by, _socket_id(request))
    return JSONResponse(lead.shown())


async def _fields(request: Request) -> dict[str, Any]:
    try:
        fields = await request.json()
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise HTTPException(400, "The body must be JSON.") from None
    if not isinstance(fields, dict):
        raise HTTPException(400, "The body must be a JSON object.")
    return fields


def _socket_id(request: Request) -> str | None:
    """Return the page's connection from Echo's header; it is excluded from the event."""
    return request.headers.get("X-Socket-ID") or None


def _page(request: Request, template: str, **values: Any) -> Response:
    return HTMLResponse(_templates.get_template(template).render(**request.app.state.page, **values))


async def _refused(request: Request, refusal: Exception) -> Response:
    assert isinstance(refusal, HTTPException)
    return JSONResponse({"message": refusal.detail}, refusal.status_code)
