"""Operations that the app's handlers may perform on a Pusher connection."""

from typing import Any

from bellcast.auth.permissions import Grant
from bellcast.context import Context
from bellcast.kernel.errors import HandlerFailed
from bellcast.live.connection.connection import Connection, Phase
from bellcast.live.hub.hub import Hub
from bellcast.live.native.app_callbacks import ConnectionCallContext
from bellcast.live.pusher.protocol import frames
from bellcast.live.sync import topic_replay


class PusherCallContext(ConnectionCallContext):
    """A calls.CallContext for one connection. `channel` is the channel of the client event.

    A `connect` handler runs before the connection is established: its frames and topics wait in `pending`.
    """

    def __init__(
        self, engines: Context, hub: Hub, connection: Connection, channel: str | None, *, is_connecting: bool
    ) -> None:
        super().__init__(engines, hub, connection)
        self._channel = channel
        self._pending: list[bytes | str] | None = [] if is_connecting else None

    async def emit(self, name: str, args: tuple[Any, ...]) -> None:
        data = args[0] if len(args) == 1 else list(args) or None
        frame = self._connection.dialect.encode_frame(frames.event(name, self._channel, frames.text(data)))
        if self._pending is not None:
            self._pending.append(frame)
        elif self._connection.phase is not Phase.CLOSED:
            self._connection.write_tracked(frame)

    async def ask(self, name: str, args: tuple[Any, ...], timeout: float) -> Any:  # noqa: ASYNC109 - the port's
        raise HandlerFailed("A Pusher client cannot be called: emit an event instead.")

    async def join(self, topic: str) -> None:
        """Subscribe the connection to a topic and notify the client. The app's call authorizes it."""
        if self._pending is not None:
            self._pending.append(topic)
            return
        if self._connection.phase is not Phase.CLOSED:
            await topic_replay.confirm(self._hub, self._connection, (topic,))
            self._hub.subscriptions.follow(self._connection, {topic: Grant.APP})
        if self._connection.phase is not Phase.CLOSED:
            self._connection.write_tracked(self._connection.dialect.encode_frame(frames.subscribed(topic)))

    async def leave(self, topic: str) -> None:
        if self._pending is not None:
            self._pending = [one for one in self._pending if one != topic]
        self._hub.subscriptions.unfollow(self._connection, (topic,))

    async def flush(self) -> None:
        """Send what a `connect` handler has sent and joined, after the connection is established."""
        pending, self._pending = self._pending or [], None
        for one in pending:
            if isinstance(one, str):
                await self.join(one)
            elif self._connection.phase is not Phase.CLOSED:
                self._connection.write_tracked(one)
