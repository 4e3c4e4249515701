"""The HTTP clients of a server."""

from collections.abc import Iterable

from bellcast.outbound.guard import AddressGuard
from bellcast.outbound.http import HttpxClient


class HttpClients:
    """Trusted clients are for URLs of the settings, guarded ones for all others. APNs speaks HTTP/2 only."""

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self.guard = AddressGuard(allowed)
        self._clients: dict[tuple[bool, bool], HttpxClient] = {}

    def trusted(self) -> HttpxClient:
        return self._client(is_guarded=False)

    def trusted_http2(self) -> HttpxClient:
        return self._client(is_guarded=False, http2=True)

    def guarded(self) -> HttpxClient:
        return self._client(is_guarded=True)

    def guarded_http2(self) -> HttpxClient:
        return self._client(is_guarded=True, http2=True)

    async def close(self) -> None:
        clients, self._clients = self._clients, {}
        for client in clients.values():
            await client.close()

    def _client(self, *, is_guarded: bool, http2: bool = False) -> HttpxClient:
        found = self._clients.get((is_guarded, http2))
        if found is None:
            found = HttpxClient(self.guard if is_guarded else None, http2=http2)
            self._clients[is_guarded, http2] = found
        return found
