"""Actions on bookings: book, assign, upload, deliver. Each is one transaction with its notifications."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from sqlite3 import Connection
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from . import bookings, notifications, people
from .bookings import KINDS, Booking, Diary, Photo
from .people import CAST
from .reading import body_up_to, fields_of

# Image types that cannot contain scripts, unlike SVG.
PICTURES = frozenset({"image/jpeg", "image/png", "image/webp", "image/gif", "image/avif"})


@contextmanager
def transaction(request: Request) -> Iterator[Connection]:
    with request.app.state.database.transaction() as connection:
        yield connection


def booking_of(request: Request, connection: Connection) -> Booking:
    """Return the booking in the URL, if the signed-in person may see it."""
    booking = Diary(connection).find(request.path_params["booking"], people.asking(request))
    if booking is None:
        raise HTTPException(404, "Booking not found.")
    return booking


async def book(request: Request) -> Response:
    person, fields = people.asking(request), await fields_of(request)
    kind = KINDS.get(_text(fields, "kind"))
    if kind is None:
        raise HTTPException(422, f"kind must be one of {', '.join(KINDS)}.")
    starts_at, place, notes = _moment(fields), _text(fields, "place"), _text(fields, "notes")
    request_id = _text(fields, "requestId") or None
    with transaction(request) as connection:
        diary = Diary(connection)
        booking = diary.requested(request_id) if request_id else None
        if booking is None:
            booking = diary.book(person, kind, starts_at, place, notes, request_id)
            notifications.for_admin_of_new_booking(booking).add(connection)
            notifications.show_change(connection, booking)
    return JSONResponse({"id": booking.id}, 201)


async def assign(request: Request) -> Response:
    person, fields = people.asking(request), await fields_of(request)
    photographer = CAST.get(_text(fields, "photographerId"))
    with transaction(request) as connection:
        booking = booking_of(request, connection)
        replaced = booking.photographer
        bookings.assign(booking, person, photographer)
        if booking.photographer != replaced:
            Diary(connection).save(booking)
            notifications.for_photographer_of_assignment(booking).add(connection)
            if replaced is not None:
                notifications.for_replaced_photographer(booking, replaced).add(connection)
            notifications.show_change(connection, booking, replaced)
    return JSONResponse({"id": booking.id, "status": booking.status})


async def upload(request: Request) -> Response:
    person, media_type = people.asking(request), request.headers.get("Content-Type", "")
    with transaction(request) as connection:
        booking = booking_of(request, connection)
    if media_type not in PICTURES:
        raise HTTPException(415, "The picture must be JPEG, PNG, WebP, GIF or AVIF.")
    photo = Photo(await body_up_to(request, bookings.MOST_BYTES), media_type)
    with transaction(request) as connection:
        booking = booking_of(request, connection)
        Diary(connection).add_photo(booking, person, photo)
    return JSONResponse({"photos": booking.uploads}, 201)


async def finish(request: Request) -> Response:
    person, fields = people.asking(request), await fields_of(request)
    title, photos = _text(fields, "title"), fields.get("photos")
    if not isinstance(photos, int):
        raise HTTPException(422, "photos must be a number.")
    with transaction(request) as connection:
        booking = booking_of(request, connection)
        bookings.finish(booking, person, title, photos)
        Diary(connection).save(booking)
        notifications.for_client_work_completed(booking).add(connection)
        notifications.show_change(connection, booking)
    return JSONResponse({"id": booking.id, "status": booking.status}, 201)


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name, "")
    if not isinstance(value, str) or len(value) > 500:
        raise HTTPException(422, f"{name} must be a text of up to 500 characters.")
    return value


def _moment(fields: dict[str, Any]) -> datetime:
    try:
        return datetime.fromisoformat(_text(fields, "starts_at")).replace(tzinfo=None)
    except ValueError as error:
        raise HTTPException(422, "starts_at must be a date and a time.") from error


routes = [
    Route("/api/bookings", book, methods=["POST"]),
    Route("/api/bookings/{booking:int}/photographer", assign, methods=["PUT"]),
    Route("/api/bookings/{booking:int}/photos", upload, methods=["POST"]),
    Route("/api/bookings/{booking:int}/work", finish, methods=["POST"]),
]
