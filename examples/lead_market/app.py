"""The ASGI application."""

import json
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import jinja2
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from bellcast.client import Bellcast
from bellcast.examples.app_kit import (
    Accounts,
    Database,
    NotSignedIn,
    Outbox,
    RateLimit,
    accounts,
    mount_with_sessions,
    read_body,
    signed_in_person,
    visit_of,
)
from bellcast.examples.app_kit.sign_in import SignIn, not_signed_in

from . import api_keys, events, identity, settings
from . import leads as leads_table
from .identity import CAST, FORM, PARTNER, PROVIDERS
from .leads import STATUSES, Change, Lead, Leads

HERE = Path(__file__).parent
# Copies of the stock libraries, made by `npm run build` in client/.
LIBRARIES = HERE / "libraries"
PUSHER_JS, ECHO_JS = "pusher-js/dist/web/pusher.min.js", "laravel-echo/dist/echo.iife.js"
# The default tenant, as for every app that moves from Pusher.
TENANT = None
# Requests of one address through the public form.
MAX_FORMS, FORM_WINDOW_SECONDS = 5, 60.0
MOST_BYTES = 16 * 1024

_templates = jinja2.Environment(loader=jinja2.FileSystemLoader(HERE / "templates"), autoescape=True)


def create_app(
    bellcast_url: str,
    secret: str,
    data: Path = Path("bellcast-demo"),
    *,
    app_id: str,
    key: str,
    libraries: Path = LIBRARIES,
) -> Starlette:
    """Create the site; its database is `leadwell.db` in the folder. The given Pusher credentials apply until the admin chooses others."""
    bell = Bellcast(bellcast_url, secret)
    schema = accounts.SCHEMA + leads_table.SCHEMA + settings.SCHEMA + api_keys.SCHEMA
    database = Database(data / "leadwell.db", schema, leads_table.ADDED | settings.ADDED)
    with database.transaction() as connection:
        Leads(connection).seed()
        settings.seed(connection, bellcast_url, app_id, key, secret)
    user_accounts = Accounts(database, CAST.values(), TENANT)
    outbox = Outbox(database, bell, user_accounts.configure, user_accounts.revoke)
    site = Starlette(
        routes=[*_routes(libraries), *SignIn(user_accounts, bell, HERE / "templates", "/desk").routes],
        exception_handlers={HTTPException: _refused, NotSignedIn: _not_signed_in},
    )
    site.state.database, site.state.bell = database, bell
    site.state.forms = RateLimit(MAX_FORMS, FORM_WINDOW_SECONDS)
    site.state.page = {"bellcast": bellcast_url, "libraries": _paths(libraries), "statuses": STATUSES}
    return Starlette(
        routes=[Route("/", side_by_side), *mount_with_sessions(site, user_accounts, "leadwell", CAST.values())],
        lifespan=outbox.lifespan,
    )


def _routes(libraries: Path) -> list[Route | Mount]:
    return [
        *([Mount("/libraries", StaticFiles(directory=libraries, follow_symlink=True))] if libraries.is_dir() else []),
        Mount("/static", StaticFiles(directory=HERE / "static")),
        Route("/desk", desk),
        *(Route(f"/{role}", RedirectResponse("desk")) for role in ("admin", "provider")),
        Route("/leads", leads),
        Route("/api/bell-token", bell_token),
        Route("/broadcasting/auth", broadcasting_auth, methods=["POST"]),
        Route("/request", request_form),
        Route("/request", send_request, methods=["POST"]),
        Route("/api/leads", new_lead, methods=["POST"]),
        Route("/api/admin/leads/{id:id}", change_as_admin, methods=["PATCH", "PUT"]),
        Route("/api/provider/leads/{id:id}", change_as_provider, methods=["PATCH", "PUT"]),
        Route("/admin/settings", pusher_settings),
        Route("/admin/settings", save_settings, methods=["POST"]),
        Route("/admin/settings/test", try_settings, methods=["POST"]),
        Route("/admin/settings/key", new_key, methods=["POST"]),
        Route("/admin/troubleshooting", troubleshooting),
    ]


def _paths(libraries: Path) -> list[str]:
    """Return the URLs of the libraries, or nothing if they are not installed."""
    files = [PUSHER_JS, ECHO_JS]
    return [f"/libraries/{file}" for file in files] if all((libraries / file).is_file() for file in files) else []


