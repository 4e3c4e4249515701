"""Actions on bookings: book, accept, decline, cancel, complete, pay, refund. Each is one transaction with its notifications."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from sqlite3 import Connection
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from . import moves, notifications, people
from .bookings import OPEN, SERVICES, STATUSES, Booking, Bookings
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


@contextmanager
def transaction(request: Request) -> Iterator[Connection]:
    with request.app.state.database.transaction() as connection:
        yield connection


def booking_of(request: Request, connection: Connection) -> Booking:
    """Return the booking in the URL, if the signed-in person may see it."""
    booking = Bookings(connection).find(request.path_params["booking"], people.asking(request))
    if booking is None:
        raise HTTPException(404, "Booking not found.")
    return booking


def bookings_of(request: Request, person: Person) -> list[Booking]:
    with transaction(request) as connection:
        return Bookings(connection).of(person)


async def bookings(request: Request) -> Response:
    """Return the bookings of the signed-in person."""
    person = people.asking(request)
    return JSONResponse([_to_json(booking, person) for booking in bookings_of(request, person)])


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
    starts_at, address, notes = _moment(fields), text(fields, "address"), text(fields, "notes")
    request_id = text(fields, "requestId") or None
    with transaction(request) as connection:
        bookings = Bookings(connection)
        booking = bookings.requested(request_id) if request_id else None
        if booking is None:
            booking = bookings.book(person, service, starts_at, address, notes, request_id)
            notifications.notify_booking(connection, booking, "new_booking", person)
    return JSONResponse({"id": booking.id}, 201)


async def move(request: Request) -> Response:
    """Accept, decline, cancel or complete a booking. Cancelling a paid booking refunds it."""
    person, name = people.asking(request), request.path_params["move"]
    with transaction(request) as connection:
        booking = booking_of(request, connection)
        if name not in MOVES:
            raise HTTPException(404, "Unknown action.")
        moves.make(booking, name, person)
        refunded = moves.give_back(booking) if name == "cancel" and booking.paid else None
        Bookings(connection).save(booking)
        notifications.notify_booking(connection, booking, NOTIFICATION_TYPES[name], person)
        if refunded is not None:
            notifications.notify_payment(connection, booking, refunded, person)
    return JSONResponse({"status": booking.status})


async def pay(request: Request) -> Response:
    """Record a payment attempt. The response is 201 for a failed attempt too."""
    person, card = people.asking(request), text(await fields_of(request), "card")
    with transaction(request) as connection:
        booking = booking_of(request, connection)
        payment = moves.pay(booking, person, card)
        Bookings(connection).save(booking)
        notifications.notify_payment(connection, booking, payment, person)
    return JSONResponse({"paymentId": payment.id, "status": payment.status}, 201)


async def refund(request: Request) -> Response:
    person = people.asking(request)
    with transaction(request) as connection:
        booking = booking_of(request, connection)
        payment = moves.refund(booking, person)
        Bookings(connection).save(booking)
        notifications.notify_payment(connection, booking, payment, person)
    return JSONResponse({"paymentId": payment.id})


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
