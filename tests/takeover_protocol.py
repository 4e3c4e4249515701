"""The HTTP server protocol without the fast path, as uvicorn's `http`."""

from typing import Any

from bellcast.live.http import takeover


def takeover_protocol(turns: takeover.Turns | None = None) -> Any:
    """Return what uvicorn calls for each socket like a protocol class."""
    shared = turns or takeover.Turns()

    def create(config: Any, server_state: Any, app_state: Any, _loop: Any = None) -> takeover.TakeoverProtocol:
        return takeover.TakeoverProtocol(shared, {}, None, config, server_state, app_state)

    return create
