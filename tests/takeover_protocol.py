"""The HTTP server protocol without the fast path, as uvicorn's `http`."""

import asyncio
from typing import Any

from bellcast.live.http import takeover


def takeover_protocol() -> Any:
    """Return what uvicorn calls for each socket like a protocol class."""
    pipelined = asyncio.Semaphore(takeover.MAX_PIPELINED_RUNNING)

    def create(config: Any, server_state: Any, app_state: Any, _loop: Any = None) -> takeover.TakeoverProtocol:
        return takeover.TakeoverProtocol(pipelined, None, config, server_state, app_state)

    return create
