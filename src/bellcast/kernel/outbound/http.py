"""Outbound HTTP: single requests with bounded responses, without redirects or cookies.

URLs from the operator's settings may lead to private addresses; for all others, a client has a guard."""

import asyncio
import re
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from bellcast.kernel import concurrency
from bellcast.kernel.errors import Unavailable, certificate_fault
from bellcast.kernel.outbound import Response
from bellcast.kernel.outbound.guard import AddressGuard, Resolver

if TYPE_CHECKING:  # imported with the first request
    import httpcore

MAX_PORT = 65_535
FORBIDDEN = re.compile(r"[^\t\x20-\x7e\x80-\xff]|\A[ \t]|[ \t]\Z")  # in the value of a header (RFC 9110 §5.5)
FORBIDDEN_HEADER = "its request has a header that HTTP forbids: check credentials for line breaks and outer spaces"
# For the name, TCP and TLS each. A server in reach takes less than one second.
CONNECT_SECONDS = 5.0


class HttpClient:
    """HTTP client on httpcore (the Http port). With a guard, it connects to the addresses that the guard allows.

    HTTP/2 requests share a connection. If one times out, the connection may be dead, and after a GOAWAY it accepts no further requests, so
    later requests use a new connection, while requests in progress keep theirs."""

    def __init__(self, guard: AddressGuard | None = None, *, http2: bool = False) -> None:
        self._guard = guard
        self._http2 = http2
        self._pool: httpcore.AsyncConnectionPool | None = None
        self._creating = asyncio.Lock()  # else each of many first requests would create one
        self._in_progress = Counter["httpcore.AsyncConnectionPool"]()

    def _new_pool(self) -> "httpcore.AsyncConnectionPool":
        # Imported with the first request, in its thread: httpcore and httpx take megabytes and a tenth of a second.
        from bellcast.kernel.outbound import transport

        pool = transport.new_pool(self._guard or Resolver(), (lambda: self._replace(pool)) if self._http2 else None)
        return pool

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: dict[str, str],
        body: bytes = b"",
        timeout: float = 5.0,  # noqa: ASYNC109 - required by the port
    ) -> Response:
        """Send a request and read the whole response within `timeout` seconds."""
        if self._pool is None:
            async with self._creating:
                if self._pool is None:  # in a thread: the imports and the certificate authorities take 0.5 s of CPU
                    self._pool = await concurrency.start_thread("http-client", self._new_pool)
        pool = self._pool
        import httpcore
        import httpx

        from bellcast.kernel.outbound import transport

        if any(FORBIDDEN.search(value) for value in headers.values()):  # over HTTP/2, h2 would send it
            raise Unavailable(f"{transport.origin(url)} cannot be reached: {FORBIDDEN_HEADER}.")
        self._in_progress[pool] += 1
        try:
            async with asyncio.timeout(timeout):
                parsed = httpx.URL(url)
                if (parsed.port or 0) > MAX_PORT:
                    raise httpx.InvalidURL("the port exceeds 65535")  # noqa: TRY301 - handled as those of httpx are
                if self._guard is not None:
                    await self._guard.check(parsed)
                # A timeout of an HTTP/2 read ends all requests of its connection; all of them have the deadline above.
                limits = httpx.Timeout(None if self._http2 else timeout, connect=min(timeout, CONNECT_SECONDS))
                return await transport.exchange(pool, method, parsed, headers, body, limits)
        except httpcore.ConnectTimeout:
            raise Unavailable(
                f"{transport.origin(url)} accepted no connection within {CONNECT_SECONDS:g} s.", is_timeout=True
            ) from None
        except (TimeoutError, httpcore.TimeoutException):
            if self._http2:
                self._replace(pool)
            raise Unavailable(
                f"{transport.origin(url)} did not respond within {timeout:g} s.", is_timeout=True
            ) from None
        except (
            httpcore.NetworkError,
            httpcore.ProtocolError,
            httpcore.UnsupportedProtocol,
            httpx.InvalidURL,
            OSError,
            ValueError,
        ) as error:
            reason = str(error) or type(error).__name__
            if type(error) is ValueError:  # of httpcore, for HTTP/2
                reason = "the status of its response is not a number from 100 to 999"
            elif fault := certificate_fault(error):
                reason = f"its certificate is not accepted: {fault}"
            raise Unavailable(f"{transport.origin(url)} cannot be reached: {reason}.") from None
        finally:
            # End a request; the last one of a replaced pool closes its connections
            self._in_progress[pool] -= 1
            if not self._in_progress[pool]:
                del self._in_progress[pool]
                if pool is not self._pool:
                    await pool.aclose()

    async def close(self) -> None:
        if self._pool is not None:
            await self._pool.aclose()

    def _replace(self, pool: "httpcore.AsyncConnectionPool") -> None:
        if pool is self._pool:
            self._pool = None


class HttpClients:
    """Trusted clients are for URLs from the settings, guarded ones for all others. APNs supports HTTP/2 only. The
    identity provider's URL is from the settings, but its discovery document names other URLs, so its client is guarded
    too. Its lookups are not limited together with those of other guarded clients."""

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self.guard = AddressGuard(allowed)
        self.resolver = Resolver()  # of hosts in the settings
        self.trusted, self.trusted_http2 = HttpClient(), HttpClient(http2=True)
        self.guarded, self.guarded_http2 = HttpClient(self.guard), HttpClient(self.guard, http2=True)
        self.identity_provider = HttpClient(AddressGuard(allowed))

    async def close(self) -> None:
        guarded = (self.guarded, self.guarded_http2, self.identity_provider)
        for client in (self.trusted, self.trusted_http2, *guarded):
            await client.close()
