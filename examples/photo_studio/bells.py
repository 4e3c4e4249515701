"""The site's notification endpoints: three that a page calls after a change, and those that the signed-in person's page reads.

The change itself has written the notification to the outbox; the three send it immediately, under the same key."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from bellcast.client import AsyncBellcast, InboxPage, Notification, SessionToken, Unavailable
from bellcast.examples.app_kit import visit_of

from . import notifications, people
from .bookings import Booking, Diary
from .desk import transaction
from .notifications import Message
from .people import TENANT, NotSignedIn
from .reading import fields_of

# An inbox has no values for them.
SERVER_FIELDS = frozenset({"recipient", "tenant", "audience"})


async def booking_created(request: Request) -> Response:
    booking = await _named_booking(request)
    if booking.client != people.asking(request):
        raise HTTPException(403, "Only the client announces a new booking.")
    return await _send(request, notifications.for_admin_of_new_booking(booking))


async def photographer_assigned(request: Request) -> Response:
    booking = await _named_booking(request)
    if people.asking(request).role != "administrator":
        raise HTTPException(403, "Only the front desk announces an assignment.")
    if booking.photographer is None:
        raise HTTPException(409, "This booking has no photographer yet.")
    return await _send(request, notifications.for_photographer_of_assignment(booking))


async def work_completed(request: Request) -> Response:
    booking = await _named_booking(request)
    if booking.photographer != people.asking(request):
        raise HTTPException(403, "Only the photographer announces finished work.")
    if booking.work is None:
        raise HTTPException(409, "The photographs are not delivered yet.")
    return await _send(request, notifications.for_client_work_completed(booking))


async def mark_read(request: Request) -> Response:
    inbox = await _inbox(request)
    return JSONResponse(_shown(await inbox.mark(request.path_params["id"], read=True)))


async def delete(request: Request) -> Response:
    inbox = await _inbox(request)
    await inbox.delete(request.path_params["id"])
    return Response(status_code=204)


async def poll(request: Request) -> Response:
    """Return the inbox to clients that poll, or 304 if it has not changed."""
    inbox = await _inbox(request)
    known = request.headers.get("If-None-Match")
    page: InboxPage | None = await (inbox.changed(known.strip('"'), limit=50) if known else inbox.list(limit=50))
    if page is None:
        return Response(status_code=304, headers={"ETag": str(known), "Cache-Control": "no-cache"})
    listed = {"unread": page.unread, "notifications": [_shown(notification) for notification in page.notifications]}
    return JSONResponse(listed, headers={"ETag": f'"{page.position}"', "Cache-Control": "no-cache"})


async def bell_token(request: Request) -> Response:
    """Return a session token for the page's <bellcast-bell>."""
    token = await _token(request)
    return JSONResponse(
        {"token": token, "expires_at": token.expires_at.isoformat()}, headers={"Cache-Control": "no-store"}
    )


async def stream(request: Request) -> Response:
    """Proxy the person's event stream from Bellcast, under the site's own origin and cookie."""
    token = await _token(request)
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


async def _token(request: Request) -> SessionToken:
    """Return a token of Bellcast that ends with the session."""
    session = visit_of(request).session
    if session is None:
        raise NotSignedIn
    bell: AsyncBellcast = request.app.state.bell
    return await bell.token(session.person.key, tenant=TENANT, ttl=max(1, session.seconds_left))


async def _inbox(request: Request) -> Any:
    return request.app.state.bell.inbox(await _token(request))


async def _named_booking(request: Request) -> Booking:
    """Return the booking in the request body, if the signed-in person may see it."""
    number = (await fields_of(request)).get("bookingId")
    if not str(number).isdecimal():
        raise HTTPException(422, "bookingId must be the number of a booking.")
    with transaction(request) as connection:
        booking = Diary(connection).find(int(str(number)), people.asking(request))
    if booking is None:
        raise HTTPException(404, "Booking not found.")
    return booking


async def _send(request: Request, message: Message) -> Response:
    """Send a notification now. In an outage it stays in the outbox, so the page need not repeat the request."""
    try:
        sent = await message.send(request.app.state.bell)
    except Unavailable:
        return JSONResponse({"notifications": [], "queued": True}, 202)
    return JSONResponse(
        {"notifications": [{"id": each.id, "userId": each.recipient} for each in sent.notifications]}, 201
    )


def _shown(notification: Notification) -> dict[str, Any]:
    """Return Bellcast's JSON with the `isRead` flag that the older page uses, without the fields of servers."""
    fields = {name: value for name, value in msgspec.to_builtins(notification).items() if name not in SERVER_FIELDS}
    return {**fields, "isRead": notification.read_at is not None}


routes = [
    Route("/api/notifications/booking-created", booking_created, methods=["POST"]),
    Route("/api/notifications/photographer-assigned", photographer_assigned, methods=["POST"]),
    Route("/api/notifications/work-completed", work_completed, methods=["POST"]),
    Route("/api/notifications/stream", stream),
    Route("/api/notifications/{id}/read", mark_read, methods=["PATCH"]),
    Route("/api/notifications/{id}", delete, methods=["DELETE"]),
    Route("/api/notifications", poll),
    Route("/api/bell-token", bell_token),
]
