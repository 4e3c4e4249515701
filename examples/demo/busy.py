"""The data and the traffic of `bellcast demo --busy`, created in a thread."""

import threading
import time

import httpx

from bellcast.cli import output
from bellcast.client import Bellcast, BellcastError
from bellcast.examples.demo import activity, traffic
from bellcast.examples.demo.incidents import Incidents

# Seconds for the last request of the thread.
STOP_TIMEOUT_S = 5
# Seconds for one request: on a slow machine, the first ones wait for the 100,000 notifications.
REQUEST_TIMEOUT_S = 60


class BusyLoader:
    """Creates the data of `--busy` in a thread, with a progress bar, and then connections and sends until it is stopped."""

    def __init__(self, secret: str, pusher_key: str, rows: int) -> None:
        self._secret = secret
        self._pusher_key = pusher_key
        self._rows = rows
        self._is_stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, url: str) -> None:
        self._thread = threading.Thread(target=self._create, args=(url,), name="busy data", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._is_stopped.set()
        if self._thread is not None:
            self._thread.join(STOP_TIMEOUT_S)

    def _create(self, url: str) -> None:
        output.note("Creating recipients, messages and runs; the server can be used meanwhile.")
        started = time.monotonic()
        aurora, harbor, juniper = activity.TENANTS
        try:
            with Bellcast(url, self._secret, timeout=REQUEST_TIMEOUT_S) as client:
                incidents = Incidents(client, url, self._secret, tenant=harbor, spent=juniper)
                with output.progress("Creating data") as show:
                    is_complete = activity.create(client, show, self._is_stopped.is_set)
                if is_complete:
                    incidents.cause()
                    incidents.exceed_budget(self._is_stopped)
        except (BellcastError, httpx.HTTPError) as error:
            output.note(f"The data is incomplete: {output.plain(str(error))}")
            return
        if not is_complete:
            return
        output.note(f"The data is complete after {time.monotonic() - started:.0f} s. Connections and sends follow.")
        keys = activity.keys_by_tenant()[aurora]
        sends = traffic.rate(self._rows)
        load = traffic.Traffic(url, self._secret, self._pusher_key, aurora, keys, sends_per_second=sends)
        load.start()
        self._is_stopped.wait()
        load.stop()
