"""Announcement: time and storage of one announcement to a million recipients."""

import sqlite3
from pathlib import Path

from benchmarks import figures, seeded_store, server_under_test
from benchmarks.figures import Figure
from benchmarks.handshakes import HandshakeRefused
from benchmarks.http_load import drive
from benchmarks.scales import BenchmarkRun
from benchmarks.server_under_test import BenchServer

NAME = "announcement"
GOAL_MS = 20.0
GOAL_KIB = 2.0

SQLITE = b"SQLite format 3\0"


def measure(run: BenchmarkRun) -> list[Figure]:
    with seeded_store.seeded(run) as server:
        number = run.scale.announcements
        run.report(f"{number} announcements to {run.scale.rows:,} recipients")
        unread = _unread(run, server)
        before = stored(server.data)
        requests = [server.send("/v1/notifications", announcement(n)) for n in range(number)]
        outcome = drive(run.deadline, server.address, iter(requests), 1).expect_status(201)
        growth = stored(server.data) - before
        if _unread(run, server) != unread + number:
            raise HandshakeRefused("a recipient's unread count does not include every announcement")
    return _figures(run, outcome.waits, growth / number)


def announcement(number: int) -> server_under_test.JsonObject:
    return {
        "to": {"all": True},
        "type": "announcement",
        "title": "The studio is closed on Monday",
        "body": f"We are back on Tuesday at nine. Bookings {number} and later are not touched.",
        "action_url": "/news/closed",
    }


def stored(data: Path) -> int:
    """Bytes of used pages in all SQLite files of the folder. Reads through SQLite, so that the WAL counts once."""
    return sum(_pages(path) for path in data.iterdir() if path.is_file() and _is_sqlite(path))


def _is_sqlite(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(SQLITE)) == SQLITE


def _pages(path: Path) -> int:
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    try:
        values = [
            connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
        ]
    finally:
        connection.close()
    pages, free, size = values
    return int((pages - free) * size)


def _unread(run: BenchmarkRun, server: BenchServer) -> int:
    """Unread count of one of the million recipients. Its inbox was never opened."""
    last = f"member-{run.scale.rows - 1}"
    return int(server.send_request(run.deadline, server.read("/v1/inbox/counts", server.token(last)))["unread"])


def _figures(run: BenchmarkRun, waits: list[float], growth: float) -> list[Figure]:
    label = f"announcement to {run.scale.rows:,} recipients, none connected"
    time = Figure(
        benchmark=NAME,
        name=f"{label}: time",
        value=1e3 * figures.median(waits),
        unit="ms",
        goal=figures.at_most(GOAL_MS),
        details={"first_ms": 1e3 * waits[0], "max_ms": 1e3 * max(waits), "announcements": len(waits)},
    )
    size = Figure(
        benchmark=NAME, name=f"{label}: stored", value=growth / 1024, unit="KiB", goal=figures.at_most(GOAL_KIB)
    )
    return [time, size]
