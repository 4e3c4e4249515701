"""Calls the app's handlers for a connection and applies their effects in the native dialect."""

import asyncio
import contextlib
import random
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import structlog

from bellcast import calls
from bellcast.auth.permissions import Grant
from bellcast.calls import Call
from bellcast.kernel import validation
from bellcast.kernel.errors import BellcastError, Forbidden, HandlerFailed, Unavailable
from bellcast.kernel.events import LiveEvent
from bellcast.kernel.identities import Principal
from bellcast.kernel.limits import Limits
from bellcast.live import resume
from bellcast.live.cluster.guardians import Holder
from bellcast.live.connection import Connection, Phase, close_reasons
from bellcast.live.connection.close_reasons import CloseReason, RejectedByApp
from bellcast.live.connection.dialect import Payload
from bellcast.live.native.protocol import WEBSOCKET
from bellcast.live.wiring import LiveContext
from bellcast.topics import publishing

log = structlog.get_logger(__name__)

CLOSED_BY_APP = CloseReason(close_reasons.FORBIDDEN.code, "closed_by_app", reconnect=False)
RESTART_BY_APP = CloseReason(close_reasons.RESTARTING.code, "closed_by_app", reconnect=True)
CLOSED_AT_START = "The app closed this connection."


class NativeCallContext:
    """Calls the app's handlers for one connection, as their calls.CallContext. Frames emitted before `ready` are queued in
    `pending_frames`, topics joined before the connection follows any in `pending_topics`."""

    def __init__(self, live: LiveContext, connection: Connection) -> None:
        self._live = live
        self._hub = live.hub
        self._connection = connection
        self.close_reason: CloseReason | None = None  # close the connection with this after the reply
        self.pending_frames: list[Any] | None = [] if connection.phase is Phase.OPENING else None
        self.pending_topics: dict[str, Grant] | None = None if self.pending_frames is None else {}

    # --- calls

    async def call(self, name: str, args: Sequence[Any]) -> Any:
        """Return the reply of the handler, which may request to close the connection after the reply."""
        call = Call(self, name, args, connection=self._connection.id, **caller(self._connection))
        try:
            return await self._live.app.dispatch(call)
        except calls.Refused as refused:
            raise Forbidden(refused.message, data=refused.data) from None
        finally:
            self.close_if_requested()

    async def connect(self, address: str | None, args: Sequence[Any] = (), **more: Any) -> Call:
        """Call the `connect` handler before admission; it may refuse the connection or identify its recipient. `more` are
        further arguments of the Call."""
        connection = self._connection
        call = Call(self, calls.CONNECT, args, connection=connection.id, **caller(connection), **more)
        try:
            with self._live.admission.waiting_for_app(address):
                await self._live.app.dispatch(call)
        except calls.Refused as refused:
            raise RejectedByApp(refused.message, data=refused.data) from None
        if self.close_reason is not None:
            raise self.close_at_start(self.close_reason)
        accept(connection, call, self._live.config.limits)
        return call

    def close_at_start(self, end: CloseReason) -> BellcastError:
        """Close the connection as the `connect` handler requested; return the error for which its start fails."""
        self._hub.end(self._connection, end)  # sent unchanged as the close reason of an open WebSocket
        return Unavailable(CLOSED_AT_START, retry_after=1) if end.reconnect else RejectedByApp(CLOSED_AT_START)

    # --- what handlers do

    async def publish(self, topic: str, name: str, data: Any) -> None:
        validation.check(validation.data("data", data, 0))  # raised in the handler, not by the broker
        event = LiveEvent(tenant=self._connection.principal.tenant, name=name, data=data, topic=topic)
        await publishing.publish(self._live.engines, event)

    async def disconnect(self) -> None:
        await self.close(reconnect=False)

    async def close(self, *, reconnect: bool) -> None:
        self.close_reason = RESTART_BY_APP if reconnect else CLOSED_BY_APP

    async def emit(self, name: str, args: tuple[Any, ...]) -> None:
        """Send the caller an `event`. Its data is the first argument; if there are several, `args` has all of them."""
        several = {"args": args} if len(args) > 1 else {}
        frame = Payload("event", {"name": name, "data": args[0] if args else None, **several})
        self._emit(self._connection.dialect.encode_frame(frame))  # an encoding error is raised in the handler

    def _emit(self, frame: Any) -> None:
        if self.pending_frames is not None:
            self.pending_frames.append(frame)
        elif self._connection.phase is not Phase.CLOSED:
            self._connection.write_tracked(frame)

    def send_pending(self) -> None:
        """Send what the `connect` handler emitted."""
        frames, self.pending_frames = self.pending_frames or (), None
        for frame in frames:
            self._emit(frame)

    async def read_topics(
        self, granted: Mapping[str, Grant], position: str | None, rewind: int = 0
    ) -> tuple[resume.TopicReplay, dict[str, Grant]]:
        """Read what the client missed; return it with the topics that the `connect` handler joined. The handler may have
        started a task that joins more of them during the read."""
        while True:
            joined = {**(self.pending_topics or {})}
            topics = await resume.read(self._hub, self._connection, granted, position, rewind, joined)
            if joined == (self.pending_topics or {}):
                self.pending_topics = None  # from now on, a task of the handler follows its topics itself
                return topics, joined

    async def ask(self, name: str, args: tuple[Any, ...], timeout: float) -> Any:  # noqa: ASYNC109 - the port's
        raise HandlerFailed("This client cannot be called: emit an event, and let the client call.")

    async def join(self, topic: str) -> None:
        """Subscribe the connection to a topic. The app's call authorizes it."""
        if self.pending_topics is not None:
            self.pending_topics[topic] = Grant.APP
        elif self._connection.phase is not Phase.CLOSED:
            await resume.confirm(self._hub, self._connection, (topic,))
            self._hub.subscriptions.follow(self._connection, {topic: Grant.APP})

    async def leave(self, topic: str) -> None:
        if self.pending_topics is not None:
            self.pending_topics.pop(topic, None)
        self._hub.subscriptions.unfollow(self._connection, (topic,))

    def close_if_requested(self) -> None:
        """Close the connection if the handler requested it. The reply is sent before the next event loop iteration."""
        if self.close_reason is not None:
            asyncio.get_running_loop().call_soon(self._hub.end, self._connection, self.close_reason)


