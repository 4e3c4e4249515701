"""One real event per app: an action in the app that notifies the owner of the bell on the start page."""

import itertools
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from .visitors import Visitor

CUSTOMERS = ("Ada Byron", "Alan Turing", "Grace Hopper", "Edsger Dijkstra", "Mary Jackson", "Donald Knuth")
_numbers = itertools.count()

Ring = Callable[[Visitor], Awaitable[None]]


async def book_photographs(client: Visitor) -> None:
    """Clara books a session; her page announces it to the front desk."""
    draft = {"kind": "family", "starts_at": f"{_days_ahead(9):%Y-%m-%dT14:00}", "place": "The park"}
    booking = await client.post("/api/bookings", draft)
    await client.post("/api/notifications/booking-created", {"bookingId": booking["id"]})


async def add_lead(admin: Visitor) -> None:
    """Ruth adds a lead for Bright Plumbing, which gets an e-mail."""
    customer = CUSTOMERS[next(_numbers) % len(CUSTOMERS)]
    lead = {"customer": customer, "service": "Burst pipe", "city": "Leeds", "provider": "42"}
    await admin.post("/api/leads", lead)


async def add_customer(seller: Visitor) -> None:
    """Omar adds a customer."""
    await seller.submit("/customers/", {"name": CUSTOMERS[next(_numbers) % len(CUSTOMERS)], "email": ""})


async def request_star(client: Visitor) -> None:
    """Iris requests a star, with the JWT of her page."""
    token = (await client.get("/api/token"))["token"]
    # A day per request: a star has one booking a day.
    day = _days_ahead(60 + next(_numbers))
    draft = {"celebrity": "okoro", "date": f"{day:%Y-%m-%d}", "occasion": "A garden party"}
    await client.post("/api/bookings", draft, {"authorization": f"Bearer {token}"})


async def book_plumber(client: Visitor) -> None:
    """Nora books a boiler service."""
    draft = {
        "service": "boiler",
        "starts_at": f"{_days_ahead(9):%Y-%m-%dT14:00}",
        "address": "Canal Row 18",
        "notes": "",
    }
    await client.post("/api/bookings", draft)


def _days_ahead(days: int) -> datetime:
    return datetime.now(UTC) + timedelta(days=days)
