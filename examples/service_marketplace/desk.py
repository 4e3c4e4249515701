"""Actions on bookings: book, accept, decline, cancel, complete, pay, refund. Each is one transaction with its notifications."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from sqlite3 import Connection
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from . import identity, notifications, transitions
from .bookings import OPEN, SERVICES, Booking, Bookings, Refused
from .identity import Person
from .languages import Language, language_of
from .request_body import fields_of, text
from .transitions import MOVES


@contextmanager
def transaction(request: Request) -> Iterator[Connection]:
    with request.app.state.database.transaction() as connection:
        yield connection


def booking_of(request: Request, connection: Connection) -> Booking:
    """Return the booking in the URL, if the signed-in person may see it."""
    booking = Bookings(connection).find(request.path_params["booking"], identity.signed_in_person(request))
    if booking is None:
        raise Refused("error.no_booking", 404)
    return booking


def bookings_of(request: Request, person: Person) -> list[Booking]:
    with transaction(request) as connection:
        return Bookings(connection).of(person)


async def bookings(request: Request) -> Response:
    """Return the bookings of the signed-in person."""
    person = identity.signed_in_person(request)
    language = language_of(request)
    return JSONResponse([_to_json(booking, person, language) for booking in bookings_of(request, person)])


def _to_json(booking: Booking, person: Person, language: Language) -> dict[str, Any]:
    return {
        "id": booking.id,
        "service": language.text(f"service.{booking.service.key}.name"),
        "when": language.date(booking.starts_at),
        "other": booking.other(person).name,
        "status": booking.status,
        "standing": language.text("payment.paid" if booking.paid else f"status.{booking.status}"),
        "open": booking.status in OPEN,
        "price": language.money(booking.service.price),
        "moves": [
            {"name": name, "label": language.text(f"move.{name}")} for name in transitions.possible(booking, person)
        ],
    }


async def book(request: Request) -> Response:
    person, fields = identity.signed_in_person(request), await fields_of(request)
    service = SERVICES.get(text(fields, "service"))
    if service is None:
        raise Refused("error.service")
    starts_at, address, notes = _moment(fields), text(fields, "address"), text(fields, "notes")
    request_id = text(fields, "requestId") or None
    with transaction(request) as connection:
        bookings = Bookings(connection)
        booking = bookings.requested(person, request_id) if request_id else None
        if booking is None:
            booking = bookings.book(person, service, starts_at, address, notes, request_id)
            notifications.notify_booking(connection, booking, "new_booking", person)
    return JSONResponse({"id": booking.id}, 201)


async def move(request: Request) -> Response:
    """Accept, decline, cancel or complete a booking. Cancelling a paid booking refunds it."""
    person, name = identity.signed_in_person(request), request.path_params["move"]
    with transaction(request) as connection:
        booking = booking_of(request, connection)
        if name not in MOVES:
            raise Refused("error.no_move", 404)
        transitions.make(booking, name, person)
        if name == "accept":
            Bookings(connection).expect_free(booking)
        refunded = transitions.give_back(booking) if name == "cancel" and booking.paid else None
        Bookings(connection).save(booking)
        notifications.notify_booking(connection, booking, f"booking_{booking.status}", person)
        if refunded is not None:
            notifications.notify_payment(connection, booking, refunded, person)
    return JSONResponse({"status": booking.status})


async def pay(request: Request) -> Response:
    """Record a payment attempt. The response is 201 for a failed attempt too."""
    person, card = identity.signed_in_person(request), text(await fields_of(request), "card")
    with transaction(request) as connection:
        booking = booking_of(request, connection)
        payment = transitions.pay(booking, person, card)
        Bookings(connection).save(booking)
        notifications.notify_payment(connection, booking, payment, person)
    return JSONResponse({"paymentId": payment.id, "status": payment.status}, 201)


async def refund(request: Request) -> Response:
    person = identity.signed_in_person(request)
    with transaction(request) as connection:
        booking = booking_of(request, connection)
        payment = transitions.refund(booking, person)
        Bookings(connection).save(booking)
        notifications.notify_payment(connection, booking, payment, person)
    return JSONResponse({"paymentId": payment.id})


def _moment(fields: dict[str, Any]) -> datetime:
    try:
        return datetime.fromisoformat(text(fields, "starts_at")).replace(tzinfo=None)
    except ValueError:
        raise Refused("error.starts_at") from None


routes = [
    Route("/api/bookings", bookings),
    Route("/api/bookings", book, methods=["POST"]),
    Route("/api/bookings/{booking:id}/payment", pay, methods=["POST"]),
    Route("/api/bookings/{booking:id}/refund", refund, methods=["POST"]),
    Route("/api/bookings/{booking:id}/{move}", move, methods=["PUT"]),
]
