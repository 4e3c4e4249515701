"""Acknowledged inbox positions of devices."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from bellcast.model.positions import Position

# The revision of a connection that has acknowledged nothing yet.
UNKNOWN = -1


class DevicePosition(Struct, frozen=True):
    """The acknowledged revision of a connection: the client replied after it was sent this revision."""

    inbox: int
    device: bytes
    connection: str
    epoch: int
    revision: int


class Devices(Protocol):
    """Acknowledged positions of devices, for clients that keep no position themselves."""

    async def register(self, position: DevicePosition, live: frozenset[str], now: int) -> Position | None:
        """Save the position of a new connection. It continues a closed connection of the device, one that is not in
        `live`. Return a position from which each of these would receive all its events, or None if unknown."""
        ...

    async def acknowledge(self, positions: Sequence[DevicePosition], now: int) -> None:
        """Save the positions of connections."""
        ...

    async def delete_older(self, before: int) -> None:
        """Delete positions saved before a time (UTC milliseconds)."""
        ...
