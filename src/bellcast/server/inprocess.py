"""HTTP transports that call the app in this process: requests to a mounted server without a socket."""

import asyncio
import contextlib
from collections.abc import Callable

import httpx

from bellcast.client import BellcastError, BlockingInEventLoop


class ThreadTransport(httpx.AsyncBaseTransport):
    """Runs an async client's requests in the app's event loop, from any other event loop."""

    def __init__(self, transport: "LoopTransport") -> None:
        self._transport = transport

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        return await asyncio.to_thread(self._transport.handle_request, request)


class LoopTransport(httpx.BaseTransport):
    """Runs a blocking client's requests in the app's event loop, from any other thread."""

    def __init__(
        self, transport: httpx.AsyncBaseTransport, loop: Callable[[], asyncio.AbstractEventLoop | None]
    ) -> None:
        self._transport = transport
        self._loop = loop

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the whole response. Cancels the request in the loop if it takes longer than its read timeout."""
        loop = self._loop()
        if loop is None or not loop.is_running():
            raise BellcastError("the app is not running: start it with the server's lifespan or `await app.start()`")
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
