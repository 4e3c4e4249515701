"""Handlers of a server whose audit goes round every half second instead of every half minute."""

import bellcast
from bellcast.live import audit

audit.INTERVAL_SECONDS = 0.5

handlers = bellcast.Handlers()


@handlers.on("join")
async def join(call):
    """The app lets whoever asks follow a topic."""
    await call.join(call.data)
