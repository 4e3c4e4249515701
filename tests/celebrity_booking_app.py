"""The celebrity booking example as a process, with a Bellcast server."""

import itertools
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import httpx

from bellcast.examples.celebrity_booking.identity import TIMEZONE
from bellcast.examples.celebrity_booking.tokens import JWT_CLAIMS, kept_secret
from tests.example_apps import Site
from tests.servers import ServerProcess
from tests.wire.socketio_client import installed

_days = itertools.count(30)


def day_in_hours(hours: int) -> date:
    """The day in the agency's time zone after this many hours of wall-clock time."""
    return (datetime.now(ZoneInfo(TIMEZONE)) + timedelta(hours=hours)).date()


def day_ahead(days: int) -> date:
    """A day in the agency's time zone; 0 is today."""
    return day_in_hours(24 * days)


def free_day() -> date:
    """A day on which no test has booked anyone: a celebrity has one booking a day."""
    return day_ahead(next(_days))


def spoken(day: date) -> str:
    """The day as notifications name it."""
    return f"{day:%A}, {day.day} {day:%B %Y}"


class Agency(Site):
    module = "examples.celebrity_booking"
    database = "starlight.db"

    def settings(self) -> dict[str, str]:
        return {
            "BELLCAST_JWT_SECRET": kept_secret(self.data / "starlight.key"),
            "BELLCAST_JWT_CLAIMS": JWT_CLAIMS,
            "BELLCAST_HANDLER_URL": f"{self.url}/bellcast/calls",
            "BELLCAST_ORIGINS": self.url,
        }

    def options(self) -> list[str]:
        return ["--libraries", str(installed())]

    def move_to(self, day: date, booking: int, time: str = "") -> None:
        with closing(sqlite3.connect(self.data / self.database, timeout=60)) as connection, connection:
            connection.execute("UPDATE bookings SET day = ?, time = ? WHERE id = ?", [day.isoformat(), time, booking])

    @contextmanager
    def visitor(self, person: str) -> Iterator["Visitor"]:
        with self.signed_in(person) as http:
            yield Visitor(http, self.server)


class Visitor:
    """Calls the site's API with the JWT of its session, and reads the inbox in Bellcast with the same JWT."""

    def __init__(self, http: httpx.Client, server: ServerProcess) -> None:
        self.http = http
        self._server = server

    @property
    def bearer(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.http.get('/api/token').json()['token']}"}

    def send(self, method: str, path: str, **fields: object) -> httpx.Response:
        return self.http.request(method, path, json=fields, headers=self.bearer)

    def inbox(self) -> list[dict[str, object]]:
        response = httpx.get(f"{self._server.url}/v1/inbox", headers=self.bearer, timeout=60)
        return list(response.json()["notifications"]) if response.status_code == 200 else []

    def titles(self) -> list[object]:
        return [notification["title"] for notification in self.inbox()]
