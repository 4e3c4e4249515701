"""The marketplace's services, bookings and payments, in memory."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count

from .people import CAST, Person


class Refused(Exception):
    """The action is not allowed. The message is shown to the user."""


@dataclass(frozen=True)
class Service:
    """A service of a provider."""

    key: str
    name: str
    provider: Person
    about: str
    hours: int
    cents: int
    icon: str
    rating: str

    @property
    def price(self) -> str:
        return amount(self.cents)


SERVICES = {
    service.key: service
    for service in [
        Service("boiler", "Boiler service", CAST["ben"], "Cleaned, measured, and a certificate for the landlord.", 2, 15000, "flame", "4.9"),
        Service("tap", "Dripping tap", CAST["ben"], "Washers and cartridges replaced.", 1, 6500, "drop", "4.8"),
        Service("cleaning", "House cleaning", CAST["lucia"], "Three hours, supplies included, every corner.", 3, 11000, "spark", "5.0"),
        Service("windows", "Window cleaning", CAST["lucia"], "Inside and out, frames and sills too.", 2, 7500, "window", "4.9"),
        Service("hedges", "Hedges and lawn", CAST["tomasz"], "Cut, trimmed, and the green waste gone.", 3, 9000, "leaf", "4.7"),
        Service("repairs", "Small repairs", CAST["tomasz"], "Shelves, doors that stick, things that wobble.", 2, 8000, "hammer", "4.8"),
    ]
}  # fmt: skip


STATUSES = {
    "requested": "Awaiting reply",
    "accepted": "Accepted",
    "completed": "Done",
    "declined": "Declined",
    "cancelled": "Cancelled",
}
OPEN = ("requested", "accepted")


@dataclass
class Payment:
    """A payment attempt."""

    id: str
    cents: int
    card: str
    status: str
    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def amount(self) -> str:
        return amount(self.cents)


@dataclass
class Booking:
    id: int
    service: Service
    client: Person
    starts_at: datetime
    address: str
    notes: str = ""
    status: str = "requested"
    payments: list[Payment] = field(default_factory=list)
    made_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    # Keeps the notifications about a booking in order.
    notifying: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def provider(self) -> Person:
        return self.service.provider

    @property
    def paid(self) -> Payment | None:
        """The successful payment."""
        return next((payment for payment in self.payments if payment.status == "paid"), None)

    @property
    def settled(self) -> bool:
        """Whether it was paid, even if refunded later."""
        return any(payment.status in ("paid", "refunded") for payment in self.payments)

    @property
    def when(self) -> str:
        return f"{self.starts_at:%A} {self.starts_at.day} {self.starts_at:%B, %H:%M}"

    def concerns(self, person: Person) -> bool:
        return person in (self.client, self.provider)

    def other(self, person: Person) -> Person:
        """Return the other participant."""
        return self.provider if person == self.client else self.client


class Bookings:
    """All bookings."""

    def __init__(self) -> None:
        self._bookings: dict[int, Booking] = {}
        self._ids = count(301)
        for booking in _sample_bookings(self._ids):
            self._bookings[booking.id] = booking

    def of(self, person: Person) -> list[Booking]:
        """Return a person's bookings, newest first."""
        return sorted((each for each in self._bookings.values() if each.concerns(person)), key=lambda each: -each.id)

    def find(self, id: int, person: Person) -> Booking | None:
        """Return a booking if the person may see it."""
        booking = self._bookings.get(id)
        return booking if booking and booking.concerns(person) else None

    def book(self, client: Person, service: Service, starts_at: datetime, address: str, notes: str) -> Booking:
        if client.role != "client":
            raise Refused("Only clients can book.")
        if starts_at < _now_here():
            raise Refused("That time has passed; please choose another.")
        if not address.strip():
            raise Refused("Please enter an address.")
        booking = Booking(next(self._ids), service, client, starts_at, address.strip(), notes.strip())
        self._bookings[booking.id] = booking
        return booking


def amount(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02}"


def _sample_bookings(ids: Iterator[int]) -> Iterator[Booking]:
    """Create past and future bookings for the demo."""
    nora, samir = CAST["nora"], CAST["samir"]
    ago = datetime.now(UTC) - timedelta(days=12)
    done = Booking(next(ids), SERVICES["cleaning"], nora, _at(-10, 9), "Canal Row 18, 2nd floor", "Before the boxes arrive, please.", "completed", made_at=ago)  # fmt: skip
    done.payments.append(Payment("pay-101", done.service.cents, "4242", "paid", ago + timedelta(days=1)))
    yield done
    yield Booking(next(ids), SERVICES["tap"], samir, _at(-3, 16), "Mill Lane 4", "", "declined", made_at=ago)
    yield Booking(
        next(ids), SERVICES["boiler"], samir, _at(4, 10), "Mill Lane 4, ring twice", "The pilot light goes out at night.",
        "accepted", made_at=ago + timedelta(days=8),
    )  # fmt: skip
    yield Booking(next(ids), SERVICES["hedges"], nora, _at(6, 8), "Canal Row 18, garden", "", "accepted", made_at=ago)


def _at(days: int, hour: int) -> datetime:
    return (_now_here() + timedelta(days=days)).replace(hour=hour, minute=0, second=0, microsecond=0)


def _now_here() -> datetime:
    """Return the local time. Work is booked in local time, without a time zone."""
    return datetime.now().astimezone().replace(tzinfo=None)
