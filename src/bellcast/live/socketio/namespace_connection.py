"""A client's connection to one namespace, which is a connection of the hub, and the topics that it joined after CONNECT. Several
can share a session."""

import asyncio
from socket import SocketType
from typing import Any

import msgspec
import structlog
from msgspec import Struct

from bellcast.auth.permissions import Grant
from bellcast.kernel.errors import BellcastError, Unavailable
from bellcast.live.connection import NO_MARK, Connection, Phase
from bellcast.live.connection.close_reasons import CloseReason
from bellcast.live.connection.outbound import NULL_TRANSPORT
from bellcast.live.hub import subscriptions
from bellcast.live.socketio import protocol
from bellcast.live.socketio.engine_session import EngineSession
from bellcast.live.socketio.protocol import ACK, EVENT, Packet
from bellcast.live.wiring import LiveContext
from bellcast.topics.store import (
    JOINED_TOPICS_LIFETIME_MS,
    JOINED_TOPICS_REFRESH_MS,
    JoinedBy,
    JoinedTopics,
    TopicLists,
)

log = structlog.get_logger(__name__)

DISCONNECTED = "The client disconnected."
EVENTS_LOST = "Live events may be missing: after the reconnect, this connection will not be recovered."


class NamespaceConnection(Connection):
    """Writes to the current transport of its session. `id` is public; the id of the session is a secret."""

    __slots__ = (
        "_last_ack_id",
        "_pending_acks",
        "has_unsaved_topics",
        "joined_topics",
        "namespace",
        "resumable",
        "session",
    )

    def __init__(self, *args: Any, session: EngineSession, namespace: str) -> None:
        super().__init__(*args)
        self.session: EngineSession = session
        self.namespace = namespace
        self.resumable = False
        self.joined_topics: dict[str, bool] | None = None  # topic -> True if the app joined it
        self.has_unsaved_topics = False
        self._last_ack_id = 0
        self._pending_acks: dict[int, asyncio.Future[list[Any]]] | None = None

    def activate(self, unsent: int, *, resumable: bool) -> None:
        """Write to the session from now on."""
        self.max_unsent = unsent
        self.resumable = resumable
        self.attach_transport()

    def attach_transport(self) -> None:
        transport = self.session.transport
        self._set_dialect()
        self.transport, self.sock, self.may_have_sock = transport.transport, None, True
        if self.phase is Phase.REPLAYING:
            self._limit_replay()
        else:
            self.write = transport.transport.write
            self._set_high_water(self.max_unsent)
        self._limit_if_full()

    def set_joined(self, topics: dict[str, bool]) -> None:
        """Change `joined_topics`. While there are any, each offset sent to the client records this, because the client
        must not be recovered without them, even if their row has been deleted."""
        before, self.joined_topics = self._offset_prefix, topics
        self._update_prefix(before)

    def mark_topics(self, *, saved: bool) -> None:
        """Record whether `joined_topics` are stored. While they are not, each offset sent to the client records that it
        must not be recovered, on any node, even after a crash of this one."""
        before, self.has_unsaved_topics = self._offset_prefix, not saved
        self._update_prefix(before)

    def _update_prefix(self, before: str) -> None:
        if self.resumable and self._offset_prefix != before and self.phase is not Phase.CLOSED:
            self._set_dialect()

    def _set_dialect(self) -> None:
        self.mark_revision = NO_MARK  # its bytes have the prefix of the dialect before
        self.dialect = protocol.dialect_for(
            self.namespace, self.session.transport.encoding, resumable=self.resumable, offset_prefix=self._offset_prefix
        )

    @property
    def _offset_prefix(self) -> str:
        if self.has_unsaved_topics:
            return protocol.UNRECOVERABLE
        return protocol.HAS_JOINED if self.joined_topics else ""

    # --- outbound

    def transition(self, to: Phase) -> None:
        super().transition(to)
        if to is not Phase.CLOSED:
            self._limit_if_full()

    def _limit_if_full(self) -> None:
        """Limit the output if the session's buffer is full already: its transport does not report that again."""
        if self.session.is_buffer_full:
            self.pause_writing()

    def open_socket(self) -> SocketType | None:
        return self.session.transport.open_socket()

    def emit(self, name: str, args: tuple[Any, ...], id: int | None = None) -> None:
        """Send an event. For resumable clients the last argument is the position, unless the client must acknowledge the event."""
        position = (self._offset_prefix + self.resume_position(),) if self.resumable and id is None else ()
        self._send(Packet(EVENT, self.namespace, [name, *args, *position], id))

    def acknowledge(self, id: int, args: list[Any]) -> None:
        self._send(Packet(ACK, self.namespace, args, id))

    def _send(self, packet: Packet) -> None:
        if self.phase is not Phase.CLOSED:
            self.last_sent_tick = self.owner.tick
            encoding, (head, attachments) = self.session.transport.encoding, protocol.encode(packet)
            for frame in (encoding.text(head), *map(encoding.binary, attachments)):
                self.write(frame)

    def pause_writing(self) -> None:
        """Wait with a replay. Until the session's reader has caught up, limit all other output."""
        if self.writable_waiter is None:
            self.writable_waiter = asyncio.get_running_loop().create_future()
        self.write = self._write_during_replay

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.phase is Phase.LIVE:
            self.write = self.transport.write

    # --- calls to the client

    async def ask(self, name: str, args: tuple[Any, ...]) -> list[Any]:
        """Emit with an id. Return the arguments of the ack. Raises TimeoutError if the client disconnects, or has done so."""
        if self.phase is Phase.CLOSED:
            raise TimeoutError(DISCONNECTED)
        if self._pending_acks is None:
            self._pending_acks = {}
        id, self._last_ack_id = self._last_ack_id, self._last_ack_id + 1
        ack: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._pending_acks[id] = ack
        try:
            self.emit(name, args, id)
            return await ack
        finally:
            if self._pending_acks is not None:
                self._pending_acks.pop(id, None)

    def on_ack(self, id: int | None, args: list[Any]) -> None:
        ack = self._pending_acks.pop(id, None) if self._pending_acks and id is not None else None
        if ack is not None and not ack.done():
            ack.set_result(args)

    # --- inbound

    @property
    def has_full_queue(self) -> bool:
        is_full: bool = self.session.app_state.is_full
        return is_full

    def resume_reading(self) -> None:
        """Read from the session again, unless it holds too many packets of other namespaces."""
        if self.pending is None:
            self.session.app_state.end_leaving(self)
        transport = self.session.transport.transport
        if not transport.is_closing() and not self.has_full_queue:
            transport.resume_reading()

    # --- close

    def close(self, end: CloseReason) -> None:
        """Close the session, after which clients reconnect, or send DISCONNECT, after which they do not reconnect."""
        if self.phase is Phase.CLOSED:
            return
        self.close_reason = end
        if end.event_id is not None:  # over Socket.IO only an event has an offset
            self.mark_topics(saved=False)
            self.emit("error", ({"code": Unavailable.code, "message": EVENTS_LOST},))
        if end.reconnect:
            self.session.close_by_client(end)
        else:
            self.transport.write(self.dialect.close(end))
            self.session.app_state.remove(self.session, self.namespace)
        self.disconnected()

    def disconnected(self) -> None:
        """Close without output. Idempotent."""
        if self.phase is not Phase.CLOSED:
            self.transition(Phase.CLOSED)
        self.owner.on_disconnected(self)
        if self.pending is not None:
            self.pending.clear()  # unprocessed messages
            self.session.app_state.keep_leaving(self)
        self.sock, self.may_have_sock = None, False  # the session detaches it
        self.transport, self.write = NULL_TRANSPORT, NULL_TRANSPORT.write
        acks, self._pending_acks = self._pending_acks, None
        for ack in (acks or {}).values():
            if not ack.done():
                ack.set_exception(TimeoutError(DISCONNECTED))


