"""The marketplace's services, and its bookings and payments in SQLite."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from sqlite3 import Connection, Row
from typing import Any

from .identity import CAST, ZONE, Person


class Refused(Exception):
    """The action is not allowed. The user is shown the text `key` with the values."""

    def __init__(self, key: str, status: int = 422, headers: Mapping[str, str] | None = None, **values: Any) -> None:
        super().__init__(key)
        self.key, self.status, self.headers, self.values = key, status, headers, values


@dataclass(frozen=True)
class Service:
    """A service of a provider. Its name and description are texts in every language."""

    key: str
    provider: Person
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
        Service("boiler", CAST["ben"], 2, 15000, "flame", "4.9"),
        Service("tap", CAST["ben"], 1, 6500, "drop", "4.8"),
        Service("cleaning", CAST["lucia"], 3, 11000, "spark", "5.0"),
        Service("windows", CAST["lucia"], 2, 7500, "window", "4.9"),
        Service("hedges", CAST["tomasz"], 3, 9000, "leaf", "4.7"),
        Service("repairs", CAST["tomasz"], 2, 8000, "hammer", "4.8"),
    ]
}
OPEN = ("requested", "accepted")
MOST_AHEAD = timedelta(days=730)
SCHEMA = """
CREATE TABLE IF NOT EXISTS bookings (
  id INTEGER PRIMARY KEY AUTOINCREMENT, service TEXT NOT NULL, client TEXT NOT NULL, starts_at TEXT NOT NULL,
  address TEXT NOT NULL, notes TEXT NOT NULL, status TEXT NOT NULL, made_at TEXT NOT NULL,
  request_id TEXT UNIQUE  -- person and id of the form: a form that is sent twice is one booking
);
CREATE TABLE IF NOT EXISTS payments (
  number INTEGER PRIMARY KEY AUTOINCREMENT, booking INTEGER NOT NULL REFERENCES bookings (id),
  cents INTEGER NOT NULL, card TEXT NOT NULL, status TEXT NOT NULL, at TEXT NOT NULL
);
"""
FIRST_BOOKING, FIRST_PAYMENT = 301, 101


@dataclass
class Payment:
    """A payment attempt. It has a number once it is saved."""

    cents: int
    card: str
    status: str
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    number: int | None = None

    @property
    def id(self) -> str:
        return f"pay-{self.number}"

    @property
    def amount(self) -> str:
        return amount(self.cents)


@dataclass
class Booking:
    """A booking and its payments. Change it, then `Bookings.save` it in the same transaction."""

    id: int
    service: Service
    client: Person
    starts_at: datetime
    address: str
    notes: str = ""
    status: str = "requested"
    payments: list[Payment] = field(default_factory=list)
    made_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def provider(self) -> Person:
        return self.service.provider

    @property
    def ends_at(self) -> datetime:
        return self.starts_at + timedelta(hours=self.service.hours)

    @property
    def has_begun(self) -> bool:
        return self.starts_at <= now_here()

    @property
    def paid(self) -> Payment | None:
        """The successful payment."""
        return next((payment for payment in self.payments if payment.status == "paid"), None)

    @property
    def settled(self) -> bool:
        """Whether it was paid, even if refunded later."""
        return any(payment.status in ("paid", "refunded") for payment in self.payments)

    def concerns(self, person: Person) -> bool:
        return person in (self.client, self.provider)

    def other(self, person: Person) -> Person:
        """Return the other participant."""
        return self.provider if person == self.client else self.client


class Bookings:
    """All bookings, in a transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def of(self, person: Person) -> list[Booking]:
        """Return a person's bookings, newest first."""
        rows = self._connection.execute("SELECT * FROM bookings ORDER BY id DESC").fetchall()
        return [booking for booking in map(self._read, rows) if booking.concerns(person)]

    def find(self, id: int, person: Person) -> Booking | None:
        """Return a booking if the person may see it."""
        row = self._connection.execute("SELECT * FROM bookings WHERE id = ?", [id]).fetchone()
        booking = self._read(row) if row else None
        return booking if booking and booking.concerns(person) else None

    def requested(self, client: Person, request_id: str) -> Booking | None:
        """Return the booking that this form of the client created."""
        own_id = f"{client.key}/{request_id}"
        row = self._connection.execute("SELECT * FROM bookings WHERE request_id = ?", [own_id]).fetchone()
        return self._read(row) if row else None

    def accepted(self, ending_after: datetime) -> list[Booking]:
        """Return the accepted bookings whose work ends after a local time."""
        rows = self._connection.execute(
            "SELECT * FROM bookings WHERE status = 'accepted' ORDER BY starts_at"
        ).fetchall()
        return [booking for booking in map(self._read, rows) if booking.ends_at > ending_after]

    def expect_free(self, booking: Booking) -> None:
        """Raise Refused if the provider has accepted other work for that time."""
        for other in self.accepted(booking.starts_at):
            if other.id != booking.id and other.provider == booking.provider and other.starts_at < booking.ends_at:
                raise Refused("error.busy", number=other.id)

    def book(
        self, client: Person, service: Service, starts_at: datetime, address: str, notes: str, request_id: str | None
    ) -> Booking:
        if client.role != "client":
            raise Refused("error.not_client")
        if starts_at < now_here():
            raise Refused("error.past")
        if starts_at.date() > now_here().date() + MOST_AHEAD:
            raise Refused("error.ahead")
        if not address.strip():
            raise Refused("error.address")
        own_id = request_id and f"{client.key}/{request_id}"  # another person’s form may have the same id
        return self._insert(Booking(0, service, client, starts_at, address.strip(), notes.strip()), own_id)

    def save(self, booking: Booking) -> None:
        """Write the status and the payments."""
        self._connection.execute("UPDATE bookings SET status = ? WHERE id = ?", [booking.status, booking.id])
        for payment in booking.payments:
            if payment.number is None:
                payment.number = self._connection.execute(
                    "INSERT INTO payments (booking, cents, card, status, at) VALUES (?, ?, ?, ?, ?)",
                    [booking.id, payment.cents, payment.card, payment.status, payment.at.isoformat()],
                ).lastrowid
            else:
                self._connection.execute(
                    "UPDATE payments SET status = ? WHERE number = ?", [payment.status, payment.number]
                )

    def seed(self) -> None:
        """Fill a new database."""
        if self._connection.execute("SELECT 1 FROM bookings").fetchone():
            return
        numbers = {"bookings": FIRST_BOOKING, "payments": FIRST_PAYMENT}
        for table, number in numbers.items():
            self._connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", [table, number - 1])
        for booking in _sample_bookings():
            self._insert(booking, None)

    def _insert(self, booking: Booking, request_id: str | None) -> Booking:
        id = self._connection.execute(
            "INSERT INTO bookings (service, client, starts_at, address, notes, status, made_at, request_id) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                booking.service.key, booking.client.key, booking.starts_at.isoformat(), booking.address, booking.notes,
                booking.status, booking.made_at.isoformat(), request_id,
            ],
        ).lastrowid  # fmt: skip
        assert id is not None
        booking.id = id
        self.save(booking)
        return booking

    def _read(self, row: Row) -> Booking:
        payments = self._connection.execute("SELECT * FROM payments WHERE booking = ? ORDER BY number", [row["id"]])
        return Booking(
            row["id"], SERVICES[row["service"]], CAST[row["client"]], datetime.fromisoformat(row["starts_at"]),
            row["address"], row["notes"], row["status"], [_payment(payment) for payment in payments],
            datetime.fromisoformat(row["made_at"]),
        )  # fmt: skip


