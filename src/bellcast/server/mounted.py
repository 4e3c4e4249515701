"""For an app in which Bellcast is mounted: ends event streams when the app's server stops, and keeps credentials out of its
access log and local variables out of its tracebacks."""

import asyncio
import re
import signal
import sys
from collections.abc import Awaitable, Callable
from urllib.parse import quote

import structlog
import uvicorn

from bellcast.kernel.http import Scope

POLL_INTERVAL = 0.2  # seconds; uvicorn itself polls every 0.1
# Session tokens, Engine.IO session ids, and Pusher's signatures.
CREDENTIAL = re.compile(rb"(?<![^&])(token|sid|auth_[a-z0-9_]+)=[^&]*")
HIDDEN = rb"\1=hidden"


async def drain_with_host(drain: Callable[[], Awaitable[None]]) -> None:
    """Call `drain` when the host stops, and repeat it for connections that were still being opened. Runs until
    cancelled.

    On Ctrl-C or SIGTERM, uvicorn waits until every response is complete before it ends the lifespan, and does not notify
    the apps. Event streams and long polls would keep it waiting until their clients disconnect."""
    # The server that installed the signal handlers; None under another server, or with uvicorn in a thread.
    owners = [getattr(signal.getsignal(name), "__self__", None) for name in (signal.SIGINT, signal.SIGTERM)]
    server = next((one for one in owners if isinstance(one, uvicorn.Server)), None)
    if server is None:
        return
    while True:
        if server.should_exit:
            await drain()
        await asyncio.sleep(POLL_INTERVAL)


def hide_credentials(scope: Scope, hide_token: Callable[[str], str]) -> Scope:
    """Remove the credentials from the query and the path of the server's scope. Return a copy with the credentials.
    `hide_token` replaces the token in a path below the mount.

    The host logs a request's path and query when the response starts, from the same scope object that it passed to the
    application. Bellcast's own server writes no access log."""
    query: bytes = scope.get("query_string", b"")
    path: str = scope["path"]
    mount = scope.get("root_path", "")
    below = path.removeprefix(mount)
    hidden_query, hidden_path = CREDENTIAL.sub(HIDDEN, query), hide_token(below)
    if hidden_query == query and hidden_path == below:
        return scope
    own = {**scope}
    scope["query_string"] = hidden_query
    if hidden_path != below:
        scope["path"] = (mount if path.startswith(mount) else "") + hidden_path
        scope["raw_path"] = quote(scope["path"], safe="/").encode()
    return own


def hide_locals() -> None:
    """Log tracebacks without local variables, unless the app has configured structlog. With rich installed, structlog
    prints them by default, and those of a request include its credentials."""
    if structlog.is_configured():
        return
    console = structlog.dev.ConsoleRenderer(
        colors=sys.stdout.isatty(), exception_formatter=structlog.dev.plain_traceback
    )
    *processors, _ = structlog.get_config()["processors"]  # the last processor is the default ConsoleRenderer
    structlog.configure(processors=[*processors, console])
