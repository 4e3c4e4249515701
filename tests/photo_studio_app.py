"""The photo studio example as a process, with a Bellcast server."""

import itertools
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta

from bellcast.examples.photo_studio.bookings import now_here
from tests.example_apps import Site

_days = itertools.count(40)


def free_time() -> str:
    """A local time at which no test has booked a session: a photographer has one at a time."""
    return f"{datetime.now().astimezone() + timedelta(days=next(_days)):%Y-%m-%dT14:00}"


class Studio(Site):
    module = "examples.photo_studio"
    database = "oriel.db"

    def begin(self, booking: int) -> None:
        """Let a session begin now."""
        with closing(sqlite3.connect(self.data / self.database, timeout=60)) as connection, connection:
            connection.execute("UPDATE bookings SET starts_at = ? WHERE id = ?", [now_here().isoformat(), booking])
