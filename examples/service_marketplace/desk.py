"""Actions on bookings: book, accept, decline, cancel, complete, pay, refund."""

from datetime import datetime
from typing import Any

from starlette.background import BackgroundTask, BackgroundTasks
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from . import moves, notifications, people
from .bookings import OPEN, SERVICES, STATUSES, Booking
from .moves import MOVES
from .notifications import BookingType
from .people import Person
from .reading import fields_of, text

NOTIFICATION_TYPES: dict[str, BookingType] = {
    "accept": "booking_accepted",
    "decline": "booking_declined",
    "cancel": "booking_cancelled",
    "complete": "booking_completed",
}


def booking_of(request: Request) -> Booking:
    """Return the booking in the URL, if the signed-in person may see it."""
    booking: Booking | None = request.app.state.bookings.find(request.path_params["booking"], people.asking(request))
    if booking is None:
        raise HTTPException(404, "Booking not found.")
    return booking


async def bookings(request: Request) -> Response:
    """Return the bookings of the signed-in person."""
    person = people.asking(request)
    return JSONResponse([_to_json(booking, person) for booking in request.app.state.bookings.of(person)])


def _to_json(booking: Booking, person: Person) -> dict[str, Any]:
    return {
        "id": booking.id,
        "service": booking.service.name,
        "when": booking.when,
        "other": booking.other(person).name,
        "status": booking.status,
        "standing": "Paid" if booking.paid else STATUSES[booking.status],
        "open": booking.status in OPEN,
        "amount": booking.service.price,
        "moves": [{"name": name, "label": MOVES[name].label} for name in moves.possible(booking, person)],
    }


async def book(request: Request) -> Response:
    person, fields = people.asking(request), await fields_of(request)
    service = SERVICES.get(text(fields, "service"))
    if service is None:
        raise HTTPException(422, f"service must be one of {', '.join(SERVICES)}.")
    booking = request.app.state.bookings.book(
        person, service, _moment(fields), text(fields, "address"), text(fields, "notes")
    )
    notify = BackgroundTask(notifications.notify_booking, request.app.state.bell, booking, "new_booking", person)
    return JSONResponse({"id": booking.id}, 201, background=notify)


async def move(request: Request) -> Response:
    """Accept, decline, cancel or complete a booking. Cancelling a paid booking refunds it."""
    booking, person, name = booking_of(request), people.asking(request), request.path_params["move"]
    if name not in MOVES:
        raise HTTPException(404, "Unknown action.")
    moves.make(booking, name, person)
    tasks, bell = BackgroundTasks(), request.app.state.bell
    tasks.add_task(notifications.notify_booking, bell, booking, NOTIFICATION_TYPES[name], person)
    if name == "cancel" and booking.paid:
        tasks.add_task(notifications.notify_payment, bell, booking, moves.give_back(booking))
    return JSONResponse({"status": booking.status}, background=tasks)


async def pay(request: Request) -> Response:
    """Record a payment attempt. The response is 201 for a failed attempt too."""
    booking, fields = booking_of(request), await fields_of(request)
    payment = moves.pay(booking, people.asking(request), text(fields, "card"))
    notify = BackgroundTask(notifications.notify_payment, request.app.state.bell, booking, payment)
    return JSONResponse({"paymentId": payment.id, "status": payment.status}, 201, background=notify)


async def refund(request: Request) -> Response:
    booking = booking_of(request)
    payment = moves.refund(booking, people.asking(request))
    notify = BackgroundTask(notifications.notify_payment, request.app.state.bell, booking, payment)
    return JSONResponse({"paymentId": payment.id}, background=notify)


def _moment(fields: dict[str, Any]) -> datetime:
    try:
        return datetime.fromisoformat(text(fields, "starts_at")).replace(tzinfo=None)
    except ValueError:
        raise HTTPException(422, "starts_at must be a date and a time, like 2027-05-30T14:00.") from None


routes = [
    Route("/api/bookings", bookings),
    Route("/api/bookings", book, methods=["POST"]),
    Route("/api/bookings/{booking:int}/payment", pay, methods=["POST"]),
    Route("/api/bookings/{booking:int}/refund", refund, methods=["POST"]),
    Route("/api/bookings/{booking:int}/{move}", move, methods=["PUT"]),
]
