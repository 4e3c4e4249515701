"""Resolve host names that users supply, apart from those of the operator: a name server that does not answer must not delay
the lookups of the store, the broker or the SMTP server, which the event loop's resolver does in a few threads (uvloop: two)."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Sequence
from typing import Any

from bellcast.errors import Unavailable

# Names that are being resolved. A client opens at most as many connections at once (outbound.http.MAX_CONNECTIONS), so only
# names that are not answered get here. Each has a thread until the system's resolver gives up, by default after 10 s for each
# name server: nothing can end it earlier.
MAX_LOOKUPS = 100
# Characters of a wrong name in an error.
MAX_SHOWN = 100


class Resolver:
    """Resolves names in threads of its own, one for each name: requests to the same name share its lookup."""

    def __init__(self) -> None:
        self._lookups: dict[str, asyncio.Future[list[str]]] = {}

    async def resolve(self, host: str) -> Sequence[str]:
        """Return the addresses of a host, in the order of the system's resolver. Nothing waits for lookups of other names.

        Raises OSError, and Unavailable if too many names are being resolved. A cancelled call leaves the lookup to the next."""
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
        # A daemon: the threads of an executor would delay the end of the process.
        threading.Thread(target=self._look_up, args=(loop, host), name="resolver", daemon=True).start()
        lookup = self._lookups[host] = loop.create_future()
        return lookup

    def _look_up(self, loop: asyncio.AbstractEventLoop, host: str) -> None:
        result: list[str] | Exception
        try:
            result = _addresses(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM))
        except Exception as error:  # noqa: BLE001  the lookup must end, or its name would wait forever; the requests raise it
            result = error
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(self._finish, host, result)

    def _finish(self, host: str, result: list[str] | Exception) -> None:
        lookup = self._lookups.pop(host)
        if isinstance(result, list):
            lookup.set_result(result)
        else:
            lookup.set_exception(result)
            lookup.exception()  # all its requests may have timed out: no warning that nothing read it


def _addresses(entries: Sequence[Any]) -> list[str]:
    return list(dict.fromkeys(str(entry[4][0]) for entry in entries))
