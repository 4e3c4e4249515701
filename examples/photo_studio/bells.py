"""The site's notification endpoints: three that a page calls after a change, and those that read the person's inbox.

The change itself has written the notification to the outbox; the three send it immediately, under the same key. The token
for the page's bell is `/api/bell-token`, which `bellcast.contrib.fastapi` adds."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

import httpx
import msgspec
from fastapi import APIRouter, Depends, Header, HTTPException, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, Field

from bellcast.client import InboxPage, Notification, Unavailable
from bellcast.contrib.fastapi import Bell
from bellcast.examples.app_kit import MAX_ID

from . import notifications
from .bookings import Booking
from .dependencies import Data, Inbox, SignedIn, Token, find_booking
from .notifications import Message

router = APIRouter(prefix="/api/notifications")
# An inbox has no values for these fields.
SERVER_FIELDS = frozenset({"recipient", "tenant", "audience"})


class Announcement(BaseModel):
    booking: int = Field(alias="bookingId", ge=0, le=MAX_ID)


def get_announced_booking(fields: Announcement, person: SignedIn, database: Data) -> Booking:
    with database.transaction() as connection:
        return find_booking(connection, fields.booking, person)


Announced = Annotated[Booking, Depends(get_announced_booking)]


@router.post("/booking-created")
async def booking_created(booking: Announced, person: SignedIn, bell: Bell) -> Response:
    if booking.client != person:
        raise HTTPException(403, "Only the client announces a new booking.")
    return await _send(bell, notifications.for_admin_of_new_booking(booking))


@router.post("/photographer-assigned")
async def photographer_assigned(booking: Announced, person: SignedIn, bell: Bell) -> Response:
    if person.role != "administrator":
        raise HTTPException(403, "Only the front desk announces an assignment.")
    if booking.photographer is None:
        raise HTTPException(409, "This booking has no photographer yet.")
    return await _send(bell, notifications.for_photographer_of_assignment(booking))


@router.post("/work-completed")
async def work_completed(booking: Announced, person: SignedIn, bell: Bell) -> Response:
    if booking.photographer != person:
        raise HTTPException(403, "Only the photographer announces finished work.")
    if booking.work is None:
        raise HTTPException(409, "The photographs are not delivered yet.")
    return await _send(bell, notifications.for_client_work_completed(booking))


@router.get("")
async def poll(inbox: Inbox, if_none_match: Annotated[str | None, Header()] = None) -> Response:
    """Return the inbox to clients that poll, or 304 if it has not changed."""
    known = if_none_match
    page: InboxPage | None = await (inbox.changed(known.strip('"'), limit=50) if known else inbox.list(limit=50))
    if page is None:
        return Response(status_code=304, headers={"ETag": str(known), "Cache-Control": "no-cache"})
    listed = {"unread": page.unread, "notifications": [_shown(notification) for notification in page.notifications]}
    return JSONResponse(listed, headers={"ETag": f'"{page.position}"', "Cache-Control": "no-cache"})


@router.patch("/{id}/read")
async def mark_read(id: str, inbox: Inbox) -> Response:
    return JSONResponse(_shown(await inbox.mark(id, read=True)))


@router.delete("/{id}")
async def delete(id: str, inbox: Inbox) -> Response:
    await inbox.delete(id)
    return Response(status_code=204)


@router.get("/stream")
async def stream(request: Request, token: Token, last_event_id: Annotated[str | None, Header()] = None) -> Response:
    """Proxy the person's event stream from Bellcast, under the site's own origin and cookie."""
    headers = {"Authorization": f"Bearer {token}"}
    if last_event_id:
        headers["Last-Event-ID"] = last_event_id
    http: httpx.AsyncClient = request.app.state.streams
    response = await http.send(http.build_request("GET", "/v1/stream", headers=headers), stream=True)
    if response.status_code != 200:
        await response.aclose()
        raise HTTPException(502, f"The notification server returned status {response.status_code}.")
    return StreamingResponse(
        _forward(response),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _forward(response: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for chunk in response.aiter_raw():
            yield chunk
    except httpx.TransportError:
        return  # The browser's EventSource reconnects with its last event id.
    finally:
        await response.aclose()


async def _send(bell: Bell, message: Message) -> Response:
    """Send a notification now. In an outage it stays in the outbox, so the page need not repeat the request."""
    try:
        sent = await message.send(bell)
    except Unavailable:
        return JSONResponse({"notifications": [], "queued": True}, 202)
    return JSONResponse(
        {"notifications": [{"id": each.id, "userId": each.recipient} for each in sent.notifications]}, 201
    )


def _shown(notification: Notification) -> dict[str, Any]:
    """Return Bellcast's JSON with the `isRead` flag that the older page uses, without the fields meant for servers."""
    fields = {name: value for name, value in msgspec.to_builtins(notification).items() if name not in SERVER_FIELDS}
    return {**fields, "isRead": notification.read_at is not None}
