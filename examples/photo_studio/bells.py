"""The site's notification endpoints: three that a page calls after a change, and those that read the person's inbox.

The change itself has written the notification to the outbox; the three send it immediately, under the same key. The token
and the event stream of the page are those of `bellcast.contrib.fastapi`."""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Header, HTTPException
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field

from bellcast.client import InboxPage, Notification, Unavailable
from bellcast.contrib.fastapi import Bell
from bellcast.examples.app_kit import MAX_ID

from . import notifications
from .bookings import Booking
from .dependencies import Data, Inbox, SignedIn, find_booking

router = APIRouter(prefix="/api/notifications")


class Announcement(BaseModel):
    booking: int = Field(alias="bookingId", ge=0, le=MAX_ID)


def get_announced_booking(fields: Announcement, person: SignedIn, database: Data) -> Booking:
    with database.transaction() as connection:
        return find_booking(connection, fields.booking, person)


Announced = Annotated[Booking, Depends(get_announced_booking)]


@router.post("/booking-created")
async def booking_created(booking: Announced, person: SignedIn, bell: Bell) -> Response:
    _require(booking.client == person, 403, "Only the client announces a new booking.")
    return await _send(bell, notifications.for_admin_of_new_booking(booking))


@router.post("/photographer-assigned")
async def photographer_assigned(booking: Announced, person: SignedIn, bell: Bell) -> Response:
    _require(person.role == "administrator", 403, "Only the front desk announces an assignment.")
    _require(booking.photographer is not None, 409, "This booking has no photographer yet.")
    return await _send(bell, notifications.for_photographer_of_assignment(booking))


@router.post("/work-completed")
async def work_completed(booking: Announced, person: SignedIn, bell: Bell) -> Response:
    _require(booking.photographer == person, 403, "Only the photographer announces finished work.")
    _require(booking.work is not None, 409, "The photographs are not delivered yet.")
    return await _send(bell, notifications.for_client_work_completed(booking))


@router.get("")
async def poll(inbox: Inbox, if_none_match: Annotated[str | None, Header()] = None) -> Response:
    """Return the inbox to clients that poll, or 304 if it has not changed."""
    known = if_none_match
    page: InboxPage | None = await (inbox.changed(known.strip('"'), limit=50) if known else inbox.list(limit=50))
    headers = {"ETag": f'"{page.position}"' if page else str(known), "Cache-Control": "no-cache"}
    if page is None:
        return Response(status_code=304, headers=headers)
    return JSONResponse(
        {"unread": page.unread, "notifications": list(map(_shown, page.notifications))}, headers=headers
    )


@router.patch("/{id}/read")
async def mark_read(id: str, inbox: Inbox) -> Response:
    return JSONResponse(_shown(await inbox.mark(id, read=True)))


@router.delete("/{id}", status_code=204)
async def delete(id: str, inbox: Inbox) -> None:
    await inbox.delete(id)


def _require(condition: bool, status: int, detail: str) -> None:
    if not condition:
        raise HTTPException(status, detail)


async def _send(bell: Bell, message: notifications.Message) -> Response:
    """Send a notification now. In an outage it stays in the outbox, so the page need not repeat the request."""
    try:
        sent = await bell.notify(**message)
    except Unavailable:
        return JSONResponse({"notifications": [], "queued": True}, 202)
    return JSONResponse({"notifications": [{"id": one.id, "userId": one.recipient} for one in sent.notifications]}, 201)


def _shown(notification: Notification) -> dict[str, Any]:
    """Return Bellcast's JSON with the `isRead` flag that the older page uses."""
    return {**msgspec.to_builtins(notification), "isRead": notification.read_at is not None}
