"""Celebrities and their bookings, in the site's database. A change and its notifications are in the same transaction."""

from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from sqlite3 import Connection, Row
from typing import Any

from bellcast.examples.app_kit import Database, Person

from .notifications import NotificationManager

SCHEMA = """
CREATE TABLE IF NOT EXISTS celebrities (
  key TEXT PRIMARY KEY, name TEXT NOT NULL, known_for TEXT NOT NULL, fee INTEGER NOT NULL, available INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS bookings (
  id INTEGER PRIMARY KEY AUTOINCREMENT, client TEXT NOT NULL, celebrity TEXT NOT NULL REFERENCES celebrities (key),
  day TEXT NOT NULL, occasion TEXT NOT NULL, status TEXT NOT NULL DEFAULT 'pending',
  request_id TEXT NOT NULL UNIQUE,  -- of the form: a form that is sent twice is one booking
  has_reminder INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS activity (
  id INTEGER PRIMARY KEY, at TEXT NOT NULL, person TEXT NOT NULL, action TEXT NOT NULL, subject TEXT NOT NULL
);
"""
CELEBRITIES = [
    ("marlowe", "Vera Marlowe", "The Long Matinee", 18_000),
    ("okoro", "Dayo Okoro", "Four gold records", 32_000),
    ("lindgren", "Elsa Lindgren", "Twice around the world, alone", 9_500),
    ("castellano", "Rico Castellano", "Saturday Kitchen Brawl", 12_000),
]
# Each action of an admin: the statuses that allow it, and the resulting status.
ACTIONS = {
    "confirm": (("pending",), "confirmed"),
    "cancel": (("pending", "confirmed"), "cancelled"),
    "complete": (("confirmed",), "completed"),
}
MOST_SHOWN = 10


class NotPossible(Exception):
    """The state of the booking or celebrity does not allow the action. The message is shown to the user."""


@dataclass(frozen=True)
class Celebrity:
    id: str
    name: str
    knownFor: str  # noqa: N815  a field of the JSON that the page reads
    fee: int
    available: bool


@dataclass(frozen=True)
class Booking:
    id: int
    clientId: str  # noqa: N815  a field of the JSON that the page reads
    client: str
    celebrityId: str  # noqa: N815  a field of the JSON that the page reads
    celebrity: str
    date: str
    occasion: str
    fee: int
    status: str
    request_id: str

    def shown(self) -> dict[str, Any]:
        """Return the JSON for pages and events."""
        fields = asdict(self)
        del fields["request_id"]
        return {**fields, "action_url": f"/bookings#booking-{self.id}"}


class Ledger:
    """All celebrities and bookings, and the activity log."""

    def __init__(self, database: Database, people: dict[str, Person]) -> None:
        self._database = database
        self._people = people
        with database.transaction() as connection:
            connection.executemany("INSERT OR IGNORE INTO celebrities VALUES (?, ?, ?, ?, 1)", CELEBRITIES)

    def book(self, client: Person, celebrity: str, day: date, occasion: str, request_id: str) -> Booking:
        if client.role != "client":
            raise NotPossible("Only clients book celebrities.")
        if day < datetime.now(UTC).date():
            raise NotPossible("That day has passed. Please choose another.")
        with self._database.transaction() as connection:
            known = connection.execute("SELECT id FROM bookings WHERE request_id = ?", [request_id]).fetchone()
            if known is not None:
                return self._booking(connection, known["id"])
            chosen = connection.execute("SELECT available FROM celebrities WHERE key = ?", [celebrity]).fetchone()
            if chosen is None or not chosen["available"]:
                raise NotPossible("This celebrity is not available.")
            id = connection.execute(
                "INSERT INTO bookings (client, celebrity, day, occasion, request_id) VALUES (?, ?, ?, ?, ?)",
                [client.key, celebrity, day.isoformat(), occasion, request_id],
            ).lastrowid
            return self._changed(connection, id, client, "requested")

    def act(self, admin: Person, id: int, action: str) -> Booking:
        """Confirm, cancel or complete a booking."""
        if action not in ACTIONS:
            raise NotPossible("Unknown action.")
        allowed, becomes = ACTIONS[action]
        with self._database.transaction() as connection:
            status = self._booking(connection, id).status
            if status not in allowed:
                raise NotPossible(f"This booking is {status}; it cannot become {becomes}.")
            connection.execute("UPDATE bookings SET status = ? WHERE id = ?", [becomes, id])
            return self._changed(connection, id, admin, becomes)

    def set_available(self, admin: Person, key: str, available: bool) -> Celebrity:
        with self._database.transaction() as connection:
            connection.execute("UPDATE celebrities SET available = ? WHERE key = ?", [available, key])
            row = connection.execute("SELECT * FROM celebrities WHERE key = ?", [key]).fetchone()
            if row is None:
                raise NotPossible("Unknown celebrity.")
            celebrity = _celebrity(row)
            _log(connection, admin, "available" if available else "unavailable", celebrity.name)
            NotificationManager(connection).broadcast("celebrity_update", asdict(celebrity), durable=False)
            return celebrity

    def alert(self, admin: Person, message: str, request_id: str) -> None:
        """Notify everyone in the agency and all clients."""
        with self._database.transaction() as connection:
            _log(connection, admin, "alert", message)
            data = {"title": message, "body": f"From {admin.name}", "priority": "high", "level": "warning"}
            NotificationManager(connection).broadcast("system_alert", data, key=f"starlight-alert-{request_id}")

    def celebrities(self) -> list[Celebrity]:
        return [_celebrity(row) for row in self._database.rows("SELECT * FROM celebrities ORDER BY name")]

    def seen_by(self, person: Person) -> list[Booking]:
        """Return the newest bookings: all for an admin, their own for a client."""
        where, params = ("1", []) if person.role == "admin" else ("client = ?", [person.key])
        rows = self._database.rows(
            f"{SELECT} WHERE {where} ORDER BY b.id DESC LIMIT ?",
            *params,
            MOST_SHOWN,
        )
        return [self._read(row) for row in rows]

    def activity(self, limit: int = 50) -> list[Row]:
        """Return the log of actions, newest first."""
        return self._database.rows("SELECT * FROM activity ORDER BY id DESC LIMIT ?", limit)

    def _changed(self, connection: Connection, id: int | None, by: Person, action: str) -> Booking:
        booking = self._booking(connection, id)
        _log(connection, by, action, f"booking {booking.id}: {booking.celebrity}")
        NotificationManager(connection).notify_booking_update(booking, action, by)
        return booking

    def _booking(self, connection: Connection, id: int | None) -> Booking:
        row = connection.execute(f"{SELECT} WHERE b.id = ?", [id]).fetchone()
        if row is None:
            raise NotPossible("Unknown booking.")
        return self._read(row)

    def _read(self, row: Row) -> Booking:
        client = self._people[row["client"]].name
        return Booking(
            row["id"], row["client"], client, row["celebrity"], row["name"], row["day"], row["occasion"], row["fee"],
            row["status"], row["request_id"],
        )  # fmt: skip


SELECT = "SELECT b.*, c.name, c.fee FROM bookings b JOIN celebrities c ON c.key = b.celebrity"


def _celebrity(row: Row) -> Celebrity:
    return Celebrity(row["key"], row["name"], row["known_for"], row["fee"], bool(row["available"]))


def _log(connection: Connection, person: Person, action: str, subject: str) -> None:
    connection.execute(
        "INSERT INTO activity (at, person, action, subject) VALUES (?, ?, ?, ?)",
        [datetime.now(UTC).isoformat(timespec="seconds"), person.name, action, subject],
    )
