"""Requests on httpcore, connected to addresses that are chosen here. Imported, with 5 MiB, by the first request of a server."""

import asyncio
import base64
import ssl
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import httpcore
import httpx

from bellcast.kernel.errors import Unavailable
from bellcast.kernel.outbound import Response
from bellcast.kernel.outbound.guard import Resolver

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
# Sessions, key sets and replies are far smaller. More is a mistake or an attack on this server's memory.
MAX_RESPONSE_BYTES = 1_048_576
STATUSES = range(100, 1000)  # those of three digits (RFC 9110 §15); over HTTP/2, a status may be any number
DEFAULT_HEADERS = {"accept": "*/*", "accept-encoding": "identity", "connection": "keep-alive", "user-agent": "bellcast"}
WITH_BODY = ("POST", "PUT", "PATCH")  # requests with these methods have a length, also without a body (RFC 9110 §8.6)
# Of HTTP/2 (RFC 9113 §4.1): the bytes before a frame's payload, and the type of a GOAWAY (§6.8).
FRAME_HEAD, GOAWAY = 9, 7


def new_pool(resolver: Resolver, on_goaway: Callable[[], None] | None) -> httpcore.AsyncConnectionPool:
    """Return the connections of a client. They are over HTTP/2 if there is an `on_goaway`, which is called when a server accepts no
    further requests on a connection."""
    http2 = on_goaway is not None
    return httpcore.AsyncConnectionPool(
        ssl_context=trusted(http2=http2),
        # Plain HTTP does not negotiate the version; an HTTP/2 server then expects HTTP/2 from the first byte.
        http1=not http2,
        http2=http2,
        max_connections=MAX_CONNECTIONS,
        max_keepalive_connections=MAX_IDLE_CONNECTIONS,
        keepalive_expiry=IDLE_SECONDS,
        network_backend=ResolvedNetwork(resolver, on_goaway),
    )


async def exchange(
    pool: httpcore.AsyncConnectionPool,
    method: str,
    url: httpx.URL,
    headers: Mapping[str, str],
    body: bytes,
    limits: httpx.Timeout,
) -> Response:
    """Send a request and read the whole response. Raises Unavailable for a large one, ValueError for a wrong status, and errors of
    httpcore."""
    sent = {"host": url.netloc.decode(), **DEFAULT_HEADERS, **headers}
    if url.userinfo:
        credentials = f"{url.username}:{url.password}".encode()
        sent["authorization"] = f"Basic {base64.b64encode(credentials).decode()}"
    async with pool.stream(
        method,
        httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
        headers=[(name.encode("ascii"), value.encode("latin-1")) for name, value in sent.items()],
        content=body if body or method in WITH_BODY else None,
        extensions={"timeout": limits.as_dict()},
    ) as response:
        connection: BoundedStream = response.extensions["network_stream"]
        connection.allowance = MAX_OVERHEAD_BYTES
        received = bytearray()
        # As sent: a response that is compressed despite `identity` is not decompressed in memory.
        async for part in response.aiter_stream():
            connection.allowance += len(part) - PART_BYTES
            received += part
            if len(received) > MAX_RESPONSE_BYTES:
                raise Unavailable(f"{origin(str(url))} sent more than {MAX_RESPONSE_BYTES} bytes.")
        if response.status not in STATUSES:
            raise ValueError
        return Response(response.status, dict(httpx.Headers(response.headers)), bytes(received))


def origin(url: str) -> str:
    """Return scheme, host and port of a URL, without parts that may be secret."""
    try:
        parsed = httpx.URL(url)
        return f"{parsed.scheme}://{parsed.host}" + (f":{parsed.port}" if parsed.port else "")
    except (httpx.InvalidURL, UnicodeError):
        return "The URL"


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
