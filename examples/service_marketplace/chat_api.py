"""The endpoints of a booking's chat, which relay encrypted messages.

A page with the open chat follows the topic `presence-booking.{id}` and receives each encrypted message and typing events
there. A participant without an open chat gets one notification, until they read the chat.
"""

import math
from contextlib import suppress
from typing import Any

import msgspec
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bellcast.client import AsyncBellcast, BellcastError

from . import notifications, people
from .bookings import Booking
from .chats import Chat, Message, Sealed, Shown, UpTo
from .desk import booking_of
from .people import NotSignedIn, Person
from .reading import read


def topic_of(booking: Booking) -> str:
    return f"presence-booking.{booking.id}"


async def show_key(request: Request) -> Response:
    """Register a device's public key. Open chats encrypt for it from now on."""
    session = request.scope["visit"].session
    if session is None:
        raise NotSignedIn
    device = request.app.state.devices.show(session, (await read(request, Shown)).key)
    return JSONResponse({"device": device.id}, background=BackgroundTask(_publish_devices, request, session.person))


async def open_chat(request: Request) -> Response:
    """Return the encrypted messages and the participants' keys, and subscribe the person to the chat's topic."""
    booking, person = booking_of(request), people.asking(request)
    chat: Chat = request.app.state.chats.of(booking)
    with suppress(BellcastError):  # existing messages are readable without live updates
        await request.app.state.bell.subscribe(topic_of(booking), person.key)
    chat_state = {
        "topic": topic_of(booking),
        "messages": [_to_json(message) for message in chat.messages],
        "devices": [
            {"id": device.id, "person": device.person.key, "key": device.key, "here": here}
            for device, here in request.app.state.devices.of(booking)
        ],
        "read": chat.read,
    }
    return JSONResponse(chat_state, headers={"Cache-Control": "no-store"})


async def write(request: Request) -> Response:
    booking, person = booking_of(request), people.asking(request)
    sealed = await read(request, Sealed)
    if wait := request.app.state.rate_limit.acquire(person.key):
        raise HTTPException(429, "Too many messages. Please wait a moment.", {"Retry-After": str(math.ceil(wait))})
    message, new = request.app.state.chats.of(booking).add(person, sealed)
    publish = BackgroundTask(_publish_message, request, booking, message) if new else None
    return JSONResponse(_to_json(message), 201 if new else 200, background=publish)


async def mark_read(request: Request) -> Response:
    booking, person = booking_of(request), people.asking(request)
    number = (await read(request, UpTo)).number
    advanced = request.app.state.chats.of(booking).mark(person, number)
    publish = BackgroundTask(_publish_read, request, booking, person) if advanced else None
    return JSONResponse({"number": number}, background=publish)


async def _publish_message(request: Request, booking: Booking, message: Message) -> None:
    bell: AsyncBellcast = request.app.state.bell
    sender = people.CAST[message.sender]
    other = booking.other(sender)
    with suppress(BellcastError):
        await bell.publish(topic_of(booking), "chat-message", _to_json(message))
        if any(member.recipient == other.key for member in (await bell.presence(topic_of(booking))).members):
            return
        if not request.app.state.chats.of(booking).rings(other, message):
            return
        fact: notifications.Fact = {
            "message": f"{sender.first_name} wrote to you",
            "timestamp": message.at.isoformat(),
            "bookingId": str(booking.id),
        }
        await notifications.send_to_user(
            bell, other.key, {"type": "notification", "data": fact}, by=sender, once=message.sealed.id
        )


async def _publish_read(request: Request, booking: Booking, reader: Person) -> None:
    number = request.app.state.chats.of(booking).read[reader.key]
    with suppress(BellcastError):
        read = {"person": reader.key, "number": number}
        await request.app.state.bell.publish(topic_of(booking), "chat-read", read)


async def _publish_devices(request: Request, person: Person) -> None:
    topics = [topic_of(booking) for booking in request.app.state.bookings.of(person)]
    with suppress(BellcastError):
        await request.app.state.bell.publish(topics, "chat-devices", {"person": person.key})


def _to_json(message: Message) -> dict[str, Any]:
    """Return the JSON form for browsers, in responses and in live events."""
    envelope = {"number": message.number, "sender": message.sender, "at": message.at.isoformat()}
    return {**envelope, **msgspec.to_builtins(message.sealed)}


routes = [
    Route("/api/device", show_key, methods=["PUT"]),
    Route("/api/bookings/{booking:int}/chat", open_chat),
    Route("/api/bookings/{booking:int}/messages", write, methods=["POST"]),
    Route("/api/bookings/{booking:int}/read", mark_read, methods=["POST"]),
]
