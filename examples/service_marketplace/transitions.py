"""Status transitions and payments of a booking, with their permissions. No I/O."""

from dataclasses import dataclass

from .bookings import Booking, Payment, Refused
from .identity import Person

# Test cards, one of which always fails.
CARDS = ("4242", "0002")
PAYABLE = ("accepted", "completed")


@dataclass(frozen=True)
class Move:
    """A status transition."""

    leads_to: str
    allowed: frozenset[tuple[str, str]]


MOVES = {
    "accept": Move("accepted", frozenset({("provider", "requested")})),
    "decline": Move("declined", frozenset({("provider", "requested")})),
    "complete": Move("completed", frozenset({("provider", "accepted")})),
    "cancel": Move(
        "cancelled",
        frozenset({("client", "requested"), ("client", "accepted"), ("provider", "accepted")}),
    ),
}


def possible(booking: Booking, person: Person) -> list[str]:
    """Return the transitions that the person may make now."""
    return [name for name in MOVES if _refusal(booking, name, person) is None]


def make(booking: Booking, name: str, by: Person) -> None:
    if refusal := _refusal(booking, name, by):
        raise Refused(refusal)
    booking.status = MOVES[name].leads_to


def _refusal(booking: Booking, name: str, by: Person) -> str | None:
    """Return the key of the reason for which the person may not make the transition now."""
    if (by.role, booking.status) not in MOVES[name].allowed:
        return "error.move"
    if not booking.has_begun:
        return "error.not_begun" if name == "complete" else None
    if name == "accept":
        return "error.begun"
    is_client_of_work = name == "cancel" and by == booking.client and booking.status == "accepted"
    return "error.under_way" if is_client_of_work else None


def may_pay(booking: Booking, person: Person) -> bool:
    return person == booking.client and booking.status in PAYABLE and not booking.settled


def may_refund(booking: Booking, person: Person) -> bool:
    return person == booking.provider and booking.paid is not None


def pay(booking: Booking, by: Person, card: str) -> Payment:
    """Record a payment attempt. A failed attempt can be repeated."""
    if not may_pay(booking, by):
        raise Refused("error.not_payable")
    if card not in CARDS:
        raise Refused("error.card")
    payment = Payment(booking.service.cents, card, "failed" if card == "0002" else "paid")
    booking.payments.append(payment)
    return payment


def refund(booking: Booking, by: Person) -> Payment:
    if not may_refund(booking, by):
        raise Refused("error.not_refundable")
    return give_back(booking)


def give_back(booking: Booking) -> Payment:
    """Refund the payment to the client."""
    payment = booking.paid
    assert payment is not None, "it was paid"
    payment.status = "refunded"
    return payment
