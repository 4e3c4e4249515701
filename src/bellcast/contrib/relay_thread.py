"""The relay of the table `bellcast_outbox` within a Python app: a thread that sends its rows.

relay = relay_thread.start("postgresql://shop@db/shop")
...
relay.wake()   # after a commit; without it a row waits for a second at most
"""

import contextlib
import logging

from bellcast.client import Bellcast, Retries
from bellcast.contrib import outbox
from bellcast.contrib.relay import Relay, RelayThread, Round

log = logging.getLogger("bellcast.relay")

# Poll interval in seconds: commits of other processes do not wake this thread.
POLL_INTERVAL = 1.0


class DatabaseRelay:
    """The relay of one database. It reconnects after a lost connection."""

    def __init__(self, database_url: str, bell: Bellcast) -> None:
        self._url = database_url
        self._bell = bell
        self._rows: outbox.OutboxRows | None = None
        self._relay: Relay | None = None

    def run(self) -> Round:
        """Do one round. Never raises: an unavailable database is retried after POLL_INTERVAL."""
        try:
            if self._relay is None:
                self._rows = outbox.connect(self._url)
                self._relay = Relay(self._rows, self._bell)
            done = self._relay.run()
        except Exception as error:  # noqa: BLE001  each driver has its own errors
            log.warning("relay_database_failed error=%s", error)
            self.close()
            return Round(wait=POLL_INTERVAL)
        if done.failure is None:
            done.wait = POLL_INTERVAL if done.wait is None else min(done.wait, POLL_INTERVAL)
        return done

    def close(self) -> None:
        """Close the connection."""
        rows, self._rows, self._relay = self._rows, None, None
        if rows is not None:
            with contextlib.suppress(Exception):  # a lost connection cannot be closed
                rows.close()


def start(database_url: str, bell: Bellcast | None = None) -> RelayThread:
    """Send the rows of the table from a thread of this process, and due rows again at exit. Call it once in each
    process that sends, after a fork. Several relays are safe. Raises ImportError without the driver, ValueError for a
    wrong URL, and the driver's errors. `bell` is closed at the end. It should not retry, because the relay has its own
    backoff."""
    outbox.connect(database_url).close()
    client = bell or Bellcast(retries=Retries(tries=1))
    relay = DatabaseRelay(database_url, client)

    def close() -> None:
        relay.close()
        client.close()

    thread = RelayThread(relay.run, close)
    thread.wake()
    return thread