def caller(connection: Connection) -> dict[str, Any]:
    """Return what a Call says about its connection, besides the id."""
    principal = connection.principal
    return {
        "recipient": principal.recipient,
        "tenant": principal.tenant,
        "roles": principal.roles or (),
        "dialect": connection.dialect.protocol,
        "namespace": connection.namespace if connection.session is not None else None,
    }


# The kind of what guardians hold: connections with a call of the `disconnect` handler at their end.
HELD = "call"
# Calls at a time for the connections of dead nodes, of which thousands may have ended together.
MAX_CALLS_FOR_DEAD_NODES = 32
# Bytes of a held record; of a connection with more, as with many roles, the calls of a guardian have no roles.
MAX_RECORD_BYTES = 1_024
# How long a stopping server waits for calls; a guardian repeats those that have not ended.
STOP_SECONDS = 3.0
# Time over which a node that was regarded as dead closes its connections, of which the app believes that they have ended.
RECONNECT_SECONDS = 10.0


class DisconnectCalls:
    """Calls the app's `disconnect` handler for connections of this node, and for those of dead nodes that it guards."""

    def __init__(self, live: LiveContext) -> None:
        self._live = live
        self._hub = hub = live.hub
        self._calls: set[asyncio.Task[None]] = set()
        self._for_dead_nodes = asyncio.Semaphore(MAX_CALLS_FOR_DEAD_NODES)
        self._reported: set[str] = set()  # ended for the app, because this node was regarded as dead
        hub.guardians.holders[HELD] = Holder(
            lambda name, record: self._start(
                name, msgspec.msgpack.decode(record, type=dict[str, Any]), self._for_dead_nodes
            ),
            self._on_reported,
        )

    def connected(self, connection: Connection) -> None:
        """Let a guardian call the handler if this node dies. Called again when the recipient changes."""
        if self._live.app.has(calls.DISCONNECT):
            record = msgspec.msgpack.encode(caller(connection))
            if len(record) > MAX_RECORD_BYTES:
                record = msgspec.msgpack.encode({**caller(connection), "roles": ()})
            self._hub.guardians.hold(HELD, _name(connection), record)

    def disconnected(self, connection: Connection) -> None:
        name = _name(connection)
        if name not in self._reported and self._live.app.has(calls.DISCONNECT):
            self._start(name, caller(connection), contextlib.nullcontext())
        else:
            self._reported.discard(name)
            self._hub.guardians.release(HELD, name)

    def _start(self, name: str, ended: dict[str, Any], slot: contextlib.AbstractAsyncContextManager[None]) -> None:
        id, _, connected_at = name.partition(" ")
        principal = Principal(tenant=ended["tenant"], recipient=ended["recipient"])
        # Not registered: effects on the connection have no receiver
        connection = Connection(id, WEBSOCKET, principal, self._hub, int(connected_at), None)
        context = NativeCallContext(self._live, connection)
        call = Call(context, calls.DISCONNECT, connection=id, **ended)

        async def dispatch() -> None:
            async with slot:
                try:
                    await self._live.app.dispatch(call)
                except (BellcastError, calls.Refused) as failure:
                    log.warning("disconnect_handler_failed", reason=str(failure))
            self._hub.guardians.release(HELD, name)

        task = asyncio.get_running_loop().create_task(dispatch())
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    async def close(self) -> None:
        if self._calls:
            _, unfinished = await asyncio.wait(self._calls, timeout=STOP_SECONDS)
            for call in unfinished:
                call.cancel()

    # --- guardians

    def _on_reported(self, name: str) -> None:
        connection = self._hub.find(name.partition(" ")[0])
        if connection is not None and _name(connection) == name:
            self._reported.add(name)
            delay, end = random.uniform(0, RECONNECT_SECONDS), close_reasons.RESTARTING
            asyncio.get_running_loop().call_later(delay, self._hub.end, connection, end)


