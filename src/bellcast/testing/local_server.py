"""The real app in a thread of this process, without a socket."""

import asyncio
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bellcast.client import AsyncBellcast, Bellcast, Credentials
from bellcast.server import App, create_app
from bellcast.server.app import IN_PROCESS_URL
from bellcast.server.inprocess import ThreadTransport
from bellcast.settings import load

# Seconds; an idle machine needs half a second.
START_TIMEOUT = 60.0


class LocalServer:
    """A Bellcast server with an empty store for the duration of the block. `settings` are named like the flags of
    `bellcast serve`."""

    def __init__(self, **settings: Any) -> None:
        self._settings = settings
        self._folder = tempfile.TemporaryDirectory(prefix="bellcast-test-")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="bellcast-test", daemon=True)
        self.app: App

    def __enter__(self) -> Self:
        self.app = create_app(load({"data": Path(self._folder.name), **self._settings}, {}))
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self.app.start(), self._loop).result(START_TIMEOUT)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        asyncio.run_coroutine_threadsafe(self.app.stop(), self._loop).result(START_TIMEOUT)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._folder.cleanup()

    @property
    def sync_client(self) -> Bellcast:
        """A blocking client of this server."""
        return self.app.sync_client

    @property
    def client(self) -> AsyncBellcast:
        """An async client of this server, for any event loop."""
        return AsyncBellcast(IN_PROCESS_URL, self.credentials, transport=ThreadTransport(self.app.loop_transport))

    @property
    def credentials(self) -> Credentials:
        return Credentials(self.app.project.secret, self.app.project.key)