async def side_by_side(request: Request) -> Response:
    """Show three desks side by side."""
    return HTMLResponse(_templates.get_template("side_by_side.html").render(cast=CAST.values()))


async def desk(request: Request) -> Response:
    """Show the person's dashboard."""
    return _page(request, "desk.html", providers=PROVIDERS)


async def leads(request: Request) -> Response:
    """Return the leads of the dashboard."""
    person = signed_in_person(request)
    with request.app.state.database.transaction() as connection:
        shown = Leads(connection).of(person.key if person.role == "provider" else None)
    return JSONResponse([lead.shown() for lead in shown], headers={"Cache-Control": "no-store"})


async def bell_token(request: Request) -> Response:
    """Return the token of a page's `<bellcast-bell>`, which ends with the session."""
    session = visit_of(request).session
    if session is None:
        raise NotSignedIn
    token = request.app.state.bell.token(session.person.key, ttl=max(1, session.seconds_left))
    return JSONResponse({"token": token}, headers={"Cache-Control": "no-store"})


async def broadcasting_auth(request: Request) -> Response:
    """Authorize a person's own private channels, and the admins'. The Pusher library signs, as before."""
    person, form = signed_in_person(request), await _form(request)
    channel, socket_id = form.get("channel_name", ""), form.get("socket_id", "")
    role = "private-admin" if person.role == "admin" else f"private-provider.{person.key}"
    if channel not in (role, f"private-App.Models.User.{person.key}"):
        raise HTTPException(403, "This channel belongs to another user.")
    try:
        return JSONResponse(_stored(request).client().authenticate(channel, socket_id))
    except ValueError as wrong:
        raise HTTPException(400, str(wrong)) from None


async def new_lead(request: Request) -> Response:
    """`POST /api/leads`: add a lead, as the admin, or as another system with the API key."""
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        with request.app.state.database.transaction() as connection:
            if not api_keys.is_api_key(connection, key):
                raise HTTPException(401, "The API key is not valid: create one under Settings.")
        by = PARTNER
    else:
        by = identity.signed_in_as(request, "admin").key
    lead, background = _add(request, await _fields(request), by)
    return JSONResponse(lead.shown(), 201, background=background)


async def request_form(request: Request) -> Response:
    """The form for customers, without a sign-in."""
    return _public_page(request, sent="sent" in request.query_params)


async def send_request(request: Request) -> Response:
    """Add the lead of the form. It has no provider: an admin assigns it."""
    form = await _form(request)
    if request.app.state.forms.acquire(request.client.host if request.client else ""):
        return _public_page(request, 429, form=form, problem="Too many requests. Please wait a minute.")
    names = ("customer", "contact", "service", "city", "requestId")
    fields: dict[str, Any] = {name: form[name] for name in names if name in form}
    try:
        _, background = _add(request, {"contact": "", **fields}, FORM)
    except HTTPException as refusal:
        return _public_page(request, 422, form=form, problem=refusal.detail)
    return RedirectResponse(request.scope["root_path"] + "/request?sent", 303, background=background)


def _add(request: Request, fields: dict[str, Any], by: str) -> tuple[Lead, BackgroundTask | None]:
    with request.app.state.database.transaction() as connection:
        lead, is_new = Leads(connection).add(fields, by)
        if is_new:
            events.notify_new(connection, lead, by)
    return lead, _broadcast(request, Change(lead, None, "new"), is_new=True) if is_new else None


async def change_as_admin(request: Request) -> Response:
    """`PATCH /api/admin/leads/{id}`: assign a provider or set the status."""
    return _change(request, identity.signed_in_as(request, "admin").key, await _fields(request))


async def change_as_provider(request: Request) -> Response:
    """`PATCH /api/provider/leads/{id}`: set the status of the provider's own lead."""
    person, fields = identity.signed_in_as(request, "provider"), await _fields(request)
    return _change(request, person.key, {"status": fields.get("status")}, only=person.key)


def _change(request: Request, by: str, fields: dict[str, Any], only: str | None = None) -> Response:
    with request.app.state.database.transaction() as connection:
        table = Leads(connection)
        lead = table.get(request.path_params["id"])
        if only is not None and lead.provider != only:
            raise HTTPException(404, "Lead not found.")
        change = table.change(lead, fields)
        events.notify_change(connection, change, by)
    return JSONResponse(lead.shown(), background=_broadcast(request, change, is_new=False))


