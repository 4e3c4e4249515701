"""What the app's handlers may do to a connection that speaks the Pusher dialect."""

from typing import Any

from bellcast.auth.permissions import Grant
from bellcast.errors import HandlerFailed
from bellcast.inbox import events
from bellcast.live.connection.close_reasons import CloseReason
from bellcast.live.connection.connection import Connection, Phase
from bellcast.live.hub.hub import Hub
from bellcast.live.native.app_callbacks import CLOSED_BY_APP, RESTART_BY_APP
from bellcast.live.pusher.protocol import frames
from bellcast.model import validation
from bellcast.model.events import LiveEvent
from bellcast.ports import Context


class PusherCallContext:
    """A calls.CallPort on one connection; `channel` is where its client event was told."""

    def __init__(self, engines: Context, hub: Hub, connection: Connection, channel: str | None) -> None:
        self._engines = engines
        self._hub = hub
        self._connection = connection
        self._channel = channel
        self.close_reason: CloseReason | None = None  # how the connection ends, once the call has been answered

    async def emit(self, name: str, args: tuple[Any, ...]) -> None:
        """Tell the caller, on the channel it spoke on."""
        data = args[0] if len(args) == 1 else list(args) or None
        if self._connection.phase is not Phase.CLOSED:
            frame = frames.event(name, self._channel, frames.text(data))
            self._connection.write_tracked(self._connection.dialect.encode_frame(frame))

    async def publish(self, topic: str, name: str, data: Any) -> None:
        """Tell everyone on a topic of the caller's tenant."""
        validation.check(validation.data("data", data, 0))  # what a broker cannot carry is the handler\'s mistake
        tenant = self._connection.principal.tenant
        await events.publish(self._engines, LiveEvent(tenant=tenant, name=name, data=data, topic=topic))

    async def ask(self, name: str, args: tuple[Any, ...], timeout: float) -> Any:  # noqa: ASYNC109 - the port's
        """Pusher's clients answer no questions."""
        raise HandlerFailed("A Pusher client cannot be asked: emit to it.")

    async def join(self, topic: str) -> None:
        """Make the connection follow a topic; the app's word is the right. The client learns of it by a frame."""
        if self._connection.phase is not Phase.CLOSED:
            self._hub.follow(self._connection, {topic: Grant.APP})
            self._connection.write_tracked(self._connection.dialect.encode_frame(frames.subscribed(topic)))

    async def leave(self, topic: str) -> None:
        """Make it follow the topic no more."""
        self._hub.unfollow(self._connection, (topic,))

    async def disconnect(self) -> None:
        """There is one namespace: leaving it ends the connection."""
        await self.close(reconnect=False)

    async def close(self, *, reconnect: bool) -> None:
        """End the connection."""
        self.close_reason = RESTART_BY_APP if reconnect else CLOSED_BY_APP
