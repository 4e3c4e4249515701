"""The chat of a booking, as the site has it: sealed messages, who may open them, how far each has read. Kept in memory.

The site cannot read a word. Each device makes a key pair in its browser and shows the public half; a message is sealed
once, and the key to it once more for every device of the two people.
"""

import hashlib
from base64 import urlsafe_b64decode
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated

from msgspec import Meta, Struct

from .bookings import Booking, Refused
from .people import Person
from .sessions import Session, Sessions

# Twelve devices each for two people; more signed in at once than that can no longer open what is new.
MOST_DEVICES = 12
# Keys of devices that are gone open what they wrote; older ones than these are let go.
MOST_KEYS = 200
# A chat is kept in memory, so this is a demonstration's bound.
MOST_MESSAGES = 2_000

Fingerprint = Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
Letters = Annotated[str, Meta(pattern="^[A-Za-z0-9_-]*$")]


class Shown(Struct, forbid_unknown_fields=True):
    """The public half of a device's key: an uncompressed point of P-256, 65 bytes in base64url."""

    key: Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{87}$")]


class Sealed(Struct, forbid_unknown_fields=True):
    """A message nobody here can open. 1,000 characters are at most 3,000 bytes, 16 more for the seal, 4,024 letters."""

    id: Annotated[str, Meta(pattern="^[0-9a-f-]{36}$")]
    device: Fingerprint
    iv: Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{16}$")]
    body: Annotated[Letters, Meta(min_length=23, max_length=4_100)]
    keys: Annotated[
        dict[Fingerprint, Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{64}$")]],
        Meta(min_length=1, max_length=2 * MOST_DEVICES),
    ]


class UpTo(Struct, forbid_unknown_fields=True):
    """How far somebody has read."""

    number: Annotated[int, Meta(ge=0)]


class Message(Struct):
    number: int
    sender: str
    at: datetime
    sealed: Sealed


@dataclass(frozen=True)
class Device:
    id: str
    person: Person
    key: str
    session: Session


class Devices:
    """The public keys of everybody's devices. One that signed out is not written to, but what it wrote can be opened."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._devices: dict[tuple[str, str], Device] = {}

    def show(self, session: Session, key: str) -> Device:
        """A device's own name is the fingerprint of its key, so nobody can take another's."""
        id = hashlib.sha256(urlsafe_b64decode(key + "=")).hexdigest()[:32]
        device = Device(id, session.person, key, session)
        self._devices.pop((session.person.key, id), None)
        self._devices[session.person.key, id] = device
        theirs = [place for place in self._devices if place[0] == session.person.key]
        for place in theirs[:-MOST_KEYS]:
            del self._devices[place]
        return device

    def of(self, booking: Booking) -> list[tuple[Device, bool]]:
        """Those of the two people, and whether they are written to."""
        found = []
        for person in (booking.client, booking.provider):
            theirs = [device for device in self._devices.values() if device.person == person]
            present = [device for device in theirs if self._sessions.find(device.session.secret)]
            found += [(device, device in present[-MOST_DEVICES:]) for device in theirs]
        return found


@dataclass
class Chat:
    messages: list[Message] = field(default_factory=list)
    read: dict[str, int] = field(default_factory=dict)
    rung: dict[str, int] = field(default_factory=dict)

    def add(self, sender: Person, sealed: Sealed) -> tuple[Message, bool]:
        """The message, and whether it is new: a page that heard no answer sends it again."""
        for message in self.messages:
            if message.sealed.id == sealed.id and message.sender == sender.key:
                return message, False
        if len(self.messages) >= MOST_MESSAGES:
            raise Refused("This chat is full.")
        message = Message(len(self.messages) + 1, sender.key, datetime.now(UTC), sealed)
        self.messages.append(message)
        return message, True

    def mark(self, reader: Person, number: int) -> bool:
        """Whether that is news."""
        before = self.read.get(reader.key, 0)
        self.read[reader.key] = max(before, min(number, len(self.messages)))
        return self.read[reader.key] > before

    def rings(self, reader: Person, message: Message) -> bool:
        """Whether to tell somebody that there is something to read: once, until they have read."""
        seen = self.read.get(reader.key, 0)
        if message.number <= seen or self.rung.get(reader.key, 0) > seen:
            return False
        self.rung[reader.key] = message.number
        return True

    def unread(self, reader: Person) -> int:
        after = self.messages[self.read.get(reader.key, 0) :]
        return sum(message.sender != reader.key for message in after)


class Chats:
    """Every booking's."""

    def __init__(self) -> None:
        self._chats: dict[int, Chat] = {}

    def of(self, booking: Booking) -> Chat:
        return self._chats.setdefault(booking.id, Chat())
