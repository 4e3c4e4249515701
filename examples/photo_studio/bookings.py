"""The studio's bookings and galleries, in SQLite."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from sqlite3 import Connection, Row

from .identity import CAST, ZONE, Person

MOST_PHOTOS = 60
# A phone's photograph has 3 to 6 MB. The pictures are in the database, so the limits are low.
MOST_BYTES = 8 * 1024 * 1024
MOST_FILES = 12
FIRST_BOOKING = 1041
MOST_AHEAD = timedelta(days=730)
CLOSED_BY = {"client": "cancelled", "administrator": "declined"}
SCHEMA = """
CREATE TABLE IF NOT EXISTS bookings (
  id INTEGER PRIMARY KEY AUTOINCREMENT, client TEXT NOT NULL, kind TEXT NOT NULL, starts_at TEXT NOT NULL,
  place TEXT NOT NULL, notes TEXT NOT NULL, made_at TEXT NOT NULL, photographer TEXT, assigned_at TEXT,
  title TEXT, photos INTEGER, finished_at TEXT,
  request_id TEXT UNIQUE  -- person and id of the form: a form that is sent twice is one booking
);
CREATE TABLE IF NOT EXISTS pictures (
  booking INTEGER NOT NULL REFERENCES bookings (id), number INTEGER NOT NULL, content BLOB NOT NULL,
  media_type TEXT NOT NULL, PRIMARY KEY (booking, number)
);
"""

# Columns of later versions: why a booking ended without photographs, and the ids of the forms that delivered them.
ADDED = {"bookings.closed": "TEXT", "bookings.work_request_id": "TEXT", "pictures.request_id": "TEXT"}


class Refused(Exception):
    """The action is not allowed. The message is shown to the user."""


@dataclass(frozen=True)
class Kind:
    """A kind of session the studio sells."""

    key: str
    name: str
    about: str
    hours: int
    price: int


KINDS = {
    kind.key: kind
    for kind in [
        Kind("portrait", "Portrait", "One person, one hour, good light.", 1, 180),
        Kind("family", "Family", "At home or outdoors, no sitting still required.", 2, 320),
        Kind("wedding", "Wedding", "From getting ready to the last dance.", 8, 2400),
        Kind("product", "Product", "For shops, menus and makers.", 3, 540),
    ]
}


@dataclass(frozen=True)
class Photo:
    """An uploaded picture."""

    content: bytes
    media_type: str


@dataclass
class Work:
    """A finished gallery."""

    title: str
    photos: int
    finished_at: datetime
    request_id: str | None = None


@dataclass
class Booking:
    id: int
    client: Person
    kind: Kind
    starts_at: datetime
    place: str
    notes: str = ""
    made_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    photographer: Person | None = None
    assigned_at: datetime | None = None
    uploads: int = 0
    work: Work | None = None
    closed: str | None = None  # "cancelled" by the client, or "declined" by the front desk

    @property
    def status(self) -> str:
        if self.work or self.closed:
            return self.closed or "finished"
        return "assigned" if self.photographer else "requested"

    @property
    def ends_at(self) -> datetime:
        return self.starts_at + timedelta(hours=self.kind.hours)

    @property
    def has_begun(self) -> bool:
        return self.starts_at <= now_here()

    @property
    def when(self) -> str:
        return f"{self.starts_at:%A} {self.starts_at.day} {self.starts_at:%B, %H:%M}"

    @property
    def about(self) -> str:
        return f"{self.kind.name}, {self.when}, {self.place}"

    @property
    def assigned(self) -> Person:
        """The photographer of a booking that has one."""
        assert self.photographer, "the booking is assigned"
        return self.photographer

    def concerns(self, person: Person) -> bool:
        return person.role == "administrator" or person in (self.client, self.photographer)


class Diary:
    """All bookings of the studio, in a transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def of(self, person: Person) -> list[Booking]:
        """Return the bookings that a person may see, earliest session first."""
        rows = self._connection.execute(f"{SELECT} ORDER BY starts_at").fetchall()
        return [booking for booking in map(_booking, rows) if booking.concerns(person)]

    def find(self, id: int, person: Person) -> Booking | None:
        """Return a booking if the person may see it."""
        row = self._connection.execute(f"{SELECT} WHERE id = ?", [id]).fetchone()
        booking = _booking(row) if row else None
        return booking if booking and booking.concerns(person) else None

    def requested(self, client: Person, request_id: str) -> Booking | None:
        """Return the booking that this form of the client created."""
        own_id = f"{client.key}/{request_id}"
        row = self._connection.execute(f"{SELECT} WHERE request_id = ?", [own_id]).fetchone()
        return _booking(row) if row else None

    def upcoming(self, now: datetime) -> list[Booking]:
        """Return the sessions with a photographer that begin after a local time."""
        rows = self._connection.execute(f"{SELECT} WHERE photographer NOT NULL AND starts_at > ?", [now.isoformat()])
        return [booking for booking in map(_booking, rows) if booking.status == "assigned"]

    def assign(self, booking: Booking, by: Person, photographer: Person | None) -> None:
        """Assign a photographer who has no other session at the time."""
        if by.role != "administrator":
            raise Refused("Only the front desk assigns photographers.")
        if photographer is None or photographer.role != "photographer":
            raise Refused("Please choose one of our photographers.")
        if booking.work or booking.closed:
            raise Refused(f"This session is {booking.status}.")
        if booking.has_begun:
            raise Refused("The time of this session has passed.")
        rows = self._connection.execute(
            f"{SELECT} WHERE photographer = ? AND closed IS NULL AND id <> ?", [photographer.key, booking.id]
        )
        for other in map(_booking, rows):
            if other.starts_at < booking.ends_at and booking.starts_at < other.ends_at:
                raise Refused(
                    f"{photographer.first_name} has another session at that time: {other.when}, {other.place}."
                )
        booking.photographer = photographer
        booking.assigned_at = datetime.now(UTC)

    def book(
        self, client: Person, kind: Kind, starts_at: datetime, place: str, notes: str, request_id: str | None
    ) -> Booking:
        if client.role != "client":
            raise Refused("Only clients book sessions.")
        if starts_at < now_here():
            raise Refused("That time has passed; please choose another.")
        if starts_at.date() > now_here().date() + MOST_AHEAD:
            raise Refused("Please choose a day within the next two years.")
        if not place.strip():
            raise Refused("Please enter a place.")
        own_id = request_id and f"{client.key}/{request_id}"  # another person’s form may have the same id
        return self._insert(Booking(0, client, kind, starts_at, place.strip(), notes.strip()), own_id)

    def save(self, booking: Booking) -> None:
        """Write the photographer, the gallery, and whether it was closed."""
        work = booking.work
        self._connection.execute(
            "UPDATE bookings SET photographer = ?, assigned_at = ?, title = ?, photos = ?, finished_at = ?, work_request_id = ?, "
            "closed = ? WHERE id = ?",
            [
                booking.photographer and booking.photographer.key, booking.assigned_at and booking.assigned_at.isoformat(),
                work and work.title, work and work.photos, work and work.finished_at.isoformat(),
                work and work.request_id, booking.closed, booking.id,
            ],
        )  # fmt: skip

    def add_photo(self, booking: Booking, by: Person, photo: Photo, request_id: str | None) -> None:
        """Add a picture to the gallery; one that is sent twice with the same id is added once."""
        _expect_photographer(booking, by)
        known = "SELECT 1 FROM pictures WHERE booking = ? AND request_id = ?"
        if self._connection.execute(known, [booking.id, request_id]).fetchone():
            return
        if booking.work:
            raise Refused("The photographs are delivered.")
        if booking.uploads >= MOST_FILES:
            raise Refused(f"A gallery here takes {MOST_FILES} uploaded pictures.")
        booking.uploads += 1
        self._connection.execute(
            "INSERT INTO pictures (booking, number, content, media_type, request_id) VALUES (?, ?, ?, ?, ?)",
            [booking.id, booking.uploads, photo.content, photo.media_type, request_id],
        )

    def photo(self, booking: Booking, number: int) -> Photo | None:
        row = self._connection.execute(
            "SELECT content, media_type FROM pictures WHERE booking = ? AND number = ?", [booking.id, number]
        ).fetchone()
        return Photo(row["content"], row["media_type"]) if row else None

    def seed(self) -> None:
        """Fill a new database."""
        if self._connection.execute("SELECT 1 FROM sqlite_sequence WHERE name = 'bookings'").fetchone():
            return
        self._connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('bookings', ?)", [FIRST_BOOKING - 1])
        for booking in _sample_bookings():
            self._insert(booking, None)

    def _insert(self, booking: Booking, request_id: str | None) -> Booking:
        id = self._connection.execute(
            "INSERT INTO bookings (client, kind, starts_at, place, notes, made_at, request_id) VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                booking.client.key, booking.kind.key, booking.starts_at.isoformat(), booking.place, booking.notes,
                booking.made_at.isoformat(), request_id,
            ],
        ).lastrowid  # fmt: skip
        assert id is not None
        booking.id = id
        self.save(booking)
        return booking


