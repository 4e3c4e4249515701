"""Notifications about bookings and payments. They go into the outbox, in the transaction of the change.

Each message reaches all open pages of the person immediately and stays in their inbox. Messages contain a summary and a link,
but no address, card number or chat text. They are written in the language of their recipient.
"""

from sqlite3 import Connection
from typing import Any, TypedDict, Unpack

from bellcast.client import Bellcast
from bellcast.contrib import dbapi

from .bookings import Booking, Payment
from .identity import CAST, TENANT, Person
from .languages import ENGLISH, recipient_language
from .messages import BookingType, BookingUpdate, General, PaymentType, PaymentUpdate

# Types that need the person's attention, and those that are sent by e-mail, too. E-mails and push messages follow the
# recipient's preferences and quiet hours.
HIGH = frozenset({"new_booking", "payment_failed"})
BY_EMAIL = frozenset({"new_booking", "booking_accepted", "booking_declined", "booking_cancelled"})


def configure(bell: Bellcast) -> None:
    """Write the tenant's recipients, so that Bellcast knows users before their first sign-in."""
    for person in CAST.values():
        bell.recipients.put(
            person.key, tenant=TENANT, name=person.name, email=person.email, roles=[person.role], locale=ENGLISH.code
        )


class Sending(TypedDict, total=False):
    """The person who acted, and a key: messages with the same key are sent once."""

    by: Person
    once: str


def send_to_user(connection: Connection, user_id: str, message: General, **sending: Unpack[Sending]) -> None:
    _send(connection, user_id, message["type"], {**message["data"]}, None, **sending)


def send_booking_update(
    connection: Connection, user_id: str, update: BookingUpdate, **sending: Unpack[Sending]
) -> None:
    _send(connection, user_id, update["type"], {**update}, update["serviceName"], **sending)


def send_payment_update(
    connection: Connection, user_id: str, update: PaymentUpdate, **sending: Unpack[Sending]
) -> None:
    amount = recipient_language(connection, user_id).money(update["amount"])
    _send(connection, user_id, update["type"], {**update}, amount, **sending)


def _send(
    connection: Connection, user_id: str, type: str, data: dict[str, Any], body: str | None, **sending: Unpack[Sending]
) -> None:
    booking, by = data.get("bookingId"), sending.get("by")
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
        data={**data, **_touching(booking)},
        channels=["inbox", "email", "push"] if type in BY_EMAIL else ["inbox", "push"],
        idempotency_key=sending.get("once"),
    )


def notify_booking(connection: Connection, booking: Booking, type: BookingType, by: Person) -> None:
    """Notify the other participant of an action by `by`."""
    recipient = booking.other(by)
    language = recipient_language(connection, recipient.key)
    update: BookingUpdate = {
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
    # A client who cancels a paid booking gets the money back without an action of the provider.
    refunded = "payment_refunded" if by == provider else "payment_returned"
    messages: dict[str, list[tuple[Person, PaymentType, str]]] = {
        "failed": [(client, "payment_failed", "payment_failed")],
        "paid": [
            (client, "payment_confirmed", "payment_confirmed"),
            (provider, "payment_received", "payment_received"),
        ],
        "refunded": [(client, "payment_refunded", refunded)],
    }
    for person, type, text in messages[payment.status]:
        message = recipient_language(connection, person.key).text(
            f"notification.{text}", name=booking.other(person).first_name
        )
        update: PaymentUpdate = {
            "type": type, "paymentId": payment.id, "amount": payment.amount, "message": message,
            "bookingId": str(booking.id),
        }  # fmt: skip
        once = f"gable-{payment.id}-{payment.at.timestamp()}-{type}"
        send_payment_update(connection, person.key, update, by=booking.other(person), once=once)
    show_change(connection, booking)


def show_change(connection: Connection, booking: Booking) -> None:
    """Make open pages reload the booking. A live event suffices: a page opened later shows the current booking anyway."""
    data = {"bookingId": booking.id, **_touching(str(booking.id))}
    for person in (booking.client, booking.provider):
        dbapi.publish(connection, None, "booking-changed", data, recipient=person.key, tenant=TENANT)


def _touching(booking: str | None) -> dict[str, list[str]]:
    """Return the cache keys that the message invalidates."""
    return {"touches": [f"booking:{booking}"]} if booking else {}