def _name(connection: Connection) -> str:
    """Return the name of the holding. A recovered connection has the id of the one before."""
    return f"{connection.id} {connection.connected_at}"


def accept(connection: Connection, call: Call, limits: Limits) -> None:
    """Set the principal that a `connect` handler accepted, keeping the topics of the session's token. Its issue time is now, so earlier
    session revocations do not apply. Names that a session token could not have are a failure of the handler."""
    accepted, session = call.accepted, connection.principal
    if accepted is not None:
        wrong = [*validation.key("recipient", accepted.recipient, limits)]
        if accepted.tenant:
            wrong += validation.tenant("tenant", accepted.tenant, limits)
        for number, role in enumerate(accepted.roles or ()):
            wrong += validation.role(f"roles.{number}", role, limits)
        if wrong:
            log.warning("connect_handler_failed", connection=connection.id, reason=f"accept: {wrong[0]}")
            calls.admit_by_session(call)
            return
        tenant = session.tenant if accepted.tenant is None else accepted.tenant
        # Name and roles of a session are stored: those of another recipient would replace the accepted one's.
        is_same = (tenant, accepted.recipient) == (session.tenant, session.recipient)
        connection.principal = msgspec.structs.replace(
            session,
            tenant=tenant,
            recipient=accepted.recipient,
            roles=session.roles if is_same and accepted.roles is None else accepted.roles,
            name=session.name if is_same else None,
            member_since=None,
            issued_at=connection.connected_at,
            by_cookie=False,
        )
