"""Resolve the host names of calls, those of users separately from those of the operator. The event loop's resolver uses a few
threads (uvloop: two), so a name server that does not respond would delay lookups of the store or the broker, and the
end of the process."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Sequence
from typing import Any

from bellcast.errors import Unavailable

# Maximum names resolved at a time, more than the calls of jobs (jobs.destinations.CALLS): only names whose lookups hang reach
# it. Each has a thread until the system's resolver gives up, by
# default after 10 s per name server; nothing can end it earlier.
MAX_LOOKUPS = 200
# Characters of a wrong name in an error.
MAX_SHOWN = 100


class Resolver:
    """Resolves names in its own threads, one per name. Concurrent requests for a name share its lookup."""

    def __init__(self) -> None:
        self._lookups: dict[str, asyncio.Future[list[str]]] = {}

    async def resolve(self, host: str) -> Sequence[str]:
        """Return the addresses of a host, in the order of the system's resolver. A call does not wait for lookups of
        other names. Raises OSError, or Unavailable if too many names are being resolved. When a call is cancelled, its
        lookup continues for later calls."""
        try:
            return _addresses(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST))
        except UnicodeError:  # of the encoding: a part is empty or has more than 63 characters
            raise OSError(f"{host[:MAX_SHOWN]} is not a host name") from None
        except socket.gaierror:
            pass  # a name
        lookup = self._lookups.get(host)
        if lookup is None:
            lookup = self._start(host)
        return await asyncio.shield(lookup)

    def _start(self, host: str) -> asyncio.Future[list[str]]:
        if len(self._lookups) >= MAX_LOOKUPS:
            raise Unavailable("Too many host names are being resolved: try again later.")
        loop = asyncio.get_running_loop()
        # A daemon thread, because an executor's threads would delay the end of the process.
        threading.Thread(target=self._look_up, args=(loop, host), name="resolver", daemon=True).start()
        lookup = self._lookups[host] = loop.create_future()
        return lookup

    def _look_up(self, loop: asyncio.AbstractEventLoop, host: str) -> None:
        result: list[str] | Exception
        try:
            result = _addresses(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM))
        except Exception as error:  # noqa: BLE001  the lookup must end, or its name would wait forever; the requests raise it
            result = error
        with contextlib.suppress(RuntimeError):  # the loop has been closed
            loop.call_soon_threadsafe(self._finish, host, result)

    def _finish(self, host: str, result: list[str] | Exception) -> None:
        lookup = self._lookups.pop(host)
        if isinstance(result, list):
            lookup.set_result(result)
        else:
            lookup.set_exception(result)
            lookup.exception()  # avoids a warning if all requests have timed out and nothing reads the result


def _addresses(entries: Sequence[Any]) -> list[str]:
    return list(dict.fromkeys(str(entry[4][0]) for entry in entries))
