"""The definitions in Bellcast: recipients, e-mail templates, a workflow and its schedule."""

from datetime import UTC, datetime, time, timedelta
from typing import Any

from bellcast.client import Bellcast, RequestRefused
from bellcast.examples.app_kit import Database

from .identity import CAST, TENANT

TIMEZONE = "Europe/Vienna"
# Weekdays, before the agency opens.
DAY_PLAN_CRON = "0 8 * * 1-5"
# Bellcast schedules at most 366 days ahead.
MOST_AHEAD = timedelta(days=360)
GREETING = "<p>Hello {{ recipient.name }},</p>"
DETAILS = (
    "<p><b>{{ data.booking.celebrity }}</b><br>{{ data.booking.date | date }}<br>{{ data.booking.occasion }}<br>"
    "Fee: {{ data.booking.fee | money('EUR') }}</p>"
)
TEMPLATES = {
    "booking-confirmed": (
        "{{ data.booking.celebrity }} is confirmed",
        "<p>Good news: your booking is confirmed.</p>" + DETAILS + "<p>We’ll remind you the day before.</p>",
    ),
    "booking-cancelled": (
        "Your booking of {{ data.booking.celebrity }} was cancelled",
        "<p>We’re sorry: we had to cancel this booking. You pay nothing.</p>" + DETAILS,
    ),
    "booking-completed": (
        "Thank you for booking {{ data.booking.celebrity }}",
        "<p>We hope that your guests enjoyed the evening. The invoice follows in a separate e-mail.</p>" + DETAILS,
    ),
}
# Triggered by the schedule. The admins get it in their inbox, and by e-mail if they have not seen it after an hour.
DAY_PLAN: dict[str, Any] = {
    "type": "day_plan",
    "steps": [
        {"key": "bell", "type": "inbox", "title": "Good morning, {{ recipient.name }}", "action_url": "/bookings",
         "body": "Please review the pending requests and confirm today’s bookings."},
        {"key": "seen", "type": "wait_for", "event": "seen", "step": "bell", "timeout": "1h", "on_match": "stop"},
        {"key": "mail", "type": "email", "subject": "The agency’s day", "text": "Pending requests are waiting for you."},
    ],
}  # fmt: skip


def configure(bell: Bellcast) -> None:
    """Write the tenant's recipients and definitions. Repeated calls change nothing."""
    for person in CAST:
        bell.recipients.put(
            person.key, tenant=TENANT, name=person.name, email=person.email, roles=[person.role], locale="en"
        )
    for key, (subject, html) in TEMPLATES.items():
        bell.templates.put(key, {"email": {"subject": subject, "html": GREETING + html}}, tenant=TENANT)
    bell.workflows.put("day-plan", DAY_PLAN, tenant=TENANT)
    schedule = {"cron": DAY_PLAN_CRON, "timezone": TIMEZONE, "workflow": "day-plan", "to": {"role": "admin"}}
    bell.schedules.put("day-plan", schedule, tenant=TENANT)


class Reminders:
    """Schedules a reminder for each confirmed booking, and removes those of cancelled ones."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def reconcile(self, bell: Bellcast) -> None:
        # Later days get their reminder in a later run.
        latest = (datetime.now(UTC) + MOST_AHEAD).date().isoformat()
        for row in self._database.rows(
            "SELECT b.*, c.name, b.status = 'confirmed' AND b.day <= ? AS is_due FROM bookings b "
            "JOIN celebrities c ON c.key = b.celebrity WHERE has_reminder <> is_due",
            latest,
        ):
            key = f"reminder-{row['id']}"
            if row["is_due"]:
                self._schedule(bell, key, row["client"], f"Tomorrow: {row['name']}", row["occasion"], row["day"])
            else:
                self._remove(bell, key)
            with self._database.transaction() as connection:
                connection.execute("UPDATE bookings SET has_reminder = ? WHERE id = ?", [row["is_due"], row["id"]])

    def _schedule(self, bell: Bellcast, key: str, client: str, title: str, body: str, day: str) -> None:
        at = datetime.combine(datetime.fromisoformat(day), time(10)) - timedelta(days=1)
        if at <= datetime.now(UTC).replace(tzinfo=None):
            return
        notification = {
            "to": client, "title": title, "body": body, "type": "booking_reminder",
            "action_url": f"/bookings#booking-{key.removeprefix('reminder-')}", "channels": ["inbox", "email"],
        }  # fmt: skip
        schedule = {"at": at.isoformat(), "timezone": TIMEZONE, "notification": notification}
        bell.schedules.put(key, schedule, tenant=TENANT)

    def _remove(self, bell: Bellcast, key: str) -> None:
        try:
            bell.schedules.delete(key, tenant=TENANT)
        except RequestRefused as refusal:
            if refusal.status != 404:
                raise
