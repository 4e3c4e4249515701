"""The photo studio example as a process, with a Bellcast server."""

import itertools
from datetime import datetime, timedelta

from tests.example_apps import Site

_days = itertools.count(40)


def free_time() -> str:
    """A local time at which no test has booked a session: a photographer has one at a time."""
    return f"{datetime.now().astimezone() + timedelta(days=next(_days)):%Y-%m-%dT14:00}"


class Studio(Site):
    module = "examples.photo_studio"
    database = "oriel.db"
