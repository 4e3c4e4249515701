"""The REST API: list, book, confirm, decline, cancel, complete, change availability, send an alert. Each request carries the JWT."""

import json
import uuid
from dataclasses import asdict
from datetime import date, time
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bellcast.examples.app_kit import MOST_DIGITS, NotSignedIn, Person, read_body, visit_of

from . import tokens
from .bookings import MOST_SHOWN, Ledger

LONGEST_TEXT = 200
ALERTED = ("everyone", "agency")
MOST_BYTES = 16 * 1024


async def token(request: Request) -> Response:
    """Return a JWT for the session of the cookie."""
    session = visit_of(request).session
    if session is None:
        raise NotSignedIn
    signed = tokens.sign(session, request.app.state.jwt_secret)
    return JSONResponse({"token": signed}, headers={"Cache-Control": "no-store"})


def page_data(ledger: Ledger, person: Person, before: int | None = None) -> dict[str, Any]:
    """Return what a page shows: bookings, whether there are older ones, figures and celebrities."""
    found = ledger.seen_by(person, MOST_SHOWN + 1, before)
    return {
        "bookings": [booking.shown(person.role) for booking in found[:MOST_SHOWN]],
        "hasOlder": len(found) > MOST_SHOWN,
        "figures": ledger.figures(person),
        "celebrities": [asdict(one) for one in ledger.celebrities()],
    }


async def list_bookings(request: Request) -> Response:
    before = request.query_params.get("before", "")
    if before and not (before.isdecimal() and len(before) <= MOST_DIGITS):
        raise HTTPException(422, "before must be the id of a booking.")
    shown = page_data(_ledger(request), _person(request), int(before) if before else None)
    return JSONResponse(shown, headers={"Cache-Control": "no-store"})


async def read_booking(request: Request) -> Response:
    person = _person(request)
    booking = _ledger(request).find(person, request.path_params["booking"])
    return JSONResponse(booking.shown(person.role), headers={"Cache-Control": "no-store"})


async def book(request: Request) -> Response:
    person, fields = _person(request), await _fields(request)
    try:
        day = date.fromisoformat(_text(fields, "date"))
    except ValueError as error:
        raise HTTPException(422, "date must be a date such as 2027-06-12.") from error
    occasion, celebrity = _text(fields, "occasion"), _text(fields, "celebrity")
    place = _text(fields, "place") if fields.get("place") else ""
    booking = _ledger(request).book(
        person, celebrity, day, occasion, _request_id(fields), time=_time(fields), place=place
    )
    return JSONResponse(booking.shown(person.role), 201)


async def act(request: Request) -> Response:
    person, fields = _person(request), await _fields(request)
    booking = _ledger(request).act(person, request.path_params["booking"], _text(fields, "action"))
    return JSONResponse(booking.shown(person.role))


async def availability(request: Request) -> Response:
    admin, fields = _admin(request), await _fields(request)
    if not isinstance(fields.get("available"), bool):
        raise HTTPException(422, "available must be true or false.")
    celebrity = _ledger(request).set_available(admin, request.path_params["celebrity"], fields["available"])
    return JSONResponse(asdict(celebrity))


async def alert(request: Request) -> Response:
    admin, fields = _admin(request), await _fields(request)
    to = fields.get("to", "everyone")
    if to not in ALERTED:
        raise HTTPException(422, f"to must be one of: {', '.join(ALERTED)}.")
    _ledger(request).alert(admin, _text(fields, "message"), _request_id(fields), to_clients=to == "everyone")
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
        fields = json.loads(await read_body(request, MOST_BYTES))
    except ValueError as error:
        raise HTTPException(400, "The body must be JSON.") from error
    return fields if isinstance(fields, dict) else {}


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not 0 < len(value.strip()) <= LONGEST_TEXT:
        raise HTTPException(422, f"{name} must be a text of 1 to {LONGEST_TEXT} characters.")
    return value.strip()


def _time(fields: dict[str, Any]) -> str:
    try:
        return f"{time.fromisoformat(fields['time']):%H:%M}" if fields.get("time") else ""
    except (ValueError, TypeError) as error:
        raise HTTPException(422, "time must be a time such as 19:30.") from error


def _request_id(fields: dict[str, Any]) -> str:
    """Return the id of the page's form, which makes repeated requests idempotent."""
    return _text(fields, "requestId") if "requestId" in fields else str(uuid.uuid4())


routes = [
    Route("/api/token", token),
    Route("/api/bookings", list_bookings),
    Route("/api/bookings", book, methods=["POST"]),
    Route("/api/bookings/{booking:id}", read_booking),
    Route("/api/bookings/{booking:id}", act, methods=["PATCH"]),
    Route("/api/celebrities/{celebrity}", availability, methods=["PATCH"]),
    Route("/api/alerts", alert, methods=["POST"]),
]
