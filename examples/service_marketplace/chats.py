"""Chats of bookings, in memory: encrypted messages, public keys of devices, and read positions.

The site cannot decrypt messages. Each device creates a key pair in the browser and uploads the public key; a message is
encrypted once, and its key once for every device of the two participants.
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

# Devices per person that new messages are encrypted for; beyond it the oldest cannot read new messages.
MOST_DEVICES = 12
# Keys of signed-out devices are still needed to verify their messages; the oldest beyond this number are deleted.
MOST_KEYS = 200
# The demo stores chats in memory.
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
    person: Person
    key: str
    session: Session


class Devices:
    """The public keys of all devices. Signed-out devices receive no new messages, but their old ones remain readable."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._devices: dict[tuple[str, str], Device] = {}

    def show(self, session: Session, key: str) -> Device:
        """Register a device. Its id is the fingerprint of its key, so no device can use the id of another."""
        id = hashlib.sha256(urlsafe_b64decode(key + "=")).hexdigest()[:32]
        device = Device(id, session.person, key, session)
        self._devices.pop((session.person.key, id), None)
        self._devices[session.person.key, id] = device
        theirs = [place for place in self._devices if place[0] == session.person.key]
        for place in theirs[:-MOST_KEYS]:
            del self._devices[place]
        return device

    def of(self, booking: Booking) -> list[tuple[Device, bool]]:
        """Return the devices of both participants, each with whether it receives new messages."""
        devices = []
        for person in (booking.client, booking.provider):
            theirs = [device for device in self._devices.values() if device.person == person]
            present = [device for device in theirs if self._sessions.find(device.session.secret)]
            devices += [(device, device in present[-MOST_DEVICES:]) for device in theirs]
        return devices


@dataclass
class Chat:
    messages: list[Message] = field(default_factory=list)
    read: dict[str, int] = field(default_factory=dict)
    rung: dict[str, int] = field(default_factory=dict)

    def add(self, sender: Person, sealed: Sealed) -> tuple[Message, bool]:
        """Store a message. Return it with whether it is new: a page that got no response sends it again."""
        for message in self.messages:
            if message.sealed.id == sealed.id and message.sender == sender.key:
                return message, False
        if len(self.messages) >= MOST_MESSAGES:
            raise Refused("This chat is full.")
        message = Message(len(self.messages) + 1, sender.key, datetime.now(UTC), sealed)
        self.messages.append(message)
        return message, True

    def mark(self, reader: Person, number: int) -> bool:
        """Store the read position. Return whether it advanced."""
        before = self.read.get(reader.key, 0)
        self.read[reader.key] = max(before, min(number, len(self.messages)))
        return self.read[reader.key] > before

    def rings(self, reader: Person, message: Message) -> bool:
        """Return whether to notify the reader: only once until they read the chat."""
        seen = self.read.get(reader.key, 0)
        if message.number <= seen or self.rung.get(reader.key, 0) > seen:
            return False
        self.rung[reader.key] = message.number
        return True

    def unread(self, reader: Person) -> int:
        after = self.messages[self.read.get(reader.key, 0) :]
        return sum(message.sender != reader.key for message in after)


class Chats:
    """The chats of all bookings."""

    def __init__(self) -> None:
        self._chats: dict[int, Chat] = {}

    def of(self, booking: Booking) -> Chat:
        return self._chats.setdefault(booking.id, Chat())
