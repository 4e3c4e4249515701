"""The site's notification endpoints: three that send a notification, and those that the signed-in person's page reads."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from bellcast.client import InboxPage, Notification, Sent

from . import notifications, people
from .bookings import Booking
from .reading import fields_of


async def booking_created(request: Request) -> Response:
    booking = await _named_booking(request)
    if booking.client != people.asking(request):
        raise HTTPException(403, "Only the client announces a new booking.")
    return _sent(await notifications.notify_admin_of_new_booking(request.app.state.bell, booking))


async def photographer_assigned(request: Request) -> Response:
    booking = await _named_booking(request)
    if people.asking(request).role != "administrator":
        raise HTTPException(403, "Only the front desk announces an assignment.")
    if booking.photographer is None:
        raise HTTPException(409, "This booking has no photographer yet.")
    return _sent(await notifications.notify_photographer_of_assignment(request.app.state.bell, booking))


async def work_completed(request: Request) -> Response:
    booking = await _named_booking(request)
    if booking.photographer != people.asking(request):
        raise HTTPException(403, "Only the photographer announces finished work.")
    if booking.work is None:
        raise HTTPException(409, "The photographs are not delivered yet.")
    return _sent(await notifications.notify_client_work_completed(request.app.state.bell, booking))


async def mark_read(request: Request) -> Response:
    bell = request.app.state.bell
    token = await bell.token(people.asking(request).key)
    return JSONResponse(_shown(await bell.inbox(token).mark(request.path_params["id"], read=True)))


async def poll(request: Request) -> Response:
    """Return the inbox to clients that poll, or 304 if it has not changed."""
    bell = request.app.state.bell
    inbox = bell.inbox(await bell.token(people.asking(request).key))
    known = request.headers.get("If-None-Match")
    page: InboxPage | None = await (inbox.changed(known.strip('"'), limit=50) if known else inbox.list(limit=50))
    if page is None:
        return Response(status_code=304, headers={"ETag": str(known), "Cache-Control": "no-cache"})
    listed = {"unread": page.unread, "notifications": [_shown(notification) for notification in page.notifications]}
    return JSONResponse(listed, headers={"ETag": f'"{page.position}"', "Cache-Control": "no-cache"})


async def bell_token(request: Request) -> Response:
    """Return a session token for the page's <bellcast-bell>."""
    token = await request.app.state.bell.token(people.asking(request).key)
    return JSONResponse(
        {"token": token, "expires_at": token.expires_at.isoformat()}, headers={"Cache-Control": "no-store"}
    )


async def stream(request: Request) -> Response:
    """Proxy the person's event stream from Bellcast, under the site's own origin and cookie."""
    token = await request.app.state.bell.token(people.asking(request).key)
    headers = {"Authorization": f"Bearer {token}"}
    if last := request.headers.get("Last-Event-ID"):
        headers["Last-Event-ID"] = last
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


async def _named_booking(request: Request) -> Booking:
    """Return the booking in the request body, if the signed-in person may see it."""
    number = (await fields_of(request)).get("bookingId")
    if not str(number).isdecimal():
        raise HTTPException(422, "bookingId must be the number of a booking.")
    booking: Booking | None = request.app.state.diary.find(int(str(number)), people.asking(request))
    if booking is None:
        raise HTTPException(404, "Booking not found.")
    return booking


def _sent(sent: Sent) -> Response:
    return JSONResponse(
        {"notifications": [{"id": each.id, "userId": each.recipient} for each in sent.notifications]}, 201
    )


def _shown(notification: Notification) -> dict[str, Any]:
    """Return Bellcast's JSON with the `isRead` flag that the older page uses."""
    return {**msgspec.to_builtins(notification), "isRead": notification.read_at is not None}


routes = [
    Route("/api/notifications/booking-created", booking_created, methods=["POST"]),
    Route("/api/notifications/photographer-assigned", photographer_assigned, methods=["POST"]),
    Route("/api/notifications/work-completed", work_completed, methods=["POST"]),
    Route("/api/notifications/stream", stream),
    Route("/api/notifications/{id}/read", mark_read, methods=["PATCH"]),
    Route("/api/notifications", poll),
    Route("/api/bell-token", bell_token),
]
