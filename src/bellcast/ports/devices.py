"""Acknowledged inbox positions of devices."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from bellcast.model.inboxes import Position

# The revision of a connection that has answered nothing yet.
UNKNOWN = -1


class DevicePosition(Struct, frozen=True):
    """How far a connection is known to have been told: it answered after that revision was written to it."""

    inbox: int
    device: bytes
    connection: str
    epoch: int
    revision: int


class Devices(Protocol):
    """How far each device was told its recipient's inbox, for clients that carry no position themselves."""

    async def register(self, reached: DevicePosition, here: frozenset[str], now: int) -> Position | None:
        """Note a new connection. The position from which nothing is missed by any of the device's connections that are
        not `here` any more, one of which it continues (then it is noted there); None if none is known."""
        ...

    async def acknowledge(self, reached: Sequence[DevicePosition], now: int) -> None:
        """Note how far connections have come."""
        ...

    async def delete_older(self, before: int) -> None:
        """Drop what was noted before a time."""
        ...
