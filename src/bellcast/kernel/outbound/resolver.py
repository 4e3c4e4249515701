"""Resolve the host names of calls, those of users separately from those of the operator. The event loop's resolver uses a few
threads (uvloop: two), so a name server that does not respond would delay lookups of the store or the broker, and the
end of the process."""

import asyncio
import socket
from collections.abc import Sequence
from typing import Any

from bellcast.kernel import daemon_threads
from bellcast.kernel.errors import Unavailable

# Maximum names resolved at a time, more than the calls of jobs (jobs.destinations.CALLS): only names whose lookups hang reach
# it. Each has a thread until the system's resolver gives up, by default after 10 s per name server; nothing can end it.
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
            if len(self._lookups) >= MAX_LOOKUPS:
                raise Unavailable("Too many host names are being resolved: try again later.")
            lookup = self._lookups[host] = daemon_threads.start("resolver", _look_up, host)
            lookup.add_done_callback(lambda ended: self._finish(host, ended))
        return await asyncio.shield(lookup)

    def _finish(self, host: str, ended: asyncio.Future[list[str]]) -> None:
        del self._lookups[host]
        ended.exception()  # avoids a warning if all requests have timed out and nothing reads the result


def _look_up(host: str) -> list[str]:
    return _addresses(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM))


def _addresses(entries: Sequence[Any]) -> list[str]:
    return list(dict.fromkeys(str(entry[4][0]) for entry in entries))
