"""Signing in and out, and how a session opens Bellcast: by its cookie, or by a token made for it."""

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

# `BELLCAST_SESSION_URL` is this path under the site's own address.
SESSION_PATH = "/api/bellcast-session"
_PRIVATE = {"Cache-Control": "no-store"}


async def sign_in(request: Request) -> Response:
    person = CAST.get(request.path_params["person"])
    if person is None:
        raise HTTPException(404, "There is nobody of that name.")
    visit = request.scope["visit"]
    visit.session = request.app.state.sessions.begin(person, request.headers.get("user-agent", ""))
    return RedirectResponse(request.scope["root_path"] + "/bookings", 303)


async def sign_out(request: Request) -> Response:
    """End this session; its live lines end with it."""
    visit = request.scope["visit"]
    ended = _end(request, [visit.session] if visit.session else [])
    visit.session = None
    return RedirectResponse(request.scope["root_path"] + "/login", 303, background=ended)


async def sign_out_device(request: Request) -> Response:
    """End one of the person's sessions elsewhere."""
    person, wanted = people.asking(request), request.path_params["id"]
    found = [each for each in request.app.state.sessions.of(person) if each.id == wanted]
    if not found:
        raise HTTPException(404, "That device is signed out already.")
    return JSONResponse({"ended": wanted}, background=_end(request, found))


async def whose_session(request: Request) -> Response:
    """What Bellcast asks, with the cookies a browser brought it. It learns who that is, and until when."""
    session = _session(request)
    answer = {
        "recipient": session.person.key,
        "name": session.person.name,
        "expires_at": session.ends_at.isoformat(),
    }
    return JSONResponse(answer, headers=_PRIVATE)


async def token(request: Request) -> Response:
    """For pages whose cookie does not reach Bellcast, or does not say which of two people in one browser is meant."""
    session = _session(request)
    given = await request.app.state.bell.token(session.person.key, ttl=max(1, session.seconds_left))
    return JSONResponse({"token": given}, headers=_PRIVATE)


async def still_here(request: Request) -> Response:
    """What a page asks when its line was ended: may it come back?"""
    return JSONResponse({"ends_at": _session(request).ends_at.isoformat()}, headers=_PRIVATE)


def _session(request: Request) -> Session:
    session: Session | None = request.scope["visit"].session
    if session is None:
        raise NotSignedIn
    return session


def _end(request: Request, ended: list[Session]) -> BackgroundTask | None:
    for session in ended:
        request.app.state.sessions.end(session)
    return BackgroundTask(_cut, request.app.state.bell, ended[0].person) if ended else None


async def _cut(bell: AsyncBellcast, person: Person) -> None:
    """End the person's live lines. Those of their other devices come back at once; the ended session's cannot."""
    try:
        await bell.revoke(person.key)
    except BellcastError as error:
        log.warning("the live lines of %s were not ended: %s", person.key, error)


routes = [
    Route("/login/{person}", sign_in, methods=["POST"]),
    Route("/logout", sign_out, methods=["POST"]),
    Route("/api/sessions/{id}", sign_out_device, methods=["DELETE"]),
    Route("/api/session", still_here),
    Route("/api/bellcast-token", token),
    Route(SESSION_PATH, whose_session),
]
