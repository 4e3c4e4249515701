"""Chats of bookings, in SQLite: encrypted messages, public keys of devices, and read positions.

The site cannot decrypt messages. Each device creates a key pair in the browser and uploads the public key; a message is
encrypted once, and its key once for every device of the two participants.
"""

import hashlib
from base64 import urlsafe_b64decode
from dataclasses import dataclass
from datetime import UTC, datetime
from sqlite3 import Connection, Row
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from bellcast.examples.app_kit import Session

from .bookings import Booking, Refused
from .identity import Person

SCHEMA = """
CREATE TABLE IF NOT EXISTS devices (
  position INTEGER PRIMARY KEY AUTOINCREMENT, person TEXT NOT NULL, id TEXT NOT NULL, key TEXT NOT NULL,
  session TEXT NOT NULL, UNIQUE (person, id)
);
CREATE TABLE IF NOT EXISTS messages (
  booking INTEGER NOT NULL REFERENCES bookings (id), number INTEGER NOT NULL, sender TEXT NOT NULL, at TEXT NOT NULL,
  id TEXT NOT NULL, sealed TEXT NOT NULL, PRIMARY KEY (booking, number), UNIQUE (booking, sender, id)
);
CREATE TABLE IF NOT EXISTS chat_positions (
  booking INTEGER NOT NULL REFERENCES bookings (id), person TEXT NOT NULL, read INTEGER NOT NULL, rung INTEGER NOT NULL,
  PRIMARY KEY (booking, person)
);
CREATE TABLE IF NOT EXISTS rings (  -- messages that may have to be notified
  message TEXT PRIMARY KEY, booking INTEGER NOT NULL REFERENCES bookings (id), sender TEXT NOT NULL,
  reader TEXT NOT NULL, at TEXT NOT NULL
);
"""

# Devices per person for which new messages are encrypted; older devices cannot read new messages.
MOST_DEVICES = 12
# Keys of signed-out devices are still needed to verify their messages; the oldest beyond this number are deleted.
MOST_KEYS = 200
# A chat is loaded as a whole.
MOST_MESSAGES = 2_000

Fingerprint = Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
Letters = Annotated[str, Meta(pattern="^[A-Za-z0-9_-]*$")]


class Shown(Struct, forbid_unknown_fields=True):
    """The public key of a device: an uncompressed P-256 point, 65 bytes in base64url."""

    key: Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{87}$")]


