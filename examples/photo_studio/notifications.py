"""Notifications about bookings. A change writes them to the outbox in its transaction, so that an outage of Bellcast loses
none; a page that then requests the same notification gets the one that was sent."""

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from sqlite3 import Connection
from typing import Any, NamedTuple

from bellcast.client import AsyncBellcast, Bellcast, Sent
from bellcast.contrib import dbapi, outbox
from bellcast.examples.app_kit import Database, Reminder

from . import identity
from .bookings import Booking, Diary
from .identity import CAST, TENANT, ZONE, Person

# E-mails and push messages follow the recipient's preferences and quiet hours.
EVERYWHERE = ["inbox", "email", "push"]


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
    return _message(
        identity.with_role("administrator"), "booking-created", booking, booking.made_at,
        f"New booking from {booking.client.name}", f"{booking.kind.name}, {booking.when}, {booking.place}",
        priority="high", actor=_actor(booking.client), action_text="Assign a photographer", channels=["inbox", "push"],
    )  # fmt: skip


def for_photographer_of_assignment(booking: Booking) -> Message:
    assert booking.photographer, "the booking was assigned"
    return _message(
        [booking.photographer], "photographer-assigned", booking, booking.assigned_at,
        f"{booking.kind.name} session for {booking.client.name}",
        f"You’re the photographer: {booking.when}, {booking.place}",
        action_text="See the details", channels=["inbox", "push"],
    )  # fmt: skip


def for_replaced_photographer(booking: Booking, replaced: Person) -> Message:
    assert booking.photographer, "the booking was assigned"
    return _message(
        [replaced], "photographer-replaced", booking, booking.assigned_at,
        f"{booking.photographer.first_name} takes over a session of yours",
        f"{booking.kind.name} for {booking.client.name}, {booking.when}",
        action_url="/bookings", channels=["inbox", "push"],
    )  # fmt: skip


def for_client_of_assignment(booking: Booking, replaced: Person | None) -> Message:
    assert booking.photographer, "the booking was assigned"
    type = "photographer-changed" if replaced else "booking-accepted"
    title = "Another photographer for your session" if replaced else "Your booking is accepted"
    return _message(
        [booking.client], type, booking, booking.assigned_at, title, action_text="See the booking",
        body=f"{booking.photographer.name} photographs your {booking.kind.name.lower()} session: {booking.when}, {booking.place}",
    )  # fmt: skip


def for_client_work_completed(booking: Booking) -> Message:
    assert booking.photographer, "the booking was assigned"
    assert booking.work, "the work was handed in"
    return _message(
        [booking.client], "work-completed", booking, booking.work.finished_at, "Your photographs are ready",
        f"{booking.photographer.name} finished “{booking.work.title}”: {booking.work.photos} photographs",
        actor=_actor(booking.photographer), action_text="Open the gallery",
    )  # fmt: skip


def for_others_of_end(booking: Booking) -> list[Message]:
    """Notify all others of a cancellation or a refusal; the client of a refusal by e-mail, too."""
    about = f"{booking.kind.name}, {booking.when}, {booking.place}"
    others = [booking.photographer] if booking.photographer else []
    if booking.closed == "declined":
        title, body = "We can’t take your booking", f"{about}. Perhaps another day suits?"
        messages = [_message([booking.client], "booking-declined", booking, booking.made_at, title, body)]
    else:
        messages, others = [], [*identity.with_role("administrator"), *others]
    title = f"The booking of {booking.client.name} is {booking.closed}"
    return messages + [
        _message([person], f"booking-{booking.closed}", booking, booking.made_at, title, about, channels=["inbox", "push"])
        for person in others
    ]  # fmt: skip


def reminders(database: Database, now: datetime) -> Iterator[Reminder]:
    """Return the reminders of the assigned sessions: for client and photographer, a day before."""
    with closing(database.connect()) as connection:  # a transaction would wake the outbox, which has called this
        upcoming = Diary(connection).upcoming(now.astimezone(ZONE).replace(tzinfo=None))
    for booking in upcoming:
        assert booking.photographer, "an upcoming session is assigned"
        content = {
            "type": "session-reminder", "channels": EVERYWHERE,
            "title": f"Reminder: {booking.kind.name} session, {booking.when}", "action_url": f"/bookings/{booking.id}",
            "body": f"{booking.place}. {booking.photographer.name} photographs {booking.client.name}.",
        }  # fmt: skip
        at = (booking.starts_at - timedelta(days=1)).replace(tzinfo=ZONE)
        for person in (booking.client, booking.photographer):
            yield Reminder(f"reminder-{booking.id}-{person.key}", at, {"to": person.key, **content})


def _message(
    to: list[Person], type: str, booking: Booking, at: datetime | None, title: str, body: str, **fields: Any
) -> Message:
    """`at` is the time of the change: each change notifies once."""
    content = {
        "title": title, "body": body, "type": type, "action_url": f"/bookings/{booking.id}",
        "channels": EVERYWHERE, "data": {"bookingId": booking.id}, **fields,
    }  # fmt: skip
    keys = [person.key for person in to]
    return Message(keys, f"oriel-{type}-{booking.id}-{','.join(keys)}-{at:%Y%m%d%H%M%S%f}", content)


def show_change(connection: Connection, booking: Booking, also: Person | None = None) -> None:
    """Make open pages reload the booking. A live event suffices: a page opened later shows the current booking anyway."""
    viewers = {booking.client, *identity.with_role("administrator"), booking.photographer, also} - {None}
    for key in sorted(person.key for person in viewers if person):
        dbapi.publish(connection, None, "booking-changed", {"bookingId": booking.id}, recipient=key, tenant=TENANT)


def _actor(person: Person) -> dict[str, str]:
    return {"id": person.key, "name": person.name}
