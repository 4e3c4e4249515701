"""The two ways to execute a plan: blocking and awaiting. All I/O of the client is here."""

import asyncio
import contextlib
import inspect
import logging
import os
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import FrameType
from typing import Any, Self, TypeVar

import httpx

from bellcast.client.credentials import Credentials
from bellcast.client.errors import BellcastError, BlockingInEventLoop
from bellcast.client.request import (
    HttpRequest,
    HttpResponse,
    LostConnection,
    Outcome,
    Peer,
    Plan,
    Retries,
    Step,
    exchange,
)

T = TypeVar("T")

log = logging.getLogger("bellcast")

# --- connections, of a process and of event loops


def process_connections(make: Callable[[], httpx.Client]) -> Callable[[], httpx.Client]:
    """Return a function that returns the HTTP client of this process: a new one after a fork."""
    http, pid = make(), os.getpid()

    def find() -> httpx.Client:
        nonlocal http, pid
        if pid != os.getpid():
            # Not closed: a thread that the child does not have may hold a lock of the parent's client.
            http, pid = make(), os.getpid()
        return http

    return find


def loop_connections(make: Callable[[], httpx.AsyncClient]) -> Callable[[], httpx.AsyncClient]:
    """Return a function that returns the HTTP client of the running event loop, and forgets those of closed ones."""
    clients: dict[asyncio.AbstractEventLoop, httpx.AsyncClient] = {}

    def find() -> httpx.AsyncClient:
        loop = asyncio.get_running_loop()
        if loop not in clients:
            # Threads with loops of their own do this at the same time.
            for closed in [one for one in list(clients) if one.is_closed()]:
                clients.pop(closed, None)
            clients[loop] = make()
        return clients[loop]

    return find


# --- an app in this process: requests without a socket


class NotStarted(BellcastError):
    """The app has not been started. A blocking request needs the app's event loop."""


class LoopTransport(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Runs a client's requests in the app's event loop: of a blocking client from any other thread, of an async one from any other
    event loop."""

    def __init__(
        self, transport: httpx.AsyncBaseTransport, loop: Callable[[], asyncio.AbstractEventLoop | None]
    ) -> None:
        self._transport = transport
        self._loop = loop

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the whole response. Cancels the request in the loop if it takes longer than its read timeout."""
        loop = self._loop()
        if loop is None or not loop.is_running():
            raise NotStarted("the app is not running: start it with the server's lifespan or `await app.start()`")
        running: asyncio.AbstractEventLoop | None = None
        with contextlib.suppress(RuntimeError):  # this thread has none
            running = asyncio.get_running_loop()
        if running is loop:
            raise BlockingInEventLoop(
                "`app.sync_client` is for threads; in the app's event loop use `await app.client.…`"
            )

        async def respond() -> httpx.Response:
            headers = [(name, value) for name, value in request.headers.multi_items() if name != "accept-encoding"]
            again = httpx.Request(request.method, request.url, headers=headers, content=request.read())
            response = await self._transport.handle_async_request(again)
            return httpx.Response(response.status_code, headers=response.headers, content=await response.aread())

        waiting = asyncio.run_coroutine_threadsafe(respond(), loop)
        try:
            return waiting.result(request.extensions["timeout"]["read"])
        except TimeoutError:
            waiting.cancel()
            raise httpx.ReadTimeout("the app did not respond in time", request=request) from None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        return await asyncio.to_thread(self.handle_request, request)


# --- requests

# Below the 5 s after which uvicorn closes idle connections, so that requests rarely meet a closing connection.
_LIMITS = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=3.0)
# Seconds to connect: a server on any reachable network accepts within one.
CONNECT_TIMEOUT = 1.0
# From the warning: `_execute`, `send`, `method`, the caller.
_FRAMES_TO_THE_CALLER = 4
# No connection was established, so the request was not sent.
_UNDELIVERED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


@dataclass(frozen=True, slots=True)
class Sender:
    """What both senders have: the rules of retries, and the server."""

    retries: Retries
    peer: Peer

    def speaking_with(self, bearer: str) -> Self:
        """Return a sender with a session token, and the project's key, by which another project's server is recognized."""
        key = self.peer.credentials.key if self.peer.credentials else None
        return replace(self, peer=replace(self.peer, credentials=Credentials(bearer, key)))


