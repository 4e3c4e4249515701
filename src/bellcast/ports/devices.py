"""Acknowledged inbox positions of devices."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from bellcast.model.positions import Position

# The revision of a connection that has acknowledged nothing yet.
UNKNOWN = -1


class DevicePosition(Struct, frozen=True):
    """The acknowledged revision of a connection: the client replied after this revision was written to it."""

    inbox: int
    device: bytes
    connection: str
    epoch: int
    revision: int


class Devices(Protocol):
    """Acknowledged positions of devices, for clients that keep no position themselves."""

    async def register(self, position: DevicePosition, live: frozenset[str], now: int) -> Position | None:
        """Save the position of a new connection. It continues one of the device's closed connections, those that are not
        in `live`: return a position from which each of these would receive all its events, or None if unknown."""
        ...

    async def acknowledge(self, positions: Sequence[DevicePosition], now: int) -> None:
        """Save the positions of connections."""
        ...

    async def delete_older(self, before: int) -> None:
        """Delete positions saved before a time (UTC milliseconds)."""
        ...
