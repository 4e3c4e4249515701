"""Calls the app's handlers for a connection and applies their effects in the native dialect."""

import asyncio
from typing import Any

import structlog

from bellcast import calls
from bellcast.auth.authenticator import Authenticator
from bellcast.auth.permissions import Grant
from bellcast.calls import Call, CallBackend
from bellcast.context import Context
from bellcast.inbox import views
from bellcast.kernel.errors import BellcastError, Forbidden, HandlerFailed, NoHandler, Unavailable
from bellcast.kernel.identities import Principal
from bellcast.live.connection import close_reasons
from bellcast.live.connection.close_reasons import CloseReason
from bellcast.live.connection.connection import Connection, Phase
from bellcast.live.hub.hub import Hub
from bellcast.live.inbox_payloads import Payload
from bellcast.live.sync import topic_replay
from bellcast.topics import publishing as events

log = structlog.get_logger(__name__)

CLOSED_BY_APP = CloseReason(close_reasons.FORBIDDEN.code, "closed_by_app", reconnect=False)
RESTART_BY_APP = CloseReason(close_reasons.RESTARTING.code, "closed_by_app", reconnect=True)


class ConnectionCallContext:
    """The part of a calls.CallContext that is the same for native and Pusher connections."""

    def __init__(self, engines: Context, hub: Hub, connection: Connection) -> None:
        self._engines = engines
        self._hub = hub
        self._connection = connection
        self.close_reason: CloseReason | None = None  # close the connection with this after the reply

    async def publish(self, topic: str, name: str, data: Any) -> None:
        await events.publish_from_handler(self._engines, self._connection.principal.tenant, topic, name, data)

    async def disconnect(self) -> None:
        await self.close(reconnect=False)

    async def close(self, *, reconnect: bool) -> None:
        self.close_reason = RESTART_BY_APP if reconnect else CLOSED_BY_APP


class NativeCallContext(ConnectionCallContext):
    """A calls.CallContext for one connection. Frames emitted before `ready` are queued in `pending_frames`, topics joined
    before the connection follows any in `pending_topics`."""

    def __init__(self, engines: Context, hub: Hub, connection: Connection) -> None:
        super().__init__(engines, hub, connection)
        self.pending_frames: list[bytes] | None = [] if connection.phase is Phase.OPENING else None
        self.pending_topics: list[str] | None = None if self.pending_frames is None else []

    async def emit(self, name: str, args: tuple[Any, ...]) -> None:
        """Send the caller an `event`. Its data is the first argument; if there are several, `args` has all of them."""
        several = {"args": args} if len(args) > 1 else {}
        frame = Payload("event", {"name": name, "data": args[0] if args else None, **several})
        encoded = self._connection.dialect.encode_frame(frame)  # an encoding error is raised in the handler
        if self.pending_frames is not None:
            self.pending_frames.append(encoded)
        elif self._connection.phase is not Phase.CLOSED:
            self._connection.write_tracked(encoded)

    async def ask(self, name: str, args: tuple[Any, ...], timeout: float) -> Any:  # noqa: ASYNC109 - the port's
        raise HandlerFailed("A native client cannot be called: emit an event, and let the client call.")

    async def join(self, topic: str) -> None:
        """Subscribe the connection to a topic. The app's call authorizes it."""
        if self.pending_topics is not None:
            self.pending_topics.append(topic)
        else:
            await topic_replay.confirm(self._hub, self._connection, (topic,))
            self._hub.subscriptions.follow(self._connection, {topic: Grant.APP})

    async def leave(self, topic: str) -> None:
        if self.pending_topics is not None:
            self.pending_topics = [one for one in self.pending_topics if one != topic]
        self._hub.subscriptions.unfollow(self._connection, (topic,))

    def close_if_requested(self) -> None:
        """Close the connection if the handler requested it. The reply is sent before the next event loop iteration."""
        if self.close_reason is not None:
            asyncio.get_running_loop().call_soon(self._hub.end, self._connection, self.close_reason)