@dataclass(frozen=True, slots=True)
class SyncSender(Sender):
    """Sends and waits: `send` returns the result."""

    connections: Callable[[], httpx.Client]

    def send(self, plan: Plan[T]) -> T:
        steps, outcome = exchange(plan, self.retries, self.peer), None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as end:
                result: T = end.value
                return result
            outcome = self._execute(step)

    def _execute(self, step: Step) -> Outcome | None:
        if isinstance(step, float):
            time.sleep(step)  # noqa: TID251 (the pause before a retry, in the app's own thread, where there is no Clock port)
            return None
        if _is_in_coroutine():
            warnings.warn(
                f"{step.method} {step.path}: a blocking Bellcast call stops the running event loop; use "
                "AsyncBellcast and await the call, or run this one in a thread with asyncio.to_thread",
                RuntimeWarning,
                stacklevel=_FRAMES_TO_THE_CALLER,
            )
        http, started = self.connections(), time.monotonic()
        request = _sendable(http, step, self.peer)
        try:
            return _to_response(http.send(request), started)
        except (httpx.RequestError, UnicodeError) as error:
            return _lost(error, step, started)


@dataclass(frozen=True, slots=True)
class AsyncSender(Sender):
    """Sends without blocking the event loop: await `send` for the result."""

    connections: Callable[[], httpx.AsyncClient]

    async def send(self, plan: Plan[T]) -> T:
        steps, outcome = exchange(plan, self.retries, self.peer), None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as end:
                result: T = end.value
                return result
            outcome = await self._execute(step)

    async def _execute(self, step: Step) -> Outcome | None:
        if isinstance(step, float):
            await asyncio.sleep(step)
            return None
        http, started = self.connections(), time.monotonic()
        request = _sendable(http, step, self.peer)
        try:
            return _to_response(await http.send(request), started)
        except (httpx.RequestError, UnicodeError) as error:
            return _lost(error, step, started)


def connection(url: str) -> dict[str, Any]:
    """Return the constructor arguments of both httpx clients."""
    return {"base_url": url, "limits": _LIMITS, "headers": {"User-Agent": "bellcast-python"}}


def _is_in_coroutine() -> bool:
    """True if this call blocks a coroutine of a running event loop.

    A running loop alone is not sufficient: Playwright's synchronous API runs one in the same thread, in another
    greenlet, and blocking calls are expected there."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    frame: FrameType | None = sys._getframe()  # noqa: SLF001  the documented way to a caller's frame
    while frame is not None:
        if frame.f_code.co_flags & (inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR):
            return True
        frame = frame.f_back
    return False


def _sendable(http: httpx.Client | httpx.AsyncClient, request: HttpRequest[Any], peer: Peer) -> httpx.Request:
    headers = {} if peer.credentials is None else {"Authorization": f"Bearer {peer.credentials.secret}"}
    timeout = peer.timeout if request.timeout is None else request.timeout
    return http.build_request(
        request.method,
        request.path,
        params=request.params,
        headers={**headers, **request.headers},
        content=request.content,
        timeout=httpx.Timeout(timeout, connect=min(CONNECT_TIMEOUT, timeout)),
    )


def _to_response(response: httpx.Response, started: float) -> HttpResponse:
    # Not decoded: a line break in a key would begin another log line.
    path = response.request.url.raw_path.partition(b"?")[0].decode("ascii")
    _log(response.request.method, path, response.status_code, started)
    return HttpResponse(response.status_code, response.content, response.headers)


def _lost(error: Exception, request: HttpRequest[Any], started: float) -> LostConnection:
    _log(request.method, request.path, type(error).__name__, started)
    return LostConnection(error, delivered=not isinstance(error, _UNDELIVERED))


def _log(method: str, path: str, status: object, started: float) -> None:
    # Without query and headers, which may contain ids and secrets.
    log.debug(
        "request_sent method=%s path=%s status=%s ms=%.1f", method, path, status, (time.monotonic() - started) * 1e3
    )
