"""The topics that a connection joined after CONNECT, which are stored for its recovery."""

import msgspec
import structlog
from msgspec import Struct

from bellcast.auth.permissions import Grant
from bellcast.kernel.errors import BellcastError, Unavailable
from bellcast.live.hub import subscriptions
from bellcast.live.socketio.engine_session import NamespaceConnection
from bellcast.live.wiring import LiveContext
from bellcast.topics.store import (
    JOINED_TOPICS_LIFETIME_MS,
    JOINED_TOPICS_REFRESH_MS,
    JoinedBy,
    JoinedTopics,
    TopicLists,
)

log = structlog.get_logger(__name__)

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
