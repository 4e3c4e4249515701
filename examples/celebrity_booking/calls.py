"""The handler URL: Bellcast sends the pages' Socket.IO events here as signed POST requests."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from starlette.routing import Route

from bellcast import Callbacks, Handlers, Refused
from bellcast.examples.app_kit import Person

from .bookings import MOST_STREAMED, Ledger
from .identity import TENANT

HANDLER_PATH = "/bellcast/calls"


def routes(ledger: Ledger, people: dict[str, Person], secret: str) -> list[Route]:
    handlers = Handlers()

    @handlers.on("request_dashboard_data")
    async def dashboard_data(call: Any) -> None:
        person = people.get(call.recipient) if call.tenant == TENANT else None
        if person is None:
            raise Refused("Please sign in.")
        await call.emit("dashboard_data", dashboard(ledger, person))

    @handlers.on("ping")
    async def ping(call: Any) -> None:
        await call.emit("pong", {"time": datetime.now(UTC).isoformat()})

    # Also other methods: a request without a signature is refused, and the doctor sees that the URL is right.
    return [Route(HANDLER_PATH, Callbacks(handlers, secret))]


def dashboard(ledger: Ledger, person: Person) -> dict[str, Any]:
    """Return the celebrities and the newest bookings. Pages read older ones from `/api/bookings`."""
    return {
        "bookings": [booking.shown(person.role) for booking in ledger.seen_by(person, MOST_STREAMED)],
        "celebrities": [asdict(one) for one in ledger.celebrities()],
        "timestamp": datetime.now(UTC).isoformat(),
    }
