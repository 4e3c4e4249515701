"""The site's notification endpoints: three that ring somebody's bell, and those the signed-in person's own page reads."""

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
        raise HTTPException(409, "Nobody is assigned to this booking yet.")
    return _sent(await notifications.notify_photographer_of_assignment(request.app.state.bell, booking))


async def work_completed(request: Request) -> Response:
    booking = await _named_booking(request)
    if booking.photographer != people.asking(request):
        raise HTTPException(403, "Only the photographer announces finished work.")
    if booking.work is None:
        raise HTTPException(409, "The work is not handed in yet.")
    return _sent(await notifications.notify_client_work_completed(request.app.state.bell, booking))


async def mark_read(request: Request) -> Response:
    bell = request.app.state.bell
    token = await bell.token(people.asking(request).key)
    return JSONResponse(_shown(await bell.inbox(token).mark(request.path_params["id"], read=True)))


async def poll(request: Request) -> Response:
    """For clients that ask every 30 seconds: they hear "304, nothing new" until there is."""
    bell = request.app.state.bell
    inbox = bell.inbox(await bell.token(people.asking(request).key))
    known = request.headers.get("If-None-Match")
    page: InboxPage | None = await (inbox.changed(known.strip('"'), limit=50) if known else inbox.list(limit=50))
    if page is None:
        return Response(status_code=304, headers={"ETag": str(known), "Cache-Control": "no-cache"})
    listed = {"unread": page.unread, "notifications": [_shown(notification) for notification in page.notifications]}
    return JSONResponse(listed, headers={"ETag": f'"{page.position}"', "Cache-Control": "no-cache"})


async def bell_token(request: Request) -> Response:
    """What the <bellcast-bell> of the page connects with."""
    token = await request.app.state.bell.token(people.asking(request).key)
    return JSONResponse(
        {"token": token, "expires_at": token.expires_at.isoformat()}, headers={"Cache-Control": "no-store"}
    )


async def stream(request: Request) -> Response:
    """The person's live events under the site's own address and cookie: Bellcast's stream, handed on as it comes."""
    token = await request.app.state.bell.token(people.asking(request).key)
    headers = {"Authorization": f"Bearer {token}"}
    if last := request.headers.get("Last-Event-ID"):
        headers["Last-Event-ID"] = last
    http: httpx.AsyncClient = request.app.state.streams
    answer = await http.send(http.build_request("GET", "/v1/stream", headers=headers), stream=True)
    if answer.status_code != 200:
        await answer.aclose()
        raise HTTPException(502, f"The notification server answered {answer.status_code}.")
    return StreamingResponse(
        _handed_on(answer),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _handed_on(answer: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for chunk in answer.aiter_raw():
            yield chunk
    except httpx.TransportError:
        return  # The browser's EventSource comes back by itself and says where it was.
    finally:
        await answer.aclose()


async def _named_booking(request: Request) -> Booking:
    """The booking the page speaks of, if it concerns whoever is asking."""
    number = (await fields_of(request)).get("bookingId")
    if not str(number).isdecimal():
        raise HTTPException(422, "bookingId must be the number of a booking.")
    booking: Booking | None = request.app.state.diary.find(int(str(number)), people.asking(request))
    if booking is None:
        raise HTTPException(404, "There is no such booking.")
    return booking


def _sent(sent: Sent) -> Response:
    return JSONResponse(
        {"notifications": [{"id": made.id, "userId": made.recipient} for made in sent.notifications]}, 201
    )


def _shown(notification: Notification) -> dict[str, Any]:
    """As Bellcast tells it, with the flag the older page looks at."""
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
