"""The definitions in Bellcast: recipients, e-mail templates, a workflow and its schedule with the figures of the day, reminders."""

from collections.abc import Iterator
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from bellcast.client import Bellcast
from bellcast.examples.app_kit import Accounts, Reminder

from .bookings import Ledger, today
from .identity import ADMINS, TENANT, TIMEZONE

# Weekdays, before the agency opens.
DAY_PLAN_CRON, DAY_PLAN_TIMES = "0 8 * * 1-5", "Weekdays at 08:00"
# The e-mail of a change of status: its subject, and its first paragraph.
TEMPLATES = {
    "confirmed": ("{} is confirmed", "Good news: your booking is confirmed. We’ll remind you the day before."),
    "declined": ("{} is not available", "We’re sorry: we can’t accept this request. You pay nothing; perhaps another day suits?"),
    "withdrawn": ("You cancelled {}", "As you requested, we cancelled this booking. You pay nothing."),
    "cancelled": ("Your booking of {} was cancelled", "We’re sorry: we had to cancel this booking. You pay nothing."),
    "completed": ("Thank you for booking {}", "We hope that your guests enjoyed the evening. The invoice follows in a separate e-mail."),
}  # fmt: skip
GREETING = "<p>Hello {{ recipient.name }},</p>"
DETAILS = (
    "<p><b>{{ data.booking.celebrity }}</b><br>{{ data.booking.date | date }}"
    "{{ ', ' + data.booking.time if data.booking.time else '' }}{{ ', ' + data.booking.place if data.booking.place else '' }}"
    "<br>{{ data.booking.occasion }}<br>Fee: {{ data.booking.fee | money('EUR') }}</p>"
)
# Triggered by the schedule, with the figures of the day as its data. The admins get it in their inbox, and by e-mail if they
# have not seen it after an hour.
FIGURES = (
    "{{ data.pending }} {{ 'request waits' if data.pending == 1 else 'requests wait' }} for an answer. "
    "{{ data.day | date('full') }}: {{ data.bookings | join('; ') if data.bookings else 'no bookings' }}."
)
DAY_PLAN: dict[str, Any] = {
    "type": "day_plan",
    "steps": [
        {"key": "bell", "type": "inbox", "title": "Good morning, {{ recipient.name }}", "action_url": "/bookings", "body": FIGURES},
        {"key": "seen", "type": "wait_for", "event": "seen", "step": "bell", "timeout": "1h", "on_match": "stop"},
        {"key": "mail", "type": "email", "subject": "The agency’s day", "text": FIGURES},
    ],
}  # fmt: skip


def configure(accounts: Accounts, bell: Bellcast) -> None:
    """Write the tenant's recipients and definitions. Repeated calls change nothing."""
    accounts.configure(bell)
    for key, (subject, text) in TEMPLATES.items():
        email = {"subject": subject.format("{{ data.booking.celebrity }}"), "html": f"{GREETING}<p>{text}</p>{DETAILS}"}
        bell.templates.put(f"booking-{key}", {"email": email}, tenant=TENANT)
    bell.workflows.put("day-plan", DAY_PLAN, tenant=TENANT)


def reminders(ledger: Ledger, now: datetime) -> Iterator[Reminder]:
    """Return the reminders of the confirmed bookings: for the client and the agency, at 10:00 on the day before."""
    for booking in ledger.confirmed(now.astimezone(ZoneInfo(TIMEZONE)).date()):
        if booking.begins_at > now:
            notification = {
                "to": [booking.clientId, *(admin.key for admin in ADMINS)], "title": f"Reminder: {booking.celebrity}, {booking.when}",
                "body": ". ".join(filter(None, [booking.place, booking.occasion, f"For {booking.client}"])),
                "type": "booking_reminder", "channels": ["inbox", "email"],
                "action_url": f"/bookings#booking-{booking.id}", "group": f"booking-{booking.id}",
            }  # fmt: skip
            at = datetime.combine(booking.begins_at.date() - timedelta(days=1), time(10), ZoneInfo(TIMEZONE))
            yield Reminder(f"reminder-{booking.id}", at, notification)


class DayPlan:
    """Keeps the figures of the daily workflow up to date, in the data of its schedule."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._written: dict[str, Any] = {}

    def reconcile(self, bell: Bellcast) -> None:
        # Named in the text: if the site does not run overnight, the figures are those of a day before.
        day = today().isoformat()
        confirmed = [
            f"{one.celebrity}, {one.time or 'no time yet'}, {one.place or 'no place yet'}"
            for one in self._ledger.confirmed(today())
            if one.date == day
        ]
        pending = self._ledger.figures(ADMINS[0]).get("pending", 0)
        schedule = {
            "cron": DAY_PLAN_CRON, "timezone": TIMEZONE, "workflow": "day-plan", "to": {"role": "admin"},
            "data": {"pending": pending, "day": day, "bookings": confirmed},
        }  # fmt: skip
        if schedule != self._written:
            bell.schedules.put("day-plan", schedule, tenant=TENANT)
            self._written = schedule
