"""`python -m tests.wire.engineio_echo PORT`: Bellcast's Engine.IO with an echo, as the conformance suite of its
authors expects.
"""

import asyncio
import sys
from types import SimpleNamespace
from typing import Any, cast

import uvicorn

from bellcast.auth.permissions import AccessConfig
from bellcast.calls import Handlers
from bellcast.kernel.clock import SystemClock
from bellcast.kernel.limits import Limits
from bellcast.live.admission import Admission
from bellcast.live.hub.callbacks import HubCallbacks
from bellcast.live.socketio import SocketIOConfig
from bellcast.live.socketio.endpoint import SocketIOEndpoint
from bellcast.live.socketio.engine_session import EngineSession, EngineSessions
from bellcast.live.types import LiveConfig
from tests.takeover_protocol import takeover_protocol


def echo(pipe: EngineSession, message: str | bytes) -> None:
    link = pipe.transport
    form = link.encoding
    link.transport.write(form.text(b"4" + message.encode()) if isinstance(message, str) else form.binary(message))


class Anyone(Admission):
    """Admits every client."""

    def __init__(self) -> None:
        pass

    def check_address(self, address: str | None) -> None:
        pass


def build(settings: SocketIOConfig) -> tuple[Any, EngineSessions]:
    """Return the ASGI application and its sessions."""
    pipes = EngineSessions(echo, settings, SystemClock(), HubCallbacks())
    config = LiveConfig(limits=Limits(), access=AccessConfig())
    endpoint = SocketIOEndpoint(
        pipes, cast(Any, SimpleNamespace(admission=Anyone(), config=config, siblings=None, app=Handlers()))
    )

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await endpoint(scope, receive, send)

    return app, pipes


async def main(port: int) -> None:
    app, pipes = build(SocketIOConfig(ping_interval=0.3, ping_timeout=0.2, upgrade_timeout=0.5))
    config = uvicorn.Config(
        app, port=port, lifespan="off", log_level="warning", http=takeover_protocol(), loop="uvloop"
    )
    sweep = asyncio.ensure_future(pipes.run())
    await uvicorn.Server(config).serve()
    sweep.cancel()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
