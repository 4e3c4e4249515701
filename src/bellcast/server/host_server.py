"""The uvicorn server of an app in which Bellcast is mounted.

On Ctrl-C or SIGTERM, uvicorn waits until every response is complete before it ends the lifespan, and does not notify
the apps. Event streams and long polls would keep it waiting until their clients disconnect."""

import asyncio
import signal
from collections.abc import Awaitable, Callable

import uvicorn

POLL_INTERVAL = 0.2  # seconds; uvicorn itself polls every 0.1


def find() -> uvicorn.Server | None:
    """Return the server that installed the signal handlers; None under another server, or with uvicorn in a thread."""
    for name in (signal.SIGINT, signal.SIGTERM):
        server = getattr(signal.getsignal(name), "__self__", None)
        if isinstance(server, uvicorn.Server):
            return server
    return None


async def drain_with_host(drain: Callable[[], Awaitable[None]]) -> None:
    """Call `drain` when the host stops, and repeat it for connections that were still being opened. Runs until
    cancelled."""
    server = find()
    if server is None:
        return
    while True:
        if server.should_exit:
            await drain()
        await asyncio.sleep(POLL_INTERVAL)
