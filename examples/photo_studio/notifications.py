"""Notifications about bookings. A change writes them to the outbox in its transaction, so that an outage of Bellcast loses
none; a page that then requests the same notification gets the one that was sent."""

from sqlite3 import Connection
from typing import Any, NamedTuple

from bellcast.client import AsyncBellcast, Bellcast, Sent
from bellcast.contrib import dbapi, outbox

from . import identity
from .bookings import Booking
from .identity import CAST, TENANT, Person


class Message(NamedTuple):
    """A notification with the key under which it is sent once."""

    to: list[str]
    key: str
    content: dict[str, Any]

    def add(self, connection: Connection) -> None:
        """Write it to the outbox."""
        content: Any = self.content
        dbapi.notify(connection, self.to, idempotency_key=self.key, tenant=TENANT, **content)

    async def send(self, bell: AsyncBellcast) -> Sent:
        """Send it now; if the outbox has sent it already, return that result."""
        content: Any = self.content
        key = str(outbox.row_key(self.key))
        return await bell.notify(self.to, idempotency_key=key, tenant=TENANT, **content)


def configure(bell: Bellcast) -> None:
    """Write the tenant's recipients, so that Bellcast knows users before their first sign-in."""
    for person in CAST.values():
        bell.recipients.put(
            person.key, tenant=TENANT, name=person.name, email=person.email, roles=[person.role], locale="en"
        )


def for_admin_of_new_booking(booking: Booking) -> Message:
    return Message(
        [person.key for person in identity.with_role("administrator")],
        f"oriel-created-{booking.id}-{booking.made_at:%Y%m%d%H%M%S%f}",
        {
            "title": f"New booking from {booking.client.name}",
            "body": f"{booking.kind.name}, {booking.when}, {booking.place}",
            "type": "booking-created",
            "priority": "high",
            "actor": _actor(booking.client),
            "action_url": f"/bookings/{booking.id}",
            "action_text": "Assign a photographer",
            "data": {"bookingId": booking.id},
        },
    )


def for_photographer_of_assignment(booking: Booking) -> Message:
    assert booking.photographer, "the booking was assigned"
    return Message(
        [booking.photographer.key],
        f"oriel-assigned-{booking.id}-{booking.assigned_at:%Y%m%d%H%M%S%f}",
        {
            "title": f"{booking.kind.name} session for {booking.client.name}",
            "body": f"You’re the photographer: {booking.when}, {booking.place}",
            "type": "photographer-assigned",
            "action_url": f"/bookings/{booking.id}",
            "action_text": "See the details",
            "data": {"bookingId": booking.id},
        },
    )


def for_replaced_photographer(booking: Booking, replaced: Person) -> Message:
    assert booking.photographer, "the booking was assigned"
    return Message(
        [replaced.key],
        f"oriel-replaced-{booking.id}-{booking.assigned_at:%Y%m%d%H%M%S%f}",
        {
            "title": f"{booking.photographer.first_name} takes over a session of yours",
            "body": f"{booking.kind.name} for {booking.client.name}, {booking.when}",
            "type": "photographer-replaced",
            "action_url": "/bookings",
            "data": {"bookingId": booking.id},
        },
    )


def for_client_work_completed(booking: Booking) -> Message:
    assert booking.photographer, "the booking was assigned"
    assert booking.work, "the work was handed in"
    return Message(
        [booking.client.key],
        f"oriel-completed-{booking.id}-{booking.work.finished_at:%Y%m%d%H%M%S%f}",
        {
            "title": "Your photographs are ready",
            "body": f"{booking.photographer.name} finished “{booking.work.title}”: {booking.work.photos} photographs",
            "type": "work-completed",
            "actor": _actor(booking.photographer),
            "action_url": f"/bookings/{booking.id}",
            "action_text": "Open the gallery",
            "data": {"bookingId": booking.id},
        },
    )


def show_change(connection: Connection, booking: Booking, also: Person | None = None) -> None:
    """Make open pages reload the booking. A live event suffices: a page opened later shows the current booking anyway."""
    viewers = {booking.client, *identity.with_role("administrator"), booking.photographer, also} - {None}
    for key in sorted(person.key for person in viewers if person):
        dbapi.publish(connection, None, "booking-changed", {"bookingId": booking.id}, recipient=key, tenant=TENANT)


def _actor(person: Person) -> dict[str, str]:
    return {"id": person.key, "name": person.name}
