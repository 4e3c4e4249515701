"""Notifications about bookings. A change writes them to the outbox in its transaction, so that an outage of Bellcast loses
none; a page that then requests the same notification gets the one that was sent."""

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from sqlite3 import Connection
from typing import Any

from bellcast.contrib import dbapi, outbox
from bellcast.examples.app_kit import Database, Reminder

from .bookings import Booking, Diary
from .identity import TENANT, ZONE, Person, with_role

# The arguments of `notify`, of the outbox as of the client.
Message = dict[str, Any]
# E-mails and push messages follow the recipient's preferences and quiet hours.
EVERYWHERE, AT_WORK = ["inbox", "email", "push"], ["inbox", "push"]


def add(connection: Connection, booking: Booking, *messages: Message, also: Person | None = None) -> None:
    """Write messages to the outbox, and make open pages show the changed booking: a page opened later shows it anyway."""
    for message in messages:
        dbapi.notify(connection, **message)
    viewers = {booking.client, *with_role("administrator"), booking.photographer, also} - {None}
    for key in sorted(person.key for person in viewers if person):
        dbapi.publish(connection, None, "booking-changed", {"bookingId": booking.id}, recipient=key, tenant=TENANT)


def for_admin_of_new_booking(booking: Booking) -> Message:
    return _message(
        booking, "booking-created", with_role("administrator"), f"New booking from {booking.client.name}", booking.about,
        by=booking.client, priority="high", action_text="Assign a photographer", channels=AT_WORK,
    )  # fmt: skip


def for_photographer_of_assignment(booking: Booking) -> Message:
    return _message(
        booking, "photographer-assigned", [booking.assigned], f"{booking.kind.name} session for {booking.client.name}",
        f"You’re the photographer: {booking.when}, {booking.place}",
        at=booking.assigned_at, action_text="See the details", channels=AT_WORK,
    )  # fmt: skip


def for_others_of_assignment(booking: Booking, replaced: Person | None) -> Iterator[Message]:
    """Notify the client, and the photographer before."""
    kind, photographer = booking.kind.name, booking.assigned
    yield _message(
        booking, "photographer-changed" if replaced else "booking-accepted", [booking.client],
        "Another photographer for your session" if replaced else "Your booking is accepted",
        f"{photographer.name} photographs your {kind.lower()} session: {booking.when}, {booking.place}",
        at=booking.assigned_at, action_text="See the booking",
    )  # fmt: skip
    if replaced:
        yield _message(
            booking, "photographer-replaced", [replaced], f"{photographer.first_name} takes over a session of yours",
            f"{kind} for {booking.client.name}, {booking.when}",
            at=booking.assigned_at, action_url="/bookings", channels=AT_WORK,
        )  # fmt: skip


def for_client_work_completed(booking: Booking) -> Message:
    assert booking.work, "the work was handed in"
    return _message(
        booking, "work-completed", [booking.client], "Your photographs are ready",
        f"{booking.assigned.name} finished “{booking.work.title}”: {booking.work.photos} photographs",
        by=booking.assigned, action_text="Open the gallery",
    )  # fmt: skip


def for_others_of_end(booking: Booking) -> Iterator[Message]:
    """Notify all others of a cancellation or a refusal; the client of a refusal by e-mail, too."""
    others, type = [] if booking.photographer is None else [booking.photographer], f"booking-{booking.closed}"
    if booking.closed == "declined":
        body = f"{booking.about}. Perhaps another day suits?"
        yield _message(booking, type, [booking.client], "We can’t take your booking", body)
    else:
        others += with_role("administrator")
    title = f"The booking of {booking.client.name} is {booking.closed}"
    yield from (_message(booking, type, [person], title, booking.about, channels=AT_WORK) for person in others)


def reminders(database: Database, now: datetime) -> Iterator[Reminder]:
    """Return the reminders of the assigned sessions: for client and photographer, a day before."""
    with closing(database.connect()) as connection:  # a transaction would wake the outbox, which has called this
        upcoming = Diary(connection).upcoming(now.astimezone(ZONE).replace(tzinfo=None))
    for booking in upcoming:
        content = {
            "type": "session-reminder", "channels": EVERYWHERE,
            "title": f"Reminder: {booking.kind.name} session, {booking.when}", "action_url": f"/bookings/{booking.id}",
            "body": f"{booking.place}. {booking.assigned.name} photographs {booking.client.name}.",
        }  # fmt: skip
        at = (booking.starts_at - timedelta(days=1)).replace(tzinfo=ZONE)
        for person in (booking.client, booking.assigned):
            yield Reminder(f"reminder-{booking.id}-{person.key}", at, {"to": person.key, **content})


def _message(
    booking: Booking, type: str, to: list[Person], title: str, body: str, *, by: Person | None = None,
    at: datetime | None = None, **fields: Any,
) -> Message:  # fmt: skip
    """`at` is the time of a change that a booking may have several times: each of them notifies once."""
    keys = [person.key for person in to]
    return {
        "to": keys, "title": title, "body": body, "type": type, "tenant": TENANT, "action_url": f"/bookings/{booking.id}",
        "channels": EVERYWHERE, "data": {"bookingId": booking.id}, "actor": {"id": by.key, "name": by.name} if by else None,
        "idempotency_key": str(outbox.row_key(f"oriel-{type}-{booking.id}-{','.join(keys)}-{at or booking.made_at:%Y%m%d%H%M%S%f}")),
        **fields,
    }  # fmt: skip
