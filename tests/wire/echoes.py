"""The echo app that the conformance suites of the protocol authors expect."""

import asyncio
import re
from collections import Counter

import bellcast
from bellcast.calls import Call

handlers = bellcast.Handlers(namespaces=["/custom", re.compile(r"/room-\d+")])
concurrent = Counter(now=0, most=0)  # calls of `count`


@handlers.on("connect")
async def connect(call: Call) -> None:
    await call.emit("auth", call.data)


@handlers.on("message")
async def message(call: Call) -> None:
    await call.emit("message-back", *call.args)


@handlers.on("message-with-ack")
async def message_with_ack(call: Call) -> tuple[object, ...]:
    return call.args


@handlers.on("slowly")
async def slowly(call: Call) -> int:
    await asyncio.sleep(0.3)
    return len(call.args)


@handlers.on("count")
async def count(call: Call) -> None:
    """Count how many of these calls run at the same time."""
    concurrent["now"] += 1
    concurrent["most"] = max(concurrent.values())
    await asyncio.sleep(1)
    concurrent["now"] -= 1


@handlers.on("most")
async def most(call: Call) -> int:
    return concurrent["most"]
