"""Actions on bookings: book, assign, upload, deliver, cancel, decline. Each is one transaction with its notifications."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request
from pydantic import BaseModel, Field, StringConstraints

from bellcast.examples.app_kit import read_body

from . import bookings, notifications
from .bookings import KINDS, Diary, Photo
from .dependencies import Data, SignedIn, find_booking
from .identity import CAST

router = APIRouter(prefix="/api/bookings")
# Image types that cannot contain scripts, unlike SVG.
PICTURES = frozenset({"image/jpeg", "image/png", "image/webp", "image/gif", "image/avif"})

Text = Annotated[str, StringConstraints(max_length=500)]


class NewBooking(BaseModel):
    kind: Text
    starts_at: datetime
    place: Text
    notes: Text = ""
    request_id: Text | None = Field(None, alias="requestId")


class Assignment(BaseModel):
    photographer: Text = Field("", alias="photographerId")


class Gallery(BaseModel):
    title: Text = ""
    photos: int
    request_id: Text | None = Field(None, alias="requestId")


@router.post("", status_code=201)
def book(fields: NewBooking, person: SignedIn, database: Data) -> dict[str, Any]:
    kind = KINDS.get(fields.kind)
    if kind is None:
        raise HTTPException(422, f"kind must be one of {', '.join(KINDS)}.")
    # Sessions are booked in local time.
    starts_at, request_id = fields.starts_at.replace(tzinfo=None), fields.request_id or None
    with database.transaction() as connection:
        diary = Diary(connection)
        booking = diary.requested(person, request_id) if request_id else None
        if booking is None:
            booking = diary.book(person, kind, starts_at, fields.place, fields.notes, request_id)
            notifications.add(connection, booking, notifications.for_admin_of_new_booking(booking))
    return {"id": booking.id}


@router.put("/{number:id}/photographer")
def assign(number: int, fields: Assignment, person: SignedIn, database: Data) -> dict[str, Any]:
    photographer = CAST.get(fields.photographer)
    with database.transaction() as connection:
        booking = find_booking(connection, number, person)
        replaced = booking.photographer
        diary = Diary(connection)
        diary.assign(booking, person, photographer)
        if booking.photographer != replaced:
            diary.save(booking)
            assigned = notifications.for_photographer_of_assignment(booking)
            others = notifications.for_others_of_assignment(booking, replaced)
            notifications.add(connection, booking, assigned, *others, also=replaced)
    return {"id": booking.id, "status": booking.status}


@router.post("/{number:id}/photos", status_code=201)
async def upload(
    number: int,
    request: Request,
    person: SignedIn,
    database: Data,
    request_id: Annotated[Text | None, Query(alias="requestId")] = None,
) -> dict[str, Any]:
    media_type = request.headers.get("Content-Type", "")
    with database.transaction() as connection:
        find_booking(connection, number, person)
    if media_type not in PICTURES:
        raise HTTPException(415, "The picture must be JPEG, PNG, WebP, GIF or AVIF.")
    photo = Photo(await read_body(request, bookings.MOST_BYTES), media_type)
    with database.transaction() as connection:
        booking = find_booking(connection, number, person)
        Diary(connection).add_photo(booking, person, photo, request_id)
    return {"photos": booking.uploads}


@router.post("/{number:id}/work", status_code=201)
def finish(number: int, fields: Gallery, person: SignedIn, database: Data) -> dict[str, Any]:
    with database.transaction() as connection:
        booking = find_booking(connection, number, person)
        if bookings.finish(booking, person, fields.title, fields.photos, fields.request_id or None):
            Diary(connection).save(booking)
            notifications.add(connection, booking, notifications.for_client_work_completed(booking))
    return {"id": booking.id, "status": booking.status}


@router.delete("/{number:id}")
def close(number: int, person: SignedIn, database: Data) -> dict[str, Any]:
    """Cancel a booking as its client, or decline it as the front desk."""
    with database.transaction() as connection:
        booking = find_booking(connection, number, person)
        if bookings.close(booking, person):
            Diary(connection).save(booking)
            notifications.add(connection, booking, *notifications.for_others_of_end(booking))
    return {"id": booking.id, "status": booking.status}