def _broadcast(request: Request, change: Change, *, is_new: bool) -> BackgroundTask:
    # Echo's header names the page's connection, which is excluded from the event.
    socket_id = request.headers.get("X-Socket-ID") or None
    return BackgroundTask(events.broadcast, _stored(request), change, is_new=is_new, socket_id=socket_id)


def _stored(request: Request) -> settings.PusherSettings:
    with request.app.state.database.transaction() as connection:
        return settings.read(connection)


async def pusher_settings(request: Request) -> Response:
    """The admin's form for the Pusher credentials."""
    identity.signed_in_as(request, "admin")
    return _page(request, "settings.html", saved="saved" in request.query_params)


async def save_settings(request: Request) -> Response:
    identity.signed_in_as(request, "admin")
    form = await _form(request)
    try:
        with request.app.state.database.transaction() as connection:
            settings.store(connection, settings.of_form(connection, form))
    except HTTPException as refusal:
        return _page(request, "settings.html", 422, problem=refusal.detail)
    return RedirectResponse(request.scope["root_path"] + "/admin/settings?saved", 303)


async def try_settings(request: Request) -> Response:
    """Test the connection with the settings of the form, before they are saved."""
    identity.signed_in_as(request, "admin")
    form = await _form(request)
    with request.app.state.database.transaction() as connection:
        tried = settings.of_form(connection, form)
    problem = await run_in_threadpool(settings.try_connection, tried)
    return JSONResponse({"ok": problem is None, "message": problem or "Connection test successful."})


async def new_key(request: Request) -> Response:
    """Create the API key of other systems, which replaces the previous one, and show it once."""
    identity.signed_in_as(request, "admin")
    with request.app.state.database.transaction() as connection:
        key = api_keys.new_api_key(connection)
    return _page(request, "settings.html", api_key=key)


async def troubleshooting(request: Request) -> Response:
    identity.signed_in_as(request, "admin")
    return _page(request, "troubleshooting.html")


async def _fields(request: Request) -> dict[str, Any]:
    try:
        fields = json.loads(await read_body(request, MOST_BYTES))
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise HTTPException(400, "The body must be JSON.") from None
    if not isinstance(fields, dict):
        raise HTTPException(400, "The body must be a JSON object.")
    return fields


async def _form(request: Request) -> dict[str, str]:
    return dict(parse_qsl((await read_body(request, MOST_BYTES)).decode(errors="replace")))


def _page(request: Request, template: str, status: int = 200, **values: Any) -> Response:
    person, root = signed_in_person(request), request.scope["root_path"]
    here = request.url.path.removeprefix(root)
    text = _templates.get_template(template).render(
        me=person, root=root, here=here, pusher=_stored(request).for_pages(), **request.app.state.page, **values
    )
    return HTMLResponse(text, status, headers={"Cache-Control": "no-store"})


def _public_page(request: Request, status: int = 200, **values: Any) -> Response:
    text = _templates.get_template("request.html").render(
        root=request.scope["root_path"], request_id=uuid.uuid4(), **request.app.state.page, **{"form": {}, **values}
    )
    return HTMLResponse(text, status, headers={"Cache-Control": "no-store"})


async def _refused(request: Request, refusal: Exception) -> Response:
    """Respond with a page to a browser, with JSON to scripts."""
    assert isinstance(refusal, HTTPException)
    if _is_page(request):
        is_missing = refusal.status_code == 404
        reason = "Page not found" if is_missing else refusal.detail
        text = _templates.get_template("refused.html").render(
            root=request.scope["root_path"], reason=reason, is_missing=is_missing
        )
        return HTMLResponse(text, refusal.status_code)
    return JSONResponse({"message": refusal.detail}, refusal.status_code)


async def _not_signed_in(request: Request, error: Exception) -> Response:
    """Redirect pages to the login page; requests from scripts get 401."""
    if _is_page(request):
        return await not_signed_in(request, error)
    return JSONResponse({"message": "Please sign in."}, 401)


def _is_page(request: Request) -> bool:
    return request.method == "GET" and "text/html" in request.headers.get("accept", "")
