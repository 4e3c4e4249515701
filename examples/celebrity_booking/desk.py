"""Actions of clients and admins: book, confirm, cancel, complete, change availability, send an alert."""

from datetime import date
from typing import Any

from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .bookings import Booking, NotPossible
from .notifications import BookingNotifications
from .people import Person
from .tokens import asking


async def book(request: Request) -> Response:
    person, fields = asking(request), await _fields(request)
    try:
        day = date.fromisoformat(_text(fields, "date"))
    except ValueError as error:
        raise HTTPException(422, "date must be a date such as 2027-06-12.") from error
    booking = request.app.state.ledger.book(person, _text(fields, "celebrity"), day, _text(fields, "occasion"))
    return _respond(request, booking, "requested", 201)


async def act(request: Request) -> Response:
    _only_admins(asking(request))
    action = _text(await _fields(request), "action")
    booking = request.app.state.ledger.act(request.path_params["booking"], action)
    return _respond(request, booking, booking.status)


async def availability(request: Request) -> Response:
    _only_admins(asking(request))
    available = (await _fields(request)).get("available") is True
    celebrity = request.app.state.ledger.set_available(request.path_params["celebrity"], available)
    # Only open pages need this change, so it is not stored in inboxes.
    broadcast = BackgroundTask(_manager(request).broadcast, "celebrity_update", celebrity.shown(), durable=False)
    return JSONResponse(celebrity.shown(), background=broadcast)


async def alert(request: Request) -> Response:
    person, fields = asking(request), await _fields(request)
    _only_admins(person)
    data = {"title": _text(fields, "message"), "body": f"From {person.name}", "priority": "high", "level": "warning"}
    return JSONResponse({"ok": True}, 202, background=BackgroundTask(_manager(request).broadcast, "system_alert", data))


def _respond(request: Request, booking: Booking, action: str, status: int = 200) -> Response:
    """Respond with the booking, then notify the agency and the client."""
    notify = BackgroundTask(_manager(request).notify_booking_update, booking.shown(), action)
    return JSONResponse(booking.shown(), status, background=notify)


def _manager(request: Request) -> BookingNotifications:
    manager: BookingNotifications = request.app.state.notifications
    return manager


def _only_admins(person: Person) -> None:
    if person.role != "admin":
        raise HTTPException(403, "Only the agency is allowed to do this.")


async def _fields(request: Request) -> dict[str, Any]:
    try:
        fields = await request.json()
    except ValueError as error:
        raise HTTPException(400, "The body must be JSON.") from error
    return fields if isinstance(fields, dict) else {}


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= 200:
        raise HTTPException(422, f"{name} must be a text of 1 to 200 characters.")
    return value


async def refused(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 409
    return JSONResponse({"error": error.detail if isinstance(error, HTTPException) else str(error)}, status)


routes = [
    Route("/api/bookings", book, methods=["POST"]),
    Route("/api/bookings/{booking:int}", act, methods=["PATCH"]),
    Route("/api/celebrities/{celebrity}", availability, methods=["PATCH"]),
    Route("/api/alerts", alert, methods=["POST"]),
]
answers = {HTTPException: refused, NotPossible: refused}
