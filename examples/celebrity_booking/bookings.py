"""Celebrities and their bookings, in the site's database. A change and its notifications are in the same transaction."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from sqlite3 import Connection, Row
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from bellcast.examples.app_kit import MAX_ID, Database, Person

from .identity import TIMEZONE
from .notifications import NotificationManager

SCHEMA = """
CREATE TABLE IF NOT EXISTS celebrities (
  key TEXT PRIMARY KEY, name TEXT NOT NULL, known_for TEXT NOT NULL, fee INTEGER NOT NULL, available INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS bookings (
  id INTEGER PRIMARY KEY AUTOINCREMENT, client TEXT NOT NULL, celebrity TEXT NOT NULL REFERENCES celebrities (key),
  day TEXT NOT NULL, occasion TEXT NOT NULL, status TEXT NOT NULL DEFAULT 'pending',
  request_id TEXT NOT NULL UNIQUE  -- person and id of the form: a form that is sent twice is one booking
);
CREATE INDEX IF NOT EXISTS bookings_by_day ON bookings (status, day);
CREATE TABLE IF NOT EXISTS activity (
  id INTEGER PRIMARY KEY, at TEXT NOT NULL, person TEXT NOT NULL, action TEXT NOT NULL, subject TEXT NOT NULL
);
"""
ADDED = {
    "bookings.time": "TEXT NOT NULL DEFAULT ''",
    "bookings.place": "TEXT NOT NULL DEFAULT ''",
    "activity.request_id": "TEXT",  # of an alert: a form that is sent twice is one alert
}
CELEBRITIES = [
    ("marlowe", "Vera Marlowe", "The Long Matinee", 18_000),
    ("okoro", "Dayo Okoro", "Four gold records", 32_000),
    ("lindgren", "Elsa Lindgren", "Twice around the world, alone", 9_500),
    ("castellano", "Rico Castellano", "Saturday Kitchen Brawl", 12_000),
]


class Action(NamedTuple):
    """A change of status: the roles and statuses that allow it, and the resulting status."""

    roles: tuple[str, ...]
    allowed: tuple[str, ...]
    becomes: str


ACTIONS = {
    "confirm": Action(("admin",), ("pending",), "confirmed"),
    "decline": Action(("admin",), ("pending",), "declined"),
    "complete": Action(("admin",), ("confirmed",), "completed"),
    "cancel": Action(("admin", "client"), ("pending", "confirmed"), "cancelled"),
}
# Actions until it begins. A request that is too late is declined, and a confirmed booking is completed.
BEFOREHAND = ("confirm", "cancel")
# Rows of the event `dashboard_data`, and of a page of the list.
MOST_STREAMED, MOST_SHOWN = 10, 20
MOST_AHEAD = timedelta(days=730)


class NotPossible(Exception):
    """The booking or celebrity does not allow the action, or is unknown. The message is shown to the user."""

    def __init__(self, detail: str, status_code: int = 409) -> None:
        super().__init__(detail)
        self.detail, self.status_code = detail, status_code


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
    time: str
    place: str
    occasion: str
    fee: int
    status: str
    request_id: str

    @property
    def when(self) -> str:
        day = date.fromisoformat(self.date)
        return f"{day:%A}, {day.day} {day:%B %Y}" + (f", {self.time}" if self.time else "")

    @property
    def begins_at(self) -> datetime:
        return _begins_at(self.date, self.time)

    def shown(self, role: str) -> dict[str, Any]:
        """Return the JSON for pages and events, with the actions that a person of the role may take now."""
        fields = asdict(self)
        del fields["request_id"]
        actions = [name for name in ACTIONS if _refusal(self, name, role) is None]
        return {**fields, "action_url": f"/bookings#booking-{self.id}", "actions": actions}


class Ledger:
    """All celebrities and bookings, and the activity log."""

    def __init__(self, database: Database, people: dict[str, Person]) -> None:
        self._database = database
        self._people = people
        with database.transaction() as connection:
            connection.executemany("INSERT OR IGNORE INTO celebrities VALUES (?, ?, ?, ?, 1)", CELEBRITIES)

    def book(
        self,
        client: Person,
        celebrity: str,
        day: date,
        occasion: str,
        request_id: str,
        *,
        time: str = "",
        place: str = "",
    ) -> Booking:
        if client.role != "client":
            raise NotPossible("Only clients book celebrities.", 403)
        if _begins_at(day.isoformat(), time) < now():
            raise NotPossible("That time has passed. Please choose another.")
        if day > today() + MOST_AHEAD:
            raise NotPossible("Please choose a day within the next two years.")
        own_id = f"{client.key}/{request_id}"  # another person’s form with the same id is another booking
        with self._database.transaction() as connection:
            known = connection.execute("SELECT id FROM bookings WHERE request_id = ?", [own_id]).fetchone()
            if known is not None:
                return self._booking(connection, known["id"])
            _expect_free(connection, celebrity, day.isoformat())
            id = connection.execute(
                "INSERT INTO bookings (client, celebrity, day, time, place, occasion, request_id) VALUES (?, ?, ?, ?, ?, ?, ?)",
                [client.key, celebrity, day.isoformat(), time, place, occasion, own_id],
            ).lastrowid
            return self._changed(connection, id, client, "requested")

    def act(self, person: Person, id: int, action: str) -> Booking:
        """Confirm, decline, complete or cancel a booking. A repeated action changes nothing."""
        if action not in ACTIONS:
            raise NotPossible(f"action must be one of: {', '.join(ACTIONS)}.", 422)
        roles, _, becomes = ACTIONS[action]
        with self._database.transaction() as connection:
            booking = self._booking(connection, id, person)
            if booking.status == becomes and person.role in roles:
                return booking
            if refusal := _refusal(booking, action, person.role):
                raise refusal
            if action == "confirm":
                _expect_free(connection, booking.celebrityId, booking.date)
            connection.execute("UPDATE bookings SET status = ? WHERE id = ?", [becomes, id])
            return self._changed(connection, id, person, becomes)

    def set_available(self, admin: Person, key: str, available: bool) -> Celebrity:
        with self._database.transaction() as connection:
            connection.execute("UPDATE celebrities SET available = ? WHERE key = ?", [available, key])
            row = connection.execute("SELECT * FROM celebrities WHERE key = ?", [key]).fetchone()
            if row is None:
                raise NotPossible("Unknown celebrity.", 404)
            celebrity = _celebrity(row)
            _log(connection, admin, "available" if available else "unavailable", celebrity.name)
            NotificationManager(connection).broadcast("celebrity_update", asdict(celebrity), durable=False)
            return celebrity

    def alert(self, admin: Person, message: str, request_id: str, *, to_clients: bool) -> None:
        """Notify everyone in the agency, and all clients. A repeated request changes nothing."""
        own_id = f"{admin.key}/{request_id}"
        with self._database.transaction() as connection:
            if connection.execute("SELECT 1 FROM activity WHERE request_id = ?", [own_id]).fetchone():
                return
            _log(connection, admin, "alert" if to_clients else "agency alert", message, own_id)
            data = {"title": message, "body": f"From {admin.name}", "priority": "high", "level": "warning"}
            manager = NotificationManager(connection)
            send = manager.broadcast if to_clients else manager.notify_admins
            send("system_alert", data, key=f"starlight-alert-{own_id}")

    def celebrities(self) -> list[Celebrity]:
        return [_celebrity(row) for row in self._database.rows("SELECT * FROM celebrities ORDER BY name")]

    def seen_by(self, person: Person, limit: int, before: int | None = None) -> list[Booking]:
        """Return bookings, newest first: all for an admin, their own for a client. `before` is the last id of a page."""
        where, params = _visible(person)
        rows = self._database.rows(
            f"{SELECT} WHERE {where} AND b.id < ? ORDER BY b.id DESC LIMIT ?", *params, before or MAX_ID, limit
        )
        return [self._read(row) for row in rows]

    def find(self, person: Person, id: int) -> Booking:
        with self._database.transaction() as connection:
            return self._booking(connection, id, person)

    def figures(self, person: Person) -> dict[str, int]:
        """Return the number of bookings by status."""
        where, params = _visible(person)
        rows = self._database.rows(f"SELECT status, count(*) FROM bookings b WHERE {where} GROUP BY status", *params)
        return dict(tuple(row) for row in rows)

    def confirmed(self, first: date) -> Iterator[Booking]:
        """Return the confirmed bookings from a day on."""
        rows = self._database.rows(f"{SELECT} WHERE status = 'confirmed' AND day >= ? ORDER BY day", first.isoformat())
        return map(self._read, rows)

    def activity(self, limit: int = 50) -> list[Row]:
        """Return the log of actions, newest first."""
        return self._database.rows("SELECT * FROM activity ORDER BY id DESC LIMIT ?", limit)

    def _changed(self, connection: Connection, id: int | None, by: Person, action: str) -> Booking:
        booking = self._booking(connection, id)
        _log(connection, by, action, f"booking {booking.id}: {booking.celebrity}")
        NotificationManager(connection).notify_booking_update(booking, action, by)
        return booking

    def _booking(self, connection: Connection, id: int | None, person: Person | None = None) -> Booking:
        """Return a booking, if the person may see it."""
        where, params = _visible(person) if person else ("1", [])
        row = connection.execute(f"{SELECT} WHERE b.id = ? AND {where}", [id, *params]).fetchone()
        if row is None:
            raise NotPossible("Unknown booking.", 404)
        return self._read(row)

    def _read(self, row: Row) -> Booking:
        client = self._people[row["client"]].name
        return Booking(
            row["id"], row["client"], client, row["celebrity"], row["name"], row["day"], row["time"], row["place"],
            row["occasion"], row["fee"], row["status"], row["request_id"],
        )  # fmt: skip


SELECT = "SELECT b.*, c.name, c.fee FROM bookings b JOIN celebrities c ON c.key = b.celebrity"


def now() -> datetime:
    """Return the agency's local time."""
    return datetime.now(ZoneInfo(TIMEZONE))


def today() -> date:
    return now().date()


def _begins_at(day: str, clock: str) -> datetime:
    """Return the beginning of a booking; without a time, the end of the day."""
    return datetime.fromisoformat(f"{day}T{clock or '23:59'}").replace(tzinfo=ZoneInfo(TIMEZONE))


def _refusal(booking: Booking, action: str, role: str) -> NotPossible | None:
    """Return the reason for which a person of the role may not take the action now."""
    roles, allowed, becomes = ACTIONS[action]
    if role not in roles:
        return NotPossible("Only the agency is allowed to do this.", 403)
    if booking.status not in allowed:
        return NotPossible(f"This booking is {booking.status}; it cannot become {becomes}.")
    if action == "complete" and booking.begins_at > now():
        return NotPossible(f"This booking is on {booking.when}; complete it afterwards.")
    if action in BEFOREHAND and booking.begins_at < now():
        return NotPossible(f"This booking was on {booking.when}; it cannot become {becomes} afterwards.")
    return None


def _visible(person: Person) -> tuple[str, list[str]]:
    """Return the SQL condition of the bookings that a person may see, and its parameters."""
    return ("1", []) if person.role == "admin" else ("b.client = ?", [person.key])


def _expect_free(connection: Connection, celebrity: str, day: str) -> None:
    """Refuse an unavailable celebrity, and a second booking on a day."""
    row = connection.execute("SELECT name, available FROM celebrities WHERE key = ?", [celebrity]).fetchone()
    if row is None:
        raise NotPossible("Unknown celebrity.", 404)
    if not row["available"]:
        raise NotPossible("This celebrity is not available.")
    taken = "SELECT 1 FROM bookings WHERE celebrity = ? AND day = ? AND status IN ('confirmed', 'completed')"
    if connection.execute(taken, [celebrity, day]).fetchone():
        raise NotPossible(f"{row['name']} is already booked on that day.")


def _celebrity(row: Row) -> Celebrity:
    return Celebrity(row["key"], row["name"], row["known_for"], row["fee"], bool(row["available"]))


def _log(connection: Connection, person: Person, action: str, subject: str, request_id: str | None = None) -> None:
    connection.execute(
        "INSERT INTO activity (at, person, action, subject, request_id) VALUES (?, ?, ?, ?, ?)",
        [datetime.now(UTC).isoformat(timespec="seconds"), person.name, action, subject, request_id],
    )
