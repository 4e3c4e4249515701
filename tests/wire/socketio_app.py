"""The app of the Socket.IO tests, with a handler for every request of its clients."""

import re

import bellcast
from bellcast.calls import Call

handlers = bellcast.Handlers(namespaces=["/custom", re.compile(r"/room-\d+")])


@handlers.on("connect")
async def connect(call: Call) -> None:
    if not isinstance(call.data, dict):
        return
    match call.data.get("login"):
        case "mallory":
            raise bellcast.Refused("not you", data={"code": 13, "until": "never"})
        case str(name):
            call.accept(name, roles=call.data.get("roles"))
        case _ if call.data.get("greet"):
            await call.emit("hello", {"namespace": call.namespace, "me": call.recipient})
            await call.join("lobby")


@handlers.on("request_dashboard_data")
async def dashboard(call: Call) -> dict[str, bool]:
    await call.emit("dashboard_data", {"bookings": [1, 2], "for": call.recipient, "roles": list(call.roles)})
    return {"ok": True}


@handlers.on("echo")
async def echo(call: Call) -> tuple[object, ...]:
    await call.emit("echoed", *call.args)
    return call.args


@handlers.on("add")
def add(call: Call) -> int:
    return sum(call.args)


@handlers.on("quiz")
async def quiz(call: Call) -> object:
    try:
        return {"reply": await call.ask("question", "how many?", timeout=call.data or 5)}
    except TimeoutError:
        return {"reply": "nothing"}


@handlers.on("enter")
async def enter(call: Call) -> None:
    await call.join(call.data)


@handlers.on("exit")
async def leave(call: Call) -> None:
    await call.leave(call.data)


@handlers.on("shout")
async def shout(call: Call) -> None:
    await call.publish(call.args[0], "shouted", {"text": call.args[1], "by": call.connection})


@handlers.on("put me out")
async def put_me_out(call: Call) -> None:
    await call.disconnect()


@handlers.on("close me")
async def close_me(call: Call) -> None:
    await call.close(reconnect=bool(call.data))


@handlers.on("fail")
async def fail(call: Call) -> None:
    raise ZeroDivisionError("on purpose")


@handlers.on("refuse")
async def refuse(call: Call) -> None:
    raise bellcast.Refused("not today", data=[1])


@handlers.on("disconnect")
async def disconnect(call: Call) -> None:
    await call.publish("farewells", "left", {"who": call.connection, "namespace": call.namespace})
