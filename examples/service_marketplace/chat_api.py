"""The endpoints of a booking's chat, which relay encrypted messages.

A page with the open chat follows the topic `presence-booking.{id}` and receives each encrypted message and typing events
there. A participant without an open chat gets one notification, until they read the chat.
"""

import math
from contextlib import suppress
from typing import Any

import msgspec
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bellcast.client import Bellcast, BellcastError
from bellcast.examples.app_kit import Database, visit_of

from . import chats, identity, languages, notifications
from .bookings import Booking, Bookings, Refused
from .chats import Chat, Message, Sealed, Shown, UpTo
from .desk import booking_of, bookings_of, transaction
from .identity import TENANT, NotSignedIn, Person
from .request_body import read


def topic_of(booking: Booking) -> str:
    return f"presence-booking.{booking.id}"


async def show_key(request: Request) -> Response:
    """Register a device's public key. Open chats encrypt for it from now on."""
    session = visit_of(request).session
    if session is None:
        raise NotSignedIn
    shown = await read(request, Shown)
    with transaction(request) as connection:
        device = chats.show_device(connection, session, shown.key)
    return JSONResponse(
        {"device": device.id}, background=BackgroundTask(_publish_devices, request, identity.signed_in_person(request))
    )


async def open_chat(request: Request) -> Response:
    """Return the encrypted messages and the participants' keys, and subscribe the person to the chat's topic."""
    person = identity.signed_in_person(request)
    with transaction(request) as connection:
        booking = booking_of(request, connection)
    with suppress(BellcastError):  # existing messages are readable without live updates
        await request.app.state.bell.subscribe(topic_of(booking), person.key, tenant=TENANT)
    with transaction(request) as connection:
        chat = Chat(connection, booking)
        chat_state = {
            "topic": topic_of(booking),
            "messages": [_to_json(message) for message in chat.messages],
            "devices": [
                {"id": device.id, "person": device.person, "key": device.key, "here": here}
                for device, here in chats.devices_of(connection, booking)
            ],
            "read": chat.read,
        }
    return JSONResponse(chat_state, headers={"Cache-Control": "no-store"})


async def write(request: Request) -> Response:
    person = identity.signed_in_person(request)
    with transaction(request) as connection:
        booking = booking_of(request, connection)
    sealed = await read(request, Sealed)
    if wait := request.app.state.rate_limit.acquire(person.key):
        raise Refused("error.too_many_messages", 429, {"Retry-After": str(math.ceil(wait))})
    with transaction(request) as connection:
        chat = Chat(connection, booking)
        message, new = chat.add(person, sealed)
        if new:
            chat.ring(booking.other(person), message)
    published = _to_json(message)
    publish = BackgroundTask(_publish, request, topic_of(booking), "chat-message", published) if new else None
    return JSONResponse(_to_json(message), 201 if new else 200, background=publish)


async def mark_read(request: Request) -> Response:
    person, number = identity.signed_in_person(request), (await read(request, UpTo)).number
    with transaction(request) as connection:
        booking = booking_of(request, connection)
        chat = Chat(connection, booking)
        publish = None
        if chat.mark(person, number):
            position = {"person": person.key, "number": chat.read[person.key]}
            publish = BackgroundTask(_publish, request, topic_of(booking), "chat-read", position)
    return JSONResponse({"number": number}, background=publish)


class Rings:
    """Notifies participants of messages that arrived while their chat was closed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def reconcile(self, bell: Bellcast) -> None:
        for row in self._database.rows("SELECT * FROM rings ORDER BY at"):
            sender, reader = identity.CAST[row["sender"]], identity.CAST[row["reader"]]
            with self._database.transaction() as connection:
                booking = Bookings(connection).find(row["booking"], reader)
            if booking is None:
                continue
            members = bell.presence(topic_of(booking), tenant=TENANT).members
            with self._database.transaction() as connection:
                connection.execute("DELETE FROM rings WHERE message = ?", [row["message"]])
                if any(member.recipient == reader.key for member in members):
                    Chat(connection, booking).silence(reader)
                    continue
                language = languages.recipient_language(connection, reader.key)
                fact = {
                    "message": language.text("notification.message", name=sender.first_name),
                    "timestamp": row["at"],
                    "bookingId": str(booking.id),
                }
                notifications.send_to_user(
                    connection, reader.key, {"type": "notification", "data": fact}, by=sender, once=row["message"]
                )


async def _publish_devices(request: Request, person: Person) -> None:
    topics = [topic_of(booking) for booking in bookings_of(request, person)]
    if topics:
        await _publish(request, topics, "chat-devices", {"person": person.key})


async def _publish(request: Request, to: str | list[str], name: str, data: dict[str, Any]) -> None:
    """Publish to open chats. A page that connects later loads the chat, so a lost event needs no repetition."""
    with suppress(BellcastError):
        await request.app.state.bell.publish(to, name, data, tenant=TENANT)


def _to_json(message: Message) -> dict[str, Any]:
    """Return the JSON form for browsers, in responses and in live events."""
    envelope = {"number": message.number, "sender": message.sender, "at": message.at.isoformat()}
    return {**envelope, **msgspec.to_builtins(message.sealed)}


routes = [
    Route("/api/device", show_key, methods=["PUT"]),
    Route("/api/bookings/{booking:id}/chat", open_chat),
    Route("/api/bookings/{booking:id}/messages", write, methods=["POST"]),
    Route("/api/bookings/{booking:id}/read", mark_read, methods=["POST"]),
]