def _payment(row: Row) -> Payment:
    return Payment(row["cents"], row["card"], row["status"], datetime.fromisoformat(row["at"]), row["number"])


def amount(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02}"


def _sample_bookings() -> Iterator[Booking]:
    """Create past and future bookings for the demo."""
    nora, samir = CAST["nora"], CAST["samir"]
    ago = datetime.now(UTC) - timedelta(days=12)
    done = Booking(0, SERVICES["cleaning"], nora, _at(-10, 9), "Canal Row 18, 2nd floor", "Before the boxes arrive, please.", "completed", made_at=ago)  # fmt: skip
    done.payments.append(Payment(done.service.cents, "4242", "paid", ago + timedelta(days=1)))
    yield done
    yield Booking(0, SERVICES["tap"], samir, _at(-3, 16), "Mill Lane 4", "", "declined", made_at=ago)
    yield Booking(
        0, SERVICES["boiler"], samir, _at(4, 10), "Mill Lane 4, ring twice", "The pilot light goes out at night.",
        "accepted", made_at=ago + timedelta(days=8),
    )  # fmt: skip
    yield Booking(0, SERVICES["hedges"], nora, _at(6, 8), "Canal Row 18, garden", "", "accepted", made_at=ago)


def _at(days: int, hour: int) -> datetime:
    return (now_here() + timedelta(days=days)).replace(hour=hour, minute=0, second=0, microsecond=0)


def now_here() -> datetime:
    """Return the local time. Work is booked in local time, without a time zone."""
    return datetime.now(ZONE).replace(tzinfo=None)
