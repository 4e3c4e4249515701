"""Reminders of accepted work: for client and provider, a day before, in the language of each. The address is only in the e-mail."""

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta

from bellcast.examples.app_kit import Database, Reminder

from .bookings import Bookings
from .identity import ZONE
from .languages import recipient_language


def upcoming(database: Database, now: datetime) -> Iterator[Reminder]:
    """Return the reminders of all work that has been accepted and has not begun."""
    here = now.astimezone(ZONE).replace(tzinfo=None)
    with closing(database.connect()) as connection:  # a transaction would wake the outbox, which has called this
        accepted = [booking for booking in Bookings(connection).accepted(here) if booking.starts_at > here]
        languages = {
            person.key: recipient_language(connection, person.key)
            for booking in accepted
            for person in (booking.client, booking.provider)
        }
    for booking in accepted:
        for person in (booking.client, booking.provider):
            language, at = languages[person.key], booking.starts_at - timedelta(days=1)
            title = language.text("notification.reminder", when=language.date(booking.starts_at))
            service = language.text(f"service.{booking.service.key}.name")
            body = language.text("notification.reminder_body", service=service, name=booking.other(person).name)
            notification = {
                "to": person.key, "title": title, "body": body, "type": "booking_reminder",
                "action_url": f"/bookings/{booking.id}", "group": f"booking:{booking.id}",
                "email": {"text": f"{body}\n\n{booking.address}"}, "channels": ["inbox", "email", "push"],
            }  # fmt: skip
            yield Reminder(f"reminder-{booking.id}-{person.key}", at.replace(tzinfo=ZONE), notification)
