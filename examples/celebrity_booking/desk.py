"""The REST API: book, confirm, cancel, complete, change availability, send an alert. Each request carries the JWT."""

import uuid
from dataclasses import asdict
from datetime import date
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bellcast.examples.app_kit import NotSignedIn, Person, visit_of

from . import tokens
from .bookings import Ledger, NotPossible

LONGEST_TEXT = 200


async def token(request: Request) -> Response:
    """Return a JWT for the session of the cookie."""
    session = visit_of(request).session
    if session is None:
        raise NotSignedIn
    signed = tokens.sign(session, request.app.state.jwt_secret)
    return JSONResponse({"token": signed}, headers={"Cache-Control": "no-store"})


async def book(request: Request) -> Response:
    person, fields = _person(request), await _fields(request)
    try:
        day = date.fromisoformat(_text(fields, "date"))
    except ValueError as error:
        raise HTTPException(422, "date must be a date such as 2027-06-12.") from error
    occasion, celebrity = _text(fields, "occasion"), _text(fields, "celebrity")
    booking = _ledger(request).book(person, celebrity, day, occasion, _request_id(fields))
    return JSONResponse(booking.shown(), 201)


async def act(request: Request) -> Response:
    admin, fields = _admin(request), await _fields(request)
    booking = _ledger(request).act(admin, request.path_params["booking"], _text(fields, "action"))
    return JSONResponse(booking.shown())


async def availability(request: Request) -> Response:
    admin, fields = _admin(request), await _fields(request)
    if not isinstance(fields.get("available"), bool):
        raise HTTPException(422, "available must be true or false.")
    celebrity = _ledger(request).set_available(admin, request.path_params["celebrity"], fields["available"])
    return JSONResponse(asdict(celebrity))


async def alert(request: Request) -> Response:
    admin, fields = _admin(request), await _fields(request)
    _ledger(request).alert(admin, _text(fields, "message"), _request_id(fields))
    return JSONResponse({"ok": True}, 202)


def _ledger(request: Request) -> Ledger:
    ledger: Ledger = request.app.state.ledger
    return ledger


def _person(request: Request) -> Person:
    return tokens.person_of(request, request.app.state.accounts, request.app.state.jwt_secret)


def _admin(request: Request) -> Person:
    person = _person(request)
    if person.role != "admin":
        raise HTTPException(403, "Only the agency is allowed to do this.")
    return person


async def _fields(request: Request) -> dict[str, Any]:
    try:
        fields = await request.json()
    except ValueError as error:
        raise HTTPException(400, "The body must be JSON.") from error
    return fields if isinstance(fields, dict) else {}


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not 0 < len(value.strip()) <= LONGEST_TEXT:
        raise HTTPException(422, f"{name} must be a text of 1 to {LONGEST_TEXT} characters.")
    return value.strip()


def _request_id(fields: dict[str, Any]) -> str:
    """Return the id of the page's form, which makes repeated requests idempotent."""
    return _text(fields, "requestId") if "requestId" in fields else str(uuid.uuid4())


async def refused(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 409
    return JSONResponse({"error": error.detail if isinstance(error, HTTPException) else str(error)}, status)


routes = [
    Route("/api/token", token),
    Route("/api/bookings", book, methods=["POST"]),
    Route("/api/bookings/{booking:int}", act, methods=["PATCH"]),
    Route("/api/celebrities/{celebrity}", availability, methods=["PATCH"]),
    Route("/api/alerts", alert, methods=["POST"]),
]
exception_handlers = {HTTPException: refused, NotPossible: refused}
