"""Actions on bookings: book, assign, upload, deliver."""

from datetime import datetime
from typing import Any

from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from . import bookings, notifications, people
from .bookings import KINDS, Booking, Photo
from .people import CAST
from .reading import body_up_to, fields_of

# Image types that cannot contain scripts, unlike SVG.
PICTURES = frozenset({"image/jpeg", "image/png", "image/webp", "image/gif", "image/avif"})


def booking_of(request: Request) -> Booking:
    """Return the booking in the URL, if the signed-in person may see it."""
    booking: Booking | None = request.app.state.diary.find(request.path_params["booking"], people.asking(request))
    if booking is None:
        raise HTTPException(404, "Booking not found.")
    return booking


async def book(request: Request) -> Response:
    person, fields = people.asking(request), await fields_of(request)
    kind = KINDS.get(_text(fields, "kind"))
    if kind is None:
        raise HTTPException(422, f"kind must be one of {', '.join(KINDS)}.")
    booking = request.app.state.diary.book(
        person, kind, _moment(fields), _text(fields, "place"), _text(fields, "notes")
    )
    return JSONResponse({"id": booking.id}, 201)


async def assign(request: Request) -> Response:
    booking, fields = booking_of(request), await fields_of(request)
    bookings.assign(booking, people.asking(request), CAST.get(_text(fields, "photographerId")))
    return _changed(request, booking)


async def upload(request: Request) -> Response:
    booking = booking_of(request)
    media_type = request.headers.get("Content-Type", "")
    if media_type not in PICTURES:
        raise HTTPException(415, "The picture must be JPEG, PNG, WebP, GIF or AVIF.")
    photo = Photo(await body_up_to(request, bookings.MOST_BYTES), media_type)
    bookings.add_photo(booking, people.asking(request), photo)
    return JSONResponse({"photos": len(booking.uploads)}, 201)


async def finish(request: Request) -> Response:
    booking, fields = booking_of(request), await fields_of(request)
    photos = fields.get("photos")
    if not isinstance(photos, int):
        raise HTTPException(422, "photos must be a number.")
    bookings.finish(booking, people.asking(request), _text(fields, "title"), photos)
    return _changed(request, booking, 201)


def _changed(request: Request, booking: Booking, status: int = 200) -> Response:
    """Respond with the booking's status, then update open pages."""
    update = BackgroundTask(notifications.show_change, request.app.state.bell, booking)
    return JSONResponse({"id": booking.id, "status": booking.status}, status, background=update)


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