SELECT = "SELECT *, (SELECT count(*) FROM pictures WHERE booking = id) AS uploads FROM bookings"


def _booking(row: Row) -> Booking:
    work = None
    if row["finished_at"]:
        finished_at = datetime.fromisoformat(row["finished_at"])
        work = Work(row["title"], row["photos"], finished_at, row["work_request_id"])
    assigned_at = datetime.fromisoformat(row["assigned_at"]) if row["assigned_at"] else None
    return Booking(
        row["id"], CAST[row["client"]], KINDS[row["kind"]], datetime.fromisoformat(row["starts_at"]), row["place"],
        row["notes"], datetime.fromisoformat(row["made_at"]), CAST.get(row["photographer"]), assigned_at, row["uploads"], work,
        row["closed"],
    )  # fmt: skip


def finish(booking: Booking, by: Person, title: str, photos: int, request_id: str | None) -> bool:
    """Deliver the gallery. Return False for a repeated request, which changes nothing."""
    _expect_photographer(booking, by)
    if booking.work and request_id and booking.work.request_id == request_id:
        return False
    if booking.work or booking.closed:
        raise Refused(f"This session is {booking.status}.")
    if not title.strip():
        raise Refused("Please give the gallery a title.")
    if not 1 <= photos <= MOST_PHOTOS:
        raise Refused(f"A gallery has 1 to {MOST_PHOTOS} photographs.")
    booking.work = Work(title.strip(), max(photos, booking.uploads), datetime.now(UTC), request_id)
    return True


