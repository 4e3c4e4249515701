"""Notifications about bookings and payments. They go into the outbox, in the transaction of the change.

Each message reaches all open pages of the person immediately and stays in their inbox. Messages contain a summary and a link,
but no address, card number or chat text. They are written in the language of their recipient.
"""

from collections.abc import Mapping
from sqlite3 import Connection
from typing import Any

from bellcast.contrib import dbapi

from .bookings import Booking, Payment
from .identity import TENANT, Person
from .languages import recipient_language

# Types that need the person's attention, and those that are sent by e-mail, too. E-mails and push messages follow the
# recipient's preferences and quiet hours.
HIGH = frozenset({"new_booking", "payment_failed"})
BY_EMAIL = frozenset({"new_booking", "booking_accepted", "booking_declined", "booking_cancelled"})
# With the fields of the former WebSocket server, such as `bookingId`.
Message = Mapping[str, Any]


def send_to_user(connection: Connection, user_id: str, message: Message, **sending: Any) -> None:
    _send(connection, user_id, message["type"], message["data"], None, **sending)


def send_booking_update(connection: Connection, user_id: str, update: Message, **sending: Any) -> None:
    _send(connection, user_id, update["type"], update, update["serviceName"], **sending)


def send_payment_update(connection: Connection, user_id: str, update: Message, **sending: Any) -> None:
    amount = recipient_language(connection, user_id).money(update["amount"])
    _send(connection, user_id, update["type"], update, amount, **sending)


def _send(
    connection: Connection, user_id: str, type: str, data: Message, body: str | None,
    by: Person | None = None, once: str | None = None,
) -> None:  # fmt: skip
    """`by` is the person who acted. Messages with the same key `once` are sent once."""
    booking = data.get("bookingId")
    dbapi.notify(
        connection,
        user_id,
        tenant=TENANT,
        title=data["message"],
        body=body,
        type=type,
        priority="high" if type in HIGH else "normal",
        actor={"id": by.key, "name": by.name} if by else None,
        action_url=f"/bookings/{booking}" if booking else "/bookings",
        group=f"booking:{booking}" if booking else None,
        data={**data},
        channels=["inbox", "email", "push"] if type in BY_EMAIL else ["inbox", "push"],
        idempotency_key=once,
    )


def notify_booking(connection: Connection, booking: Booking, type: str, by: Person) -> None:
    """Notify the other participant of an action by `by`."""
    recipient = booking.other(by)
    language = recipient_language(connection, recipient.key)
    update = {
        "type": type,
        "bookingId": str(booking.id),
        "serviceName": language.text(f"service.{booking.service.key}.name"),
        "message": language.text(f"notification.{type}", name=by.first_name, when=language.date(booking.starts_at)),
    }
    # Each status is reached once, so a repeated request must not notify again.
    once = f"gable-{booking.id}-{booking.made_at.timestamp()}-{type}"
    send_booking_update(connection, recipient.key, update, by=by, once=once)
    show_change(connection, booking)


def notify_payment(connection: Connection, booking: Booking, payment: Payment, by: Person) -> None:
    """Notify the client of the result, and the provider of a successful payment."""
    client, provider = booking.client, booking.provider
    types = {
        "failed": [(client, "payment_failed")],
        "paid": [(client, "payment_confirmed"), (provider, "payment_received")],
        "refunded": [(client, "payment_refunded")],
    }
    for person, type in types[payment.status]:
        # A client who cancels a paid booking gets the money back without an action of the provider.
        text = "payment_returned" if type == "payment_refunded" and by == client else type
        update = {
            "type": type,
            "paymentId": payment.id,
            "amount": payment.amount,
            "message": recipient_language(connection, person.key).text(
                f"notification.{text}", name=booking.other(person).first_name
            ),
            "bookingId": str(booking.id),
        }
        once = f"gable-{payment.id}-{payment.at.timestamp()}-{type}"
        send_payment_update(connection, person.key, update, by=None if person == by else by, once=once)
    show_change(connection, booking)


def show_change(connection: Connection, booking: Booking) -> None:
    """Make open pages reload the booking. A live event suffices: a page opened later shows the current booking anyway."""
    for person in (booking.client, booking.provider):
        dbapi.publish(
            connection, None, "booking-changed", {"bookingId": booking.id}, recipient=person.key, tenant=TENANT
        )
