"""The HTTP clients of a server."""

from collections.abc import Iterable
from socket import socket

from bellcast.kernel.outbound.guard import AddressGuard, open_socket
from bellcast.kernel.outbound.http import HttpxClient
from bellcast.kernel.outbound.resolver import Resolver


class HttpClients:
    """Trusted clients are for URLs from the settings, guarded ones for all others. APNs supports HTTP/2 only. The
    identity provider's URL is from the settings, but its discovery document names other URLs, so its client is guarded
    too. Its lookups are not limited together with those of other guarded clients."""

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self.guard = AddressGuard(allowed)
        self._identity_provider_guard = AddressGuard(allowed)
        self._resolver = Resolver()
        self._clients: dict[tuple[AddressGuard | None, bool], HttpxClient] = {}

    def trusted(self) -> HttpxClient:
        return self._client(None)

    def trusted_http2(self) -> HttpxClient:
        return self._client(None, http2=True)

    def guarded(self) -> HttpxClient:
        return self._client(self.guard)

    def guarded_http2(self) -> HttpxClient:
        return self._client(self.guard, http2=True)

    def identity_provider(self) -> HttpxClient:
        return self._client(self._identity_provider_guard)

    async def connect(self, host: str, port: int) -> socket:
        """Open a TCP connection to a host of the settings. Raises Unavailable or OSError."""
        return await open_socket(host, await self._resolver.resolve(host), port)

    async def close(self) -> None:
        clients, self._clients = self._clients, {}
        for client in clients.values():
            await client.close()

    def _client(self, guard: AddressGuard | None, *, http2: bool = False) -> HttpxClient:
        found = self._clients.get((guard, http2))
        if found is None:
            found = HttpxClient(guard, http2=http2)
            self._clients[guard, http2] = found
        return found
