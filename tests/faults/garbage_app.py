"""An app with a call `unreachable`, which runs the garbage collector and returns the number of objects it freed."""

import gc

import bellcast
from bellcast.calls import Call

handlers = bellcast.Handlers()


@handlers.on("unreachable")
async def unreachable(call: Call) -> int:
    return gc.collect()
