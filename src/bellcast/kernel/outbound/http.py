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
    import httpx

# Sessions, key sets and replies are far smaller. More is a mistake or an attack on this server's memory.
MAX_RESPONSE_BYTES = 1_048_576
MAX_PORT = 65_535
STATUSES = range(100, 1000)  # those of three digits (RFC 9110 §15); over HTTP/2, a status may be any number
FORBIDDEN = re.compile(r"[^\t\x20-\x7e\x80-\xff]|\A[ \t]|[ \t]\Z")  # in the value of a header (RFC 9110 §5.5)
FORBIDDEN_HEADER = "its request has a header that HTTP forbids: check credentials for line breaks and outer spaces"
# For the name, TCP and TLS each. A server in reach takes less than one second.
CONNECT_SECONDS = 5.0


class HttpxClient:
    """HTTP client on httpx (the Http port). With a guard, it connects to the addresses that the guard allows.

    HTTP/2 requests share a connection. If one times out, the connection may be dead, and after a GOAWAY it accepts no further requests, so
    later requests use a new connection, while requests in progress keep theirs."""

    def __init__(self, guard: AddressGuard | None = None, *, http2: bool = False) -> None:
        self._guard = guard
        self._http2 = http2
        self._client: httpx.AsyncClient | None = None
        self._creating = asyncio.Lock()  # else each of many first requests would create one
        self._in_progress = Counter["httpx.AsyncClient"]()

    def _new_client(self) -> "httpx.AsyncClient":
        # Imported with the first request, in its thread: httpx takes megabytes and a tenth of a second.
        from http.cookiejar import CookieJar, DefaultCookiePolicy

        import httpx

        from bellcast.kernel.outbound.transport import Transport

        client = httpx.AsyncClient(
            transport=Transport(self._guard, (lambda: self._replace(client)) if self._http2 else None),
            follow_redirects=False,
            trust_env=False,  # the operator sets URLs here, not a proxy in the environment
            # One response's Set-Cookie must not be sent with another recipient's request.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        )
        return client

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
        if self._client is None:
            async with self._creating:
                if self._client is None:  # in a thread: the imports and the certificate authorities take 0.5 s of CPU
                    self._client = await concurrency.start_thread("http-client", self._new_client)
        client = self._client
        import httpcore
        import httpx

        if any(FORBIDDEN.search(value) for value in headers.values()):  # over HTTP/2, h2 would send it
            raise Unavailable(f"{_origin(url)} cannot be reached: {FORBIDDEN_HEADER}.")
        # A timeout of an HTTP/2 read ends all requests of its connection; below, each has a deadline.
        limits = httpx.Timeout(None if self._http2 else timeout, connect=min(timeout, CONNECT_SECONDS))
        self._in_progress[client] += 1
        try:
            async with asyncio.timeout(timeout):
                sent = {"user-agent": "bellcast", "accept-encoding": "identity", **headers}
                raw = [(name.encode("ascii"), value.encode("latin-1")) for name, value in sent.items()]
                request = client.build_request(method, url, headers=raw, content=body, timeout=limits)
                if (request.url.port or 0) > MAX_PORT:
                    raise httpx.InvalidURL("the port exceeds 65535")  # noqa: TRY301 - handled as those of httpx are
                if self._guard is not None:
                    await self._guard.check(request.url)
                return await self._exchange(client, request)
        except httpcore.ConnectTimeout:
            raise Unavailable(
                f"{_origin(url)} accepted no connection within {CONNECT_SECONDS:g} s.", is_timeout=True
            ) from None
        except (TimeoutError, httpcore.TimeoutException):
            if self._http2:
                self._replace(client)
            raise Unavailable(f"{_origin(url)} did not respond within {timeout:g} s.", is_timeout=True) from None
        except (
            httpcore.NetworkError,
            httpcore.ProtocolError,
            httpcore.UnsupportedProtocol,
            httpx.HTTPError,
            httpx.InvalidURL,
            OSError,
            ValueError,
        ) as error:
            reason = str(error) or type(error).__name__
            if type(error) is ValueError:  # of httpcore, for HTTP/2
                reason = "the status of its response is not a number from 100 to 999"
            elif fault := certificate_fault(error):
                reason = f"its certificate is not accepted: {fault}"
            raise Unavailable(f"{_origin(url)} cannot be reached: {reason}.") from None
        finally:
            # End a request; the last one of a replaced client closes its connections
            self._in_progress[client] -= 1
            if not self._in_progress[client]:
                del self._in_progress[client]
                if client is not self._client:
                    await client.aclose()

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()

    def _replace(self, client: "httpx.AsyncClient") -> None:
        if client is self._client:
            self._client = None

    async def _exchange(self, client: "httpx.AsyncClient", request: "httpx.Request") -> Response:
        response = await client.send(request, stream=True)
        try:
            body = bytearray()
            # Raw: a response that is compressed despite `identity` is not decompressed in memory.
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > MAX_RESPONSE_BYTES:
                    raise Unavailable(f"{_origin(str(request.url))} sent more than {MAX_RESPONSE_BYTES} bytes.")
            if response.status_code not in STATUSES:
                raise ValueError
            return Response(response.status_code, dict(response.headers), bytes(body))
        finally:
            await response.aclose()
            # Break the reference cycle of stream, response and request. Otherwise up to 60 KB per request stay in
            # memory until the garbage collector runs, which is rare in the server.
            del response.stream


def _origin(url: str) -> str:
    """Return scheme, host and port of a URL, without parts that may be secret."""
    import httpx

    try:
        parsed = httpx.URL(url)
        return f"{parsed.scheme}://{parsed.host}" + (f":{parsed.port}" if parsed.port else "")
    except (httpx.InvalidURL, UnicodeError):
        return "The URL"


class HttpClients:
    """Trusted clients are for URLs from the settings, guarded ones for all others. APNs supports HTTP/2 only. The
    identity provider's URL is from the settings, but its discovery document names other URLs, so its client is guarded
    too. Its lookups are not limited together with those of other guarded clients."""

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self.guard = AddressGuard(allowed)
        self._identity_provider_guard = AddressGuard(allowed)
        self.resolver = Resolver()  # of hosts in the settings
        self._clients: dict[tuple[AddressGuard | None, bool], HttpxClient] = {}

    def trusted(self, *, http2: bool = False) -> HttpxClient:
        return self._client(None, http2=http2)

    def guarded(self, *, http2: bool = False) -> HttpxClient:
        return self._client(self.guard, http2=http2)

    def identity_provider(self) -> HttpxClient:
        return self._client(self._identity_provider_guard)

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
