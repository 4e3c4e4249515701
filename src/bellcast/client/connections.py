"""The connections of a client. Those of the blocking client belong to one process: on connections shared with its parent, a
forked process would read the parent's responses. Those of the async client belong to one event loop."""

import asyncio
import os
from collections.abc import Callable

import httpx


class ProcessConnections:
    """The HTTP client of this process."""

    def __init__(self, make: Callable[[], httpx.Client]) -> None:
        self._make = make
        self._http, self._pid = make(), os.getpid()

    @property
    def http(self) -> httpx.Client:
        """Return the client; a new one after a fork."""
        if self._pid != os.getpid():
            # Not closed: a thread that the child does not have may hold a lock of the parent's client.
            self._http, self._pid = self._make(), os.getpid()
        return self._http


class LoopConnections:
    """The HTTP clients of running event loops."""

    def __init__(self, make: Callable[[], httpx.AsyncClient]) -> None:
        self._make = make
        self._clients: dict[asyncio.AbstractEventLoop, httpx.AsyncClient] = {}

    @property
    def http(self) -> httpx.AsyncClient:
        """Return the client of the running event loop, and forget those of closed ones."""
        loop = asyncio.get_running_loop()
        if loop not in self._clients:
            self._clients = {one: http for one, http in self._clients.items() if not one.is_closed()}
            self._clients[loop] = self._make()
        return self._clients[loop]
