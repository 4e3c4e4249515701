"""An app that says how much only the garbage collector could free: `unreachable` counts it, and frees it."""

import gc

import bellcast
from bellcast.calls import Call

handlers = bellcast.Handlers()


@handlers.on("unreachable")
async def unreachable(call: Call) -> int:
    return gc.collect()
