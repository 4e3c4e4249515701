"""Handlers for a server with a reconciler that runs every half second instead of every half minute."""

import bellcast
from bellcast.live import reconciler

reconciler.INTERVAL_SECONDS = 0.5

handlers = bellcast.Handlers()


@handlers.on("join")
async def join(call):
    """Let any caller follow a topic."""
    await call.join(call.data)
