"""Notifications about bookings and payments. Only this module of the marketplace sends through Bellcast.

| before | now |
|---|---|
| `wsServer.sendToUser(userId, message)` | `send_to_user(bell, user_id, message)` |
| `wsServer.sendBookingUpdate(userId, update)` | `send_booking_update(bell, user_id, update)` |
| `wsServer.sendPaymentUpdate(userId, update)` | `send_payment_update(bell, user_id, update)` |

Each message reaches all open pages of the person immediately and stays in their inbox. Messages contain a summary and a link,
but no address, card number or chat text.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Literal, NotRequired, TypedDict

from bellcast.client import AsyncBellcast, BellcastError, Sent

from .bookings import Booking, Payment
from .people import Person

log = logging.getLogger(__name__)

BookingType = Literal["new_booking", "booking_accepted", "booking_declined", "booking_cancelled", "booking_completed"]
PaymentType = Literal["payment_received", "payment_confirmed", "payment_failed", "payment_refunded"]


class Fact(TypedDict):
    message: str
    timestamp: NotRequired[str]
    bookingId: NotRequired[str]


class General(TypedDict):
    type: Literal["notification"]
    data: Fact


class BookingUpdate(TypedDict):
    type: BookingType
    bookingId: str
    serviceName: str
    message: str


class PaymentUpdate(TypedDict):
    type: PaymentType
    paymentId: str
    amount: str
    message: str
    bookingId: NotRequired[str]


# Types that need the person's attention.
HIGH = frozenset({"new_booking", "payment_failed"})


async def send_to_user(
    bell: AsyncBellcast, user_id: str, message: General, *, by: Person | None = None, once: str | None = None
) -> Sent:
    """Send a general message. Messages with the same `once` key are sent once."""
    fact = message["data"]
    return await _send(bell, user_id, message["type"], {**fact}, None, by, once)


async def send_booking_update(
    bell: AsyncBellcast, user_id: str, update: BookingUpdate, *, by: Person | None = None, once: str | None = None
) -> Sent:
    return await _send(bell, user_id, update["type"], {**update}, update["serviceName"], by, once)


async def send_payment_update(
    bell: AsyncBellcast, user_id: str, update: PaymentUpdate, *, by: Person | None = None, once: str | None = None
) -> Sent:
    return await _send(bell, user_id, update["type"], {**update}, f"€{update['amount']}", by, once)


async def _send(
    bell: AsyncBellcast,
    user_id: str,
    type: str,
    data: dict[str, Any],
    body: str | None,
    by: Person | None,
    once: str | None,
) -> Sent:
    booking = data.get("bookingId")
    return await bell.notify(
        user_id,
        title=data["message"],
        body=body,
        type=type,
        priority="high" if type in HIGH else "normal",
        actor={"id": by.key, "name": by.name} if by else None,
        action_url=f"/bookings/{booking}" if booking else "/bookings",
        group=f"booking:{booking}" if booking else None,
        data={**data, **_touching(booking)},
        idempotency_key=once,
    )


async def notify_booking(bell: AsyncBellcast, booking: Booking, type: BookingType, by: Person) -> None:
    """Notify the other participant of an action by `by`."""
    verb = type.removeprefix("booking_")
    message = f"{by.first_name} {verb} your booking"
    if type == "new_booking":
        message = f"{by.first_name} requested {booking.when}"
    elif type == "booking_cancelled":
        message = f"{by.first_name} cancelled {booking.when}"
    elif type == "booking_completed":
        message = f"{by.first_name} finished the work"
    update: BookingUpdate = {
        "type": type, "bookingId": str(booking.id), "serviceName": booking.service.name, "message": message,
    }  # fmt: skip
    # Each status is reached once, so retries must not notify again.
    once = f"{booking.id}-{booking.made_at.timestamp()}-{type}"
    async with booking.notifying:
        with _or_log(type):
            await send_booking_update(bell, booking.other(by).key, update, by=by, once=once)
    await show_change(bell, booking)


async def notify_payment(bell: AsyncBellcast, booking: Booking, payment: Payment) -> None:
    """Notify the client of the result, and the provider of a successful payment."""
    client, provider = booking.client, booking.provider
    messages: dict[str, list[tuple[Person, PaymentType, str]]] = {
        "failed": [(client, "payment_failed", "Your payment did not go through")],
        "paid": [
            (client, "payment_confirmed", f"You paid {provider.first_name}"),
            (provider, "payment_received", f"{client.first_name} paid you"),
        ],
        "refunded": [(client, "payment_refunded", f"{provider.first_name} refunded your payment")],
    }
    due = messages[payment.status]  # before waiting: a refund may change the status meanwhile
    async with booking.notifying:
        for person, type, message in due:
            update: PaymentUpdate = {
                "type": type, "paymentId": payment.id, "amount": payment.amount, "message": message,
                "bookingId": str(booking.id),
            }  # fmt: skip
            by, once = booking.other(person), f"{payment.id}-{payment.at.timestamp()}-{type}"
            with _or_log(type):
                await send_payment_update(bell, person.key, update, by=by, once=once)
    await show_change(bell, booking)


async def show_change(bell: AsyncBellcast, booking: Booking) -> None:
    """Make open pages reload the booking. A live event suffices: a page opened later shows the current booking anyway."""
    with suppress(BellcastError):
        for person in (booking.client, booking.provider):
            await bell.publish(
                {"recipient": person.key}, "booking-changed", {"bookingId": booking.id, **_touching(str(booking.id))}
            )


@contextmanager
def _or_log(type: str) -> Iterator[None]:
    """Log a failed notification; the action it reports is not undone."""
    try:
        yield
    except BellcastError as error:
        log.warning("notification_failed type=%s error=%s", type, error)


def _touching(booking: str | None) -> dict[str, list[str]]:
    """Return the cache keys that the message invalidates."""
    return {"touches": [f"booking:{booking}"]} if booking else {}