class Sealed(Struct, forbid_unknown_fields=True):
    """An encrypted message. 1,000 characters are at most 3,000 bytes, plus a tag of 16: 4,024 characters in base64url."""

    id: Annotated[str, Meta(pattern="^[0-9a-f-]{36}$")]
    device: Fingerprint
    iv: Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{16}$")]
    body: Annotated[Letters, Meta(min_length=23, max_length=4_100)]
    keys: Annotated[
        dict[Fingerprint, Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{64}$")]],
        Meta(min_length=1, max_length=2 * MOST_DEVICES),
    ]


class UpTo(Struct, forbid_unknown_fields=True):
    """The number of the last message that a participant has read."""

    number: Annotated[int, Meta(ge=0)]


class Message(Struct):
    number: int
    sender: str
    at: datetime
    sealed: Sealed


@dataclass(frozen=True)
class Device:
    id: str
    person: str
    key: str


def show_device(connection: Connection, session: Session, key: str) -> Device:
    """Register a device. Its id is the fingerprint of its key, so no device can use the id of another."""
    id = hashlib.sha256(urlsafe_b64decode(key + "=")).hexdigest()[:32]
    person = session.person.key
    connection.execute("DELETE FROM devices WHERE person = ? AND id = ?", [person, id])
    connection.execute(
        "INSERT INTO devices (person, id, key, session) VALUES (?, ?, ?, ?)", [person, id, key, session.id]
    )
    connection.execute(
        "DELETE FROM devices WHERE person = ? AND position NOT IN "
        "(SELECT position FROM devices WHERE person = ? ORDER BY position DESC LIMIT ?)",
        [person, person, MOST_KEYS],
    )
    return Device(id, person, key)


def devices_of(connection: Connection, booking: Booking) -> list[tuple[Device, bool]]:
    """Return the devices of both participants, each with whether it receives new messages."""
    now = datetime.now(UTC).isoformat()
    devices = []
    for person in (booking.client, booking.provider):
        rows = connection.execute(
            "SELECT d.id, d.person, d.key, s.digest IS NOT NULL AS present FROM devices d "
            "LEFT JOIN sessions s ON s.digest = d.session AND s.ends_at > ? WHERE d.person = ? ORDER BY d.position",
            [now, person.key],
        ).fetchall()
        present = [row["id"] for row in rows if row["present"]][-MOST_DEVICES:]
        devices += [(Device(row["id"], row["person"], row["key"]), row["id"] in present) for row in rows]
    return devices


class Chat:
    """The chat of a booking, in a transaction."""

    def __init__(self, connection: Connection, booking: Booking) -> None:
        self._connection = connection
        self._booking = booking.id

    @property
    def messages(self) -> list[Message]:
        rows = self._connection.execute(
            "SELECT * FROM messages WHERE booking = ? ORDER BY number", [self._booking]
        ).fetchall()
        return [_message(row) for row in rows]

    @property
    def read(self) -> dict[str, int]:
        """The read position of each participant."""
        rows = self._connection.execute(
            "SELECT person, read FROM chat_positions WHERE booking = ? AND read > 0", [self._booking]
        )
        return {row["person"]: row["read"] for row in rows}

    def add(self, sender: Person, sealed: Sealed) -> tuple[Message, bool]:
        """Store a message. Return it and whether it is new, since a page that got no response sends it again."""
        known = self._connection.execute(
            "SELECT * FROM messages WHERE booking = ? AND sender = ? AND id = ?", [self._booking, sender.key, sealed.id]
        ).fetchone()
        if known is not None:
            return _message(known), False
        last = self._last()
        if last >= MOST_MESSAGES:
            raise Refused("error.chat_full")
        message = Message(last + 1, sender.key, datetime.now(UTC), sealed)
        self._connection.execute(
            "INSERT INTO messages (booking, number, sender, at, id, sealed) VALUES (?, ?, ?, ?, ?, ?)",
            [
                self._booking,
                message.number,
                message.sender,
                message.at.isoformat(),
                sealed.id,
                msgspec.json.encode(sealed),
            ],
        )
        return message, True

    def mark(self, reader: Person, number: int) -> bool:
        """Store the read position. Return whether it advanced."""
        before, rung = self._positions(reader)
        after = max(before, min(number, self._last()))
        self._put(reader, after, rung)
        return after > before

    def ring(self, reader: Person, message: Message) -> None:
        """Queue a notification for the reader, at most one until they read the chat. It is not sent if the chat is open."""
        seen, rung = self._positions(reader)
        if message.number <= seen or rung > seen:
            return
        self._put(reader, seen, message.number)
        self._connection.execute(
            "INSERT INTO rings (message, booking, sender, reader, at) VALUES (?, ?, ?, ?, ?)",
            [message.sealed.id, self._booking, message.sender, reader.key, message.at.isoformat()],
        )

    def silence(self, reader: Person) -> None:
        """Allow the next message to ring, because the chat was open."""
        self._put(reader, self._positions(reader)[0], 0)

    def unread(self, reader: Person) -> int:
        (count,) = self._connection.execute(
            "SELECT count(*) FROM messages WHERE booking = ? AND number > ? AND sender <> ?",
            [self._booking, self._positions(reader)[0], reader.key],
        ).fetchone()
        return int(count)

    def _last(self) -> int:
        (number,) = self._connection.execute(
            "SELECT coalesce(max(number), 0) FROM messages WHERE booking = ?", [self._booking]
        ).fetchone()
        return int(number)

    def _positions(self, reader: Person) -> tuple[int, int]:
        """Return the last message read, and the last one notified."""
        row = self._connection.execute(
            "SELECT read, rung FROM chat_positions WHERE booking = ? AND person = ?", [self._booking, reader.key]
        ).fetchone()
        return (row["read"], row["rung"]) if row else (0, 0)

    def _put(self, reader: Person, read: int, rung: int) -> None:
        self._connection.execute(
            "INSERT OR REPLACE INTO chat_positions (booking, person, read, rung) VALUES (?, ?, ?, ?)",
            [self._booking, reader.key, read, rung],
        )


def _message(row: Row) -> Message:
    sealed = msgspec.json.decode(row["sealed"], type=Sealed)
    return Message(row["number"], row["sender"], datetime.fromisoformat(row["at"]), sealed)
