"""Handlers of a server whose audit goes round every half second instead of every half minute."""

import bellcast
from bellcast.live.sync import reconciler

reconciler.INTERVAL_SECONDS = 0.5

handlers = bellcast.Handlers()


@handlers.on("join")
async def join(call):
    """The app lets whoever asks follow a topic."""
    await call.join(call.data)
