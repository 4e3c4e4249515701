"""The service marketplace example as a process, with a Bellcast server; each is configured with the other's URL."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from bellcast.examples.service_marketplace.bookings import now_here
from tests.app_servers import app_server
from tests.example_apps import Site
from tests.servers import ServerProcess, child_processes


class Marketplace(Site):
    """Its server asks the site for the owner of a session cookie. `session` is the lifetime of a sign-in in seconds."""

    module = "examples.service_marketplace"
    database = "gable.db"
    visitor = Site.signed_in

    def __init__(self, data: Path, server: ServerProcess, session: float = 3600) -> None:
        super().__init__(data, server=server)
        self._session = session

    def settings(self) -> dict[str, str]:
        return {"BELLCAST_SESSION_URL": f"{self.url}/api/bellcast-session", "BELLCAST_ORIGINS": self.url}

    def options(self) -> list[str]:
        return ["--session", str(self._session)]

    def begin(self, booking: int) -> None:
        """Let the work of a booking begin now."""
        with closing(sqlite3.connect(self.data / self.database, timeout=60)) as connection, connection:
            connection.execute("UPDATE bookings SET starts_at = ? WHERE id = ?", [now_here().isoformat(), booking])

    @property
    def processes(self) -> dict[str, set[int]]:
        """Process ids by name; a server's include those of its workers."""
        assert self.process is not None
        assert self.server.process is not None
        server = self.server.process.pid
        return {"site": {self.process.pid}, "server": {server, *child_processes(server)}}

    @property
    def live(self) -> str:
        """The URL of WebSocket connections."""
        return f"{self.server.url.replace('http', 'ws', 1)}/v1/ws"


@contextmanager
def marketplace(data: Path, *, two_workers: bool, session: float = 3600, **environ: str) -> Iterator[Marketplace]:
    """Run both for the duration of the block."""
    with Marketplace(data, app_server(data, environ, two_workers=two_workers), session) as site:
        yield site