class AppCallbacks:
    """Verifies fresh tokens with the authenticator and calls the app's handlers."""

    def __init__(self, engines: Context, hub: Hub, authenticator: Authenticator, app: CallBackend) -> None:
        self._engines = engines
        self._hub = hub
        self._authenticator = authenticator
        self._app = app

    async def renew(self, token: str) -> Principal:
        principal = await self._authenticator.session(token)
        inbox = await views.open(self._engines, principal)
        return principal.with_name(inbox.name)

    async def call(self, connection: Connection, name: str, data: Any) -> Any:
        """Return the reply of the app's handler. Clients cannot call `connect` and `disconnect`."""
        if name in (calls.CONNECT, calls.DISCONNECT):
            raise NoHandler(f"{name[:100]!r} cannot be called.")
        context = NativeCallContext(self._engines, self._hub, connection)
        try:
            return await self._app.dispatch(self._call(context, connection, name, data))
        except calls.Refused as refused:
            raise Forbidden(refused.message, data=refused.data) from None
        finally:
            context.close_if_requested()

    @property
    def handles_connect(self) -> bool:
        """True if the app has a `connect` handler."""
        return self._app.has(calls.CONNECT)

    async def connected(self, connection: Connection, handshake: calls.ConnectRequest) -> NativeCallContext:
        """Call the `connect` handler before admission; it may refuse the connection or identify its recipient."""
        context = NativeCallContext(self._engines, self._hub, connection)
        call = self._call(context, connection, calls.CONNECT, None, handshake)
        try:
            await self._app.dispatch(call)
        except calls.Refused as refused:
            raise close_reasons.RejectedByApp(refused.message, data=refused.data) from None
        if context.close_reason is not None:
            self._hub.end(connection, context.close_reason)  # sent unchanged as the close reason of an open WebSocket
            raise _close_reason(context.close_reason)
        if call.accepted is not None:
            connection.principal = merge_principal(
                call.accepted, connection.principal, accepted_at=connection.connected_at
            )
        return context

    async def disconnected(self, connection: Connection) -> None:
        try:
            context = NativeCallContext(self._engines, self._hub, connection)
            await self._app.dispatch(self._call(context, connection, calls.DISCONNECT, None))
        except (BellcastError, calls.Refused) as failure:
            log.warning("disconnect_handler_failed", reason=str(failure))

    @property
    def wants_disconnects(self) -> bool:
        return self._app.has(calls.DISCONNECT)

    def _call(
        self,
        context: NativeCallContext,
        connection: Connection,
        name: str,
        data: Any,
        handshake: calls.ConnectRequest | None = None,
    ) -> Call:
        principal = connection.principal
        return Call(
            context,
            name,
            () if data is None else (data,),
            recipient=principal.recipient,
            connection=connection.id,
            dialect=connection.dialect.protocol,
            tenant=principal.tenant,
            roles=principal.roles or (),
            namespace=connection.namespace if connection.session is not None else None,
            handshake=handshake,
        )


def _close_reason(end: CloseReason) -> BellcastError:
    detail = "The app closed this connection."
    return Unavailable(detail, retry_after=1) if end.reconnect else close_reasons.RejectedByApp(detail)


def merge_principal(accepted: calls.ConnectAccepted, session: Principal, *, accepted_at: int) -> Principal:
    """Return the principal set by a `connect` handler, keeping the session's grants. `accepted_at`, in UTC
    milliseconds, becomes the issue time, so earlier session revocations do not apply."""
    return Principal(
        tenant=session.tenant if accepted.tenant is None else accepted.tenant,
        recipient=accepted.recipient,
        topics=session.topics,
        publish=session.publish,
        roles=session.roles if accepted.roles is None else accepted.roles,
        name=session.name,
        issued_at=accepted_at,
        expires_at=session.expires_at,
    )
