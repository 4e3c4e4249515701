"""The studio's bookings and galleries, in SQLite."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from sqlite3 import Connection, Row

from .identity import CAST, Person

MOST_PHOTOS = 60
# A phone's photograph has 3 to 6 MB. The pictures are in the database, so the limits are low.
MOST_BYTES = 8 * 1024 * 1024
MOST_FILES = 12
FIRST_BOOKING = 1041
SCHEMA = """
CREATE TABLE IF NOT EXISTS bookings (
  id INTEGER PRIMARY KEY AUTOINCREMENT, client TEXT NOT NULL, kind TEXT NOT NULL, starts_at TEXT NOT NULL,
  place TEXT NOT NULL, notes TEXT NOT NULL, made_at TEXT NOT NULL, photographer TEXT, assigned_at TEXT,
  title TEXT, photos INTEGER, finished_at TEXT,
  request_id TEXT UNIQUE  -- of the form: a form that is sent twice is one booking
);
CREATE TABLE IF NOT EXISTS pictures (
  booking INTEGER NOT NULL REFERENCES bookings (id), number INTEGER NOT NULL, content BLOB NOT NULL,
  media_type TEXT NOT NULL, PRIMARY KEY (booking, number)
);
"""


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

    @property
    def status(self) -> str:
        if self.work:
            return "finished"
        return "assigned" if self.photographer else "requested"

    @property
    def when(self) -> str:
        return f"{self.starts_at:%A} {self.starts_at.day} {self.starts_at:%B, %H:%M}"

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

    def requested(self, request_id: str) -> Booking | None:
        """Return the booking that this form created."""
        row = self._connection.execute(f"{SELECT} WHERE request_id = ?", [request_id]).fetchone()
        return _booking(row) if row else None

    def book(
        self, client: Person, kind: Kind, starts_at: datetime, place: str, notes: str, request_id: str | None
    ) -> Booking:
        if client.role != "client":
            raise Refused("Only clients book sessions.")
        if starts_at < _now_here():
            raise Refused("That time has passed; please choose another.")
        if not place.strip():
            raise Refused("Please enter a place.")
        return self._insert(Booking(0, client, kind, starts_at, place.strip(), notes.strip()), request_id)

    def save(self, booking: Booking) -> None:
        """Write the photographer and the gallery."""
        work = booking.work
        self._connection.execute(
            "UPDATE bookings SET photographer = ?, assigned_at = ?, title = ?, photos = ?, finished_at = ? WHERE id = ?",
            [
                booking.photographer and booking.photographer.key, booking.assigned_at and booking.assigned_at.isoformat(),
                work and work.title, work and work.photos, work and work.finished_at.isoformat(), booking.id,
            ],
        )  # fmt: skip

    def add_photo(self, booking: Booking, by: Person, photo: Photo) -> None:
        _expect_photographer(booking, by)
        if booking.uploads >= MOST_FILES:
            raise Refused(f"A gallery here takes {MOST_FILES} uploaded pictures.")
        booking.uploads += 1
        self._connection.execute(
            "INSERT INTO pictures VALUES (?, ?, ?, ?)", [booking.id, booking.uploads, photo.content, photo.media_type]
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
    work = Work(row["title"], row["photos"], datetime.fromisoformat(row["finished_at"])) if row["finished_at"] else None
    assigned_at = datetime.fromisoformat(row["assigned_at"]) if row["assigned_at"] else None
    return Booking(
        row["id"], CAST[row["client"]], KINDS[row["kind"]], datetime.fromisoformat(row["starts_at"]), row["place"],
        row["notes"], datetime.fromisoformat(row["made_at"]), CAST.get(row["photographer"]), assigned_at, row["uploads"], work,
    )  # fmt: skip


def assign(booking: Booking, by: Person, photographer: Person | None) -> None:
    if by.role != "administrator":
        raise Refused("Only the front desk assigns photographers.")
    if photographer is None or photographer.role != "photographer":
        raise Refused("Please choose one of our photographers.")
    if booking.work:
        raise Refused("This session is finished.")
    booking.photographer = photographer
    booking.assigned_at = datetime.now(UTC)


def finish(booking: Booking, by: Person, title: str, photos: int) -> None:
    _expect_photographer(booking, by)
    if not title.strip():
        raise Refused("Please give the gallery a title.")
    if not 1 <= photos <= MOST_PHOTOS:
        raise Refused(f"A gallery has 1 to {MOST_PHOTOS} photographs.")
    booking.work = Work(title.strip(), max(photos, booking.uploads), datetime.now(UTC))


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
    day = _now_here() + timedelta(days=days)
    return day.replace(hour=hour, minute=0, second=0, microsecond=0)


def _now_here() -> datetime:
    """Return the studio's local time. Sessions are booked in local time, without a time zone."""
    return datetime.now().astimezone().replace(tzinfo=None)