def close(booking: Booking, by: Person) -> bool:
    """Cancel as the client, or decline as the front desk. Return False for a repeated request, which changes nothing."""
    if by.role not in CLOSED_BY:
        raise Refused("Only the client or the front desk can end a booking.")
    if booking.closed == CLOSED_BY[by.role]:
        return False
    if booking.work or booking.closed:
        raise Refused(f"This session is {booking.status}.")
    if booking.photographer and by == booking.client and booking.has_begun:
        raise Refused("The session has begun. Please call the front desk.")
    booking.closed = CLOSED_BY[by.role]
    return True


def _expect_photographer(booking: Booking, by: Person) -> None:
    if booking.photographer != by:
        raise Refused("Only the photographer of this session can deliver the photographs.")


def _sample_bookings() -> Iterator[Booking]:
    """Create past and future sessions for the demo."""
    clara, jonas, theo, ines = (CAST[key] for key in ("clara", "jonas", "theo", "ines"))
    ago = datetime.now(UTC) - timedelta(days=1)
    yield Booking(
        0, clara, KINDS["portrait"], _at(-24, 10), "Studio, north window", "For the save-the-date cards.",
        ago - timedelta(days=38), theo, ago - timedelta(days=37), work=Work("Clara, by the north window", 14, ago - timedelta(days=20)),
    )  # fmt: skip
    yield Booking(
        0, jonas, KINDS["product"], _at(-9, 7), "Weber Bakery, Mill Lane 4", "Loaves before opening, please.",
        ago - timedelta(days=16), ines, ago - timedelta(days=16), work=Work("Bread at dawn", 22, ago - timedelta(days=6)),
    )  # fmt: skip
    yield Booking(
        0, jonas, KINDS["portrait"], _at(6, 15), "Weber Bakery, Mill Lane 4", "The team: five people, flour welcome.",
        ago - timedelta(days=3), theo, ago - timedelta(days=2),
    )  # fmt: skip
    yield Booking(
        0, clara, KINDS["wedding"], _at(33, 13), "Orchard House, Lower Field",
        "Outdoor ceremony at three. If it rains we move to the barn, which is dark.",
        ago - timedelta(hours=3),
    )  # fmt: skip


def _at(days: int, hour: int) -> datetime:
    day = now_here() + timedelta(days=days)
    return day.replace(hour=hour, minute=0, second=0, microsecond=0)


def now_here() -> datetime:
    """Return the studio's local time. Sessions are booked in local time, without a time zone."""
    return datetime.now(ZONE).replace(tzinfo=None)
