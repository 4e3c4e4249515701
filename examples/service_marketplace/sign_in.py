"""Authenticates pages at Bellcast with the site's session, by cookie or by token, and signs out other devices."""

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bellcast.examples.app_kit import Session, visit_of

from . import identity
from .bookings import Refused
from .identity import TENANT, NotSignedIn

# `BELLCAST_SESSION_URL` is the site's URL with this path.
SESSION_PATH = "/api/bellcast-session"
_PRIVATE = {"Cache-Control": "no-store"}


async def sign_out_device(request: Request) -> Response:
    """End another session of the person."""
    person, id = identity.signed_in_person(request), request.path_params["id"]
    session = request.app.state.accounts.find_id(id)
    if session is None or session.person != person:
        raise Refused("error.no_device", 404)
    request.app.state.accounts.end(session)
    return JSONResponse({"ended": id}, background=BackgroundTask(request.app.state.sign_in.revoke))


async def session_owner(request: Request) -> Response:
    """Return the recipient of the cookie and the session's end. Bellcast calls this with the browser's cookies."""
    session = _session(request)
    owner = {
        "recipient": session.person.key,
        "name": session.person.name,
        "tenant": TENANT,
        "expires_at": session.ends_at.isoformat(),
    }
    return JSONResponse(owner, headers=_PRIVATE)


async def token(request: Request) -> Response:
    """Return a session token, for pages that cannot use the cookie: on another host, or with two people in one browser."""
    session = _session(request)
    signed = await request.app.state.bell.token(session.person.key, tenant=TENANT, ttl=max(1, session.seconds_left))
    return JSONResponse({"token": signed}, headers=_PRIVATE)


def _session(request: Request) -> Session:
    session = visit_of(request).session
    if session is None:
        raise NotSignedIn
    return session


routes = [
    Route("/api/sessions/{id}", sign_out_device, methods=["DELETE"]),
    Route("/api/bellcast-token", token),
    Route(SESSION_PATH, session_owner),
]
