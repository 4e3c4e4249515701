"""Celebrities and their bookings."""

from dataclasses import dataclass
from datetime import date
from typing import Any

from .people import Person

# Each action of an admin: the statuses that allow it, and the resulting status.
ACTIONS = {
    "confirm": (("pending",), "confirmed"),
    "cancel": (("pending", "confirmed"), "cancelled"),
    "complete": (("confirmed",), "completed"),
}
MOST_SHOWN = 10


class NotPossible(Exception):
    """The state of the booking or celebrity does not allow the action."""


@dataclass
class Celebrity:
    key: str
    name: str
    known_for: str
    hue: int
    available: bool = True

    def shown(self) -> dict[str, Any]:
        return {
            "id": self.key,
            "name": self.name,
            "knownFor": self.known_for,
            "hue": self.hue,
            "available": self.available,
        }


@dataclass
class Booking:
    id: int
    client: Person
    celebrity: Celebrity
    day: date
    occasion: str
    status: str = "pending"

    def shown(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "clientId": self.client.key,
            "client": self.client.name,
            "celebrity": self.celebrity.name,
            "date": self.day.isoformat(),
            "occasion": self.occasion,
            "status": self.status,
            "action_url": f"/#booking-{self.id}",
        }


class Ledger:
    """All celebrities and bookings, in memory."""

    def __init__(self) -> None:
        self.celebrities = {
            one.key: one
            for one in [
                Celebrity("marlowe", "Vera Marlowe", "The Long Matinee", 12),
                Celebrity("okoro", "Dayo Okoro", "Four gold records", 268),
                Celebrity("lindgren", "Elsa Lindgren", "Twice around the world, alone", 196),
                Celebrity("castellano", "Rico Castellano", "Saturday Kitchen Brawl", 42),
            ]
        }
        self._bookings: list[Booking] = []

    def book(self, client: Person, celebrity: str, day: date, occasion: str) -> Booking:
        chosen = self.celebrities.get(celebrity)
        if chosen is None or not chosen.available:
            raise NotPossible("This celebrity is not available.")
        self._bookings.append(Booking(len(self._bookings) + 1, client, chosen, day, occasion))
        return self._bookings[-1]

    def act(self, id: int, action: str) -> Booking:
        booking = next((one for one in self._bookings if one.id == id), None)
        if booking is None or action not in ACTIONS:
            raise NotPossible("Unknown booking or action.")
        allowed, becomes = ACTIONS[action]
        if booking.status not in allowed:
            raise NotPossible(f"A {booking.status} booking cannot be changed this way.")
        booking.status = becomes
        return booking

    def set_available(self, key: str, available: bool) -> Celebrity:
        if key not in self.celebrities:
            raise NotPossible("Unknown celebrity.")
        self.celebrities[key].available = available
        return self.celebrities[key]

    def seen_by(self, key: str | None, roles: list[str]) -> list[Booking]:
        """Return the newest bookings: all for an admin, their own for a client."""
        theirs = [one for one in self._bookings if "admin" in roles or one.client.key == key]
        return theirs[: -MOST_SHOWN - 1 : -1]
