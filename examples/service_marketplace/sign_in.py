"""Sign-in and sign-out, and access to Bellcast with the session: by its cookie, or by a token."""

import logging

from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from bellcast.client import AsyncBellcast, BellcastError

from . import people
from .people import CAST, NotSignedIn, Person
from .sessions import Session

log = logging.getLogger(__name__)

# `BELLCAST_SESSION_URL` is the site's URL with this path.
SESSION_PATH = "/api/bellcast-session"
_PRIVATE = {"Cache-Control": "no-store"}


async def sign_in(request: Request) -> Response:
    person = CAST.get(request.path_params["person"])
    if person is None:
        raise HTTPException(404, "Unknown person.")
    visit = request.scope["visit"]
    visit.session = request.app.state.sessions.begin(person, request.headers.get("user-agent", ""))
    return RedirectResponse(request.scope["root_path"] + "/bookings", 303)


async def sign_out(request: Request) -> Response:
    """End this session and its live connections."""
    visit = request.scope["visit"]
    ended = _end(request, [visit.session] if visit.session else [])
    visit.session = None
    return RedirectResponse(request.scope["root_path"] + "/login", 303, background=ended)


async def sign_out_device(request: Request) -> Response:
    """End another session of the person."""
    person, id = people.asking(request), request.path_params["id"]
    sessions = [each for each in request.app.state.sessions.of(person) if each.id == id]
    if not sessions:
        raise HTTPException(404, "That device is signed out already.")
    return JSONResponse({"ended": id}, background=_end(request, sessions))


async def whose_session(request: Request) -> Response:
    """Return the recipient of the cookie and the session's end. Bellcast calls this with the browser's cookies."""
    session = _session(request)
    identity = {
        "recipient": session.person.key,
        "name": session.person.name,
        "expires_at": session.ends_at.isoformat(),
    }
    return JSONResponse(identity, headers=_PRIVATE)


async def token(request: Request) -> Response:
    """Return a session token, for pages that cannot use the cookie: on another host, or with two people in one browser."""
    session = _session(request)
    signed = await request.app.state.bell.token(session.person.key, ttl=max(1, session.seconds_left))
    return JSONResponse({"token": signed}, headers=_PRIVATE)


async def still_here(request: Request) -> Response:
    """Return the session's end, for a page that wants to reconnect, or 401."""
    return JSONResponse({"ends_at": _session(request).ends_at.isoformat()}, headers=_PRIVATE)


def _session(request: Request) -> Session:
    session: Session | None = request.scope["visit"].session
    if session is None:
        raise NotSignedIn
    return session


def _end(request: Request, ended: list[Session]) -> BackgroundTask | None:
    for session in ended:
        request.app.state.sessions.end(session)
    return BackgroundTask(_disconnect, request.app.state.bell, ended[0].person) if ended else None


async def _disconnect(bell: AsyncBellcast, person: Person) -> None:
    """Close the person's live connections. Devices with a valid session reconnect; the signed-out one cannot."""
    try:
        await bell.revoke(person.key)
    except BellcastError as error:
        log.warning("revoke_failed recipient=%s error=%s", person.key, error)


routes = [
    Route("/login/{person}", sign_in, methods=["POST"]),
    Route("/logout", sign_out, methods=["POST"]),
    Route("/api/sessions/{id}", sign_out_device, methods=["DELETE"]),
    Route("/api/session", still_here),
    Route("/api/bellcast-token", token),
    Route(SESSION_PATH, whose_session),
]
