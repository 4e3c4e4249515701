"""The studio's bookings, in memory."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count

from .people import CAST, Person

MOST_PHOTOS = 60
# A phone's photograph has 3 to 6 MB. The demo stores files in memory, so the limits are low.
MOST_BYTES = 8 * 1024 * 1024
MOST_FILES = 12


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
    uploads: list[Photo] = field(default_factory=list)
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
    """All bookings of the studio."""

    def __init__(self) -> None:
        self._bookings: dict[int, Booking] = {}
        self._ids = count(1041)
        for booking in _sample_bookings(self._ids):
            self._bookings[booking.id] = booking

    def of(self, person: Person) -> list[Booking]:
        """Return the bookings that a person may see, earliest session first."""
        theirs = [booking for booking in self._bookings.values() if booking.concerns(person)]
        return sorted(theirs, key=lambda booking: booking.starts_at)

    def find(self, id: int, person: Person) -> Booking | None:
        """Return a booking if the person may see it."""
        booking = self._bookings.get(id)
        return booking if booking and booking.concerns(person) else None

    def book(self, client: Person, kind: Kind, starts_at: datetime, place: str, notes: str) -> Booking:
        if client.role != "client":
            raise Refused("Only clients book sessions.")
        if starts_at < _now_here():
            raise Refused("That time has passed; please choose another.")
        if not place.strip():
            raise Refused("Please enter a place.")
        booking = Booking(next(self._ids), client, kind, starts_at, place.strip(), notes.strip())
        self._bookings[booking.id] = booking
        return booking


def assign(booking: Booking, by: Person, photographer: Person | None) -> None:
    if by.role != "administrator":
        raise Refused("Only the front desk assigns photographers.")
    if photographer is None or photographer.role != "photographer":
        raise Refused("Please choose one of our photographers.")
    if booking.work:
        raise Refused("This session is finished.")
    booking.photographer = photographer
    booking.assigned_at = datetime.now(UTC)


def add_photo(booking: Booking, by: Person, photo: Photo) -> None:
    _expect_photographer(booking, by)
    if len(booking.uploads) >= MOST_FILES:
        raise Refused(f"A gallery here takes {MOST_FILES} uploaded pictures.")
    booking.uploads.append(photo)


def finish(booking: Booking, by: Person, title: str, photos: int) -> None:
    _expect_photographer(booking, by)
    if not title.strip():
        raise Refused("Please give the gallery a title.")
    if not 1 <= photos <= MOST_PHOTOS:
        raise Refused(f"A gallery has 1 to {MOST_PHOTOS} photographs.")
    booking.work = Work(title.strip(), max(photos, len(booking.uploads)), datetime.now(UTC))


def _expect_photographer(booking: Booking, by: Person) -> None:
    if booking.photographer != by:
        raise Refused("Only the photographer of this session can deliver the photographs.")


def _sample_bookings(ids: Iterator[int]) -> Iterator[Booking]:
    """Create past and future sessions for the demo."""
    clara, jonas, theo, ines = (CAST[key] for key in ("clara", "jonas", "theo", "ines"))
    ago = datetime.now(UTC) - timedelta(days=1)
    yield Booking(
        next(ids), clara, KINDS["portrait"], _at(-24, 10), "Studio, north window", "For the save-the-date cards.",
        ago - timedelta(days=38), theo, ago - timedelta(days=37), work=Work("Clara, by the north window", 14, ago - timedelta(days=20)),
    )  # fmt: skip
    yield Booking(
        next(ids), jonas, KINDS["product"], _at(-9, 7), "Weber Bakery, Mill Lane 4", "Loaves before opening, please.",
        ago - timedelta(days=16), ines, ago - timedelta(days=16), work=Work("Bread at dawn", 22, ago - timedelta(days=6)),
    )  # fmt: skip
    yield Booking(
        next(ids), jonas, KINDS["portrait"], _at(6, 15), "Weber Bakery, Mill Lane 4", "The team: five people, flour welcome.",
        ago - timedelta(days=3), theo, ago - timedelta(days=2),
    )  # fmt: skip
    yield Booking(
        next(ids), clara, KINDS["wedding"], _at(33, 13), "Orchard House, Lower Field",
        "Outdoor ceremony at three. If it rains we move to the barn, which is dark.",
        ago - timedelta(hours=3),
    )  # fmt: skip


def _at(days: int, hour: int) -> datetime:
    day = _now_here() + timedelta(days=days)
    return day.replace(hour=hour, minute=0, second=0, microsecond=0)


def _now_here() -> datetime:
    """Return the studio's local time. Sessions are booked in local time, without a time zone."""
    return datetime.now().astimezone().replace(tzinfo=None)