# --- topics that a connection joined after CONNECT

# Before the second attempt to save topics. The client waits for both, and each may wait for a lock of the database.
SAVE_RETRY_SECONDS = 0.5
UNSAVED = "The topics of this connection could not be stored: after a reconnect, it will not be recovered."
# Rows refreshed per write. Other writers wait for at most one such commit, about 10 ms.
REFRESH_BATCH_ROWS = 250


def _encode(topics: TopicLists) -> str:
    return msgspec.json.encode(topics).decode()


class ConnectionTopics(Struct, eq=False):
    """Topics that a connection joined after CONNECT: by the app's handlers, or by `subscribe`. They are stored under its inbox and
    public id, so that any node can restore them for a recovered connection."""

    live: LiveContext
    _refreshing: bool = False

    async def follow(
        self, connection: NamespaceConnection, names: list[str] | tuple[str, ...], *, by_app: bool
    ) -> None:
        """Record joined topics. When this returns, they are stored, or the client has been informed that it will not be
        recovered."""
        before = {} if connection.joined_topics is None else connection.joined_topics
        now = before | {name: by_app or before.get(name, False) for name in names}
        if now != before:
            connection.set_joined(now)
            await self._save(connection)

    async def unfollow(self, connection: NamespaceConnection, names: list[str] | tuple[str, ...]) -> None:
        if connection.joined_topics is not None and not connection.joined_topics.keys().isdisjoint(names):
            ended = set(names)  # a client may name 100,000
            left = {name: by_app for name, by_app in connection.joined_topics.items() if name not in ended}
            connection.set_joined(left)
            await self._save(connection)

    async def restore(
        self, connection: NamespaceConnection, followed: int, *, has_joined: bool
    ) -> dict[str, Grant] | None:
        """Return the stored topics of a returning connection: those joined by the app, and those it may still subscribe
        to. None if they have expired or cannot be decoded, or if it had joined topics of which none are stored: it has lost
        topics, and starts again without any."""
        principal, db, now = connection.principal, self.live.engines.db, self.live.engines.clock.now()
        by = JoinedBy(connection.inbox, connection.id)
        found = await JoinedTopics(db).get(by)
        if found is None:
            return None if has_joined else {}
        saved: TopicLists | None = None
        try:
            saved = msgspec.json.decode(found.text, type=TopicLists)
        except msgspec.DecodeError as failure:  # damaged, or written by a newer version during a rolling update
            log.warning("joined_topics_not_decodable", reason=str(failure))
        if saved == TopicLists():
            return {}
        if saved is None or now - found.saved_at > JOINED_TOPICS_LIFETIME_MS:
            await JoinedTopics(db).save(by, _encode(TopicLists()), now)
            return None
        self._refresh_from_now_on()
        granted, _ = await subscriptions.authorize_topics(db, principal, saved.subscribed, followed, self.live.config)
        connection.set_joined(dict.fromkeys(granted, False) | dict.fromkeys(saved.joined, True))
        return granted | dict.fromkeys(saved.joined, Grant.APP)

    async def _save(self, connection: NamespaceConnection) -> None:
        if not connection.resumable:
            return
        self._refresh_from_now_on()
        for delay in (0, SAVE_RETRY_SECONDS):
            await self.live.engines.clock.sleep(delay)
            try:
                await self._store(connection)
            except BellcastError as failure:
                log.warning("joined_topics_save_failed", reason=failure.detail)
                connection.mark_topics(saved=False)  # also applies until the next attempt
            else:
                return
        connection.emit("error", ({"code": Unavailable.code, "message": UNSAVED},))

    async def _store(self, connection: NamespaceConnection) -> None:
        topics = connection.joined_topics
        named = (topics or {}).items()
        followed = TopicLists(
            [name for name, by_app in named if by_app], [name for name, by_app in named if not by_app]
        )
        by, now = JoinedBy(connection.inbox, connection.id), self.live.engines.clock.now()
        await JoinedTopics(self.live.engines.db).save(by, _encode(followed), now)
        if connection.joined_topics is topics:  # they may have changed in the meantime
            connection.mark_topics(saved=True)

    def _refresh_from_now_on(self) -> None:
        if not self._refreshing:
            self._refreshing = True
            self.live.spawn(self._refresh())

    async def _refresh(self) -> None:
        while True:
            await self.live.engines.clock.sleep(JOINED_TOPICS_REFRESH_MS / 1000)
            try:
                now = self.live.engines.clock.now()
                connections = [one for one in self.live.hub if isinstance(one, NamespaceConnection) and one.resumable]
                unsaved = [one for one in connections if one.has_unsaved_topics]
                saved = [JoinedBy(one.inbox, one.id) for one in connections if one.joined_topics]
                for start in range(0, len(saved), REFRESH_BATCH_ROWS):
                    await JoinedTopics(self.live.engines.db).refresh(saved[start : start + REFRESH_BATCH_ROWS], now)
                for connection in unsaved:
                    await self._store(connection)
            except BellcastError as failure:
                log.warning("joined_topics_refresh_failed", reason=failure.detail)
            except Exception:  # without this task, no topics would be recovered after their lifetime
                log.exception("joined_topics_refresh_failed")
