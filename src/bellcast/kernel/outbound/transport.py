"""Requests on httpcore, connected to addresses that are chosen here. Imported, with 5 MiB, by the first request of a server."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from functools import cache
from typing import Any

import httpcore
import httpx

from bellcast.kernel.outbound.guard import AddressGuard, Resolver

# The jobs of a process make about 200 calls at a time (jobs.slots.CALLS); calls for clients must not wait for them.
MAX_CONNECTIONS = 500
MAX_IDLE_CONNECTIONS = 20
IDLE_SECONDS = 5.0
# Bytes of a connection besides the bodies of its responses. Parsing them takes the event loop from all others: 8,000 interim
# responses, as many as fit, take 0.3 s. The head of a response has less than 16 KiB.
MAX_OVERHEAD_BYTES = 131_072
# What each part of a body counts besides its bytes, because parsing it takes 30 µs, also if it has one byte.
PART_BYTES = 32
# Other tasks run after this many bytes are parsed.
READ_BYTES = 8192
# Of HTTP/2 (RFC 9113 §4.1): the bytes before a frame's payload, and the type of a GOAWAY (§6.8).
FRAME_HEAD, GOAWAY = 9, 7


class Transport(httpx.AsyncBaseTransport):
    """Sends requests with httpcore. The transport of httpx has no parameter for the guard."""

    def __init__(self, guard: AddressGuard | None, on_goaway: Callable[[], None] | None = None) -> None:
        """Send over HTTP/2 if there is an `on_goaway`, which is called when a server accepts no further requests on a connection."""
        http2 = on_goaway is not None
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=trusted(http2=http2),
            # Plain HTTP does not negotiate the version; an HTTP/2 server then expects HTTP/2 from the first byte.
            http1=not http2,
            http2=http2,
            max_connections=MAX_CONNECTIONS,
            max_keepalive_connections=MAX_IDLE_CONNECTIONS,
            keepalive_expiry=IDLE_SECONDS,
            network_backend=ResolvedNetwork(guard or Resolver(), on_goaway),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        sent = httpcore.Request(
            request.method,
            httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        response = await self._pool.handle_async_request(sent)
        stream = response.extensions["network_stream"]
        return httpx.Response(response.status, headers=response.headers, stream=ResponseBody(response, stream))

    async def aclose(self) -> None:
        await self._pool.aclose()


class ResponseBody(httpx.AsyncByteStream):
    """The body of a response that is read from its connection."""

    def __init__(self, response: httpcore.Response, connection: "BoundedStream") -> None:
        self._response = response
        self._connection = connection
        connection.allowance = MAX_OVERHEAD_BYTES

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._response.aiter_stream():
            self._connection.allowance += len(part) - PART_BYTES
            yield part

    async def aclose(self) -> None:
        await self._response.aclose()


class BoundedStream:
    """A connection (httpcore.AsyncNetworkStream) on which the server may send `allowance` more bytes.

    With `on_goaway` it is HTTP/2, and a GOAWAY without an error is read at its end. At a GOAWAY, httpcore fails all requests of
    the connection, also those that the server still answers (RFC 9113 §6.8): they would be sent again. Those that came too
    late are unprocessed, and it sends them on another connection."""

    def __init__(self, stream: httpcore.AsyncNetworkStream, on_goaway: Callable[[], None] | None) -> None:
        self._stream = stream
        self.allowance = MAX_OVERHEAD_BYTES
        self._on_goaway = on_goaway
        self._goaway = self._begun = b""  # the frame that waits; the beginning of one that may have to wait
        self._payload = 0  # bytes of the current frame that are still to come

    async def read(self, max_bytes: int, *args: Any, **options: Any) -> bytes:
        while data := await self._stream.read(min(max_bytes, READ_BYTES), *args, **options):
            self.allowance -= len(data)
            if self.allowance < 0:
                raise httpcore.RemoteProtocolError(
                    f"more than {MAX_OVERHEAD_BYTES} bytes besides the body, or tiny parts"
                )
            if self._on_goaway is None or (data := self._without_goaway(self._begun + data, self._on_goaway)):
                return data
        data, self._goaway = self._goaway, b""
        return data

    def _without_goaway(self, data: bytes, on_goaway: Callable[[], None]) -> bytes:
        others = b""
        while data:
            size = self._payload
            if not size:
                size = FRAME_HEAD + int.from_bytes(data[:3])
                if len(data) < FRAME_HEAD or (data[3] == GOAWAY and len(data) < size <= READ_BYTES):
                    break
                if data[3] == GOAWAY and size <= READ_BYTES and not any(data[13:17]):  # no error
                    self._goaway, data = data[:size], data[size:]
                    on_goaway()
                    continue
            others += data[:size]
            self._payload = max(size - len(data), 0)
            data = data[size:]
        self._begun = data
        return others

    async def start_tls(self, *args: Any, **options: Any) -> "BoundedStream":
        return BoundedStream(await self._stream.start_tls(*args, **options), self._on_goaway)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class ResolvedNetwork(httpcore.AsyncNetworkBackend):
    """Opens the connections of an HTTP client to the addresses that a resolver returns for a host: a guard has checked them,
    and the event loop's resolver is not used. TLS still verifies the name."""

    def __init__(self, resolver: Resolver, on_goaway: Callable[[], None] | None) -> None:
        self._resolver, self._on_goaway = resolver, on_goaway
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - required by httpcore
        *args: Any,
        **options: Any,
    ) -> Any:
        failure: Exception = httpcore.ConnectError(f"{host} has no address")
        try:
            async with asyncio.timeout(timeout):
                for address in await self._resolver.addresses(host):
                    try:
                        stream = await self._network.connect_tcp(address, port, timeout, *args, **options)
                        return BoundedStream(stream, self._on_goaway)
                    except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                        failure = error
        except TimeoutError:
            failure = httpcore.ConnectTimeout()
        raise failure


def tls_context() -> ssl.SSLContext:
    """Return a context that trusts certifi's certificate authorities and those installed on this machine. Reading them takes
    25 ms."""
    context = httpx.create_ssl_context(trust_env=False)
    context.load_default_certs()
    return context


@cache
def trusted(*, http2: bool) -> ssl.SSLContext:
    """Return the context of a version of HTTP, whose protocols httpcore sets in it."""
    return tls_context()
