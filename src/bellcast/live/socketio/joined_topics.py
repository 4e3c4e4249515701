"""The topics a member joined beyond those it gets at CONNECT: by the app's handlers, or by `subscribe`. They are stored
under its recipient and public id, so that a recovered connection has them again, on any node."""

import msgspec
import structlog
from msgspec import Struct

from bellcast.auth.permissions import Grant
from bellcast.errors import BellcastError
from bellcast.live import topic_access
from bellcast.live.config import LiveConfig, Spawn
from bellcast.live.hub.hub import Hub
from bellcast.live.socketio.namespace_connection import NamespaceConnection
from bellcast.ports import Context, JoinedBy
from bellcast.ports.joined_topics import JOINED_TOPICS_REFRESH_MS

log = structlog.get_logger(__name__)

# Rows refreshed per write: other writers wait for at most one such commit, about 10 ms.
REFRESH_BATCH_ROWS = 250


class SavedTopics(Struct, frozen=True, array_like=True):
    """Topics joined by the app and topics subscribed by the client."""

    joined: list[str] = []
    subscribed: list[str] = []


_decode = msgspec.json.Decoder(SavedTopics).decode


class JoinedTopics:
    """Stores and restores the joined topics of members."""

    def __init__(self, engines: Context, hub: Hub, rules: LiveConfig, spawn: Spawn) -> None:
        self._engines = engines
        self._hub = hub
        self._rules = rules
        self._spawn = spawn
        self._refreshing = False

    async def follow(self, member: NamespaceConnection, names: list[str] | tuple[str, ...], *, by_app: bool) -> None:
        """Add topics to the member; stored when this returns."""
        before = {} if member.joined_topics is None else member.joined_topics
        now = before | {name: by_app or before.get(name, False) for name in names}
        if now != before:
            member.joined_topics = now
            await self._save(member)

    async def unfollow(self, member: NamespaceConnection, names: list[str] | tuple[str, ...]) -> None:
        """Remove topics from the member."""
        if member.joined_topics is not None and not member.joined_topics.keys().isdisjoint(names):
            member.joined_topics = {name: by_app for name, by_app in member.joined_topics.items() if name not in names}
            await self._save(member)

    async def restore(self, member: NamespaceConnection, given: int) -> dict[str, Grant]:
        """What a member that comes back under its id had: all the app let it join, and of its own wishes what it still may."""
        principal, store = member.principal, self._engines.store
        stored = await store.joined_topics.get(JoinedBy(member.inbox, member.id), self._engines.clock.now())
        if stored is None:
            return {}
        self._refresh_from_now_on()
        had = _decode(stored)
        wished, _ = await topic_access.authorize_topics(store, principal, had.subscribed, given, self._rules)
        member.joined_topics = dict.fromkeys(wished, False) | dict.fromkeys(had.joined, True)
        return wished | dict.fromkeys(had.joined, Grant.APP)

    async def _save(self, member: NamespaceConnection) -> None:
        if not member.resumable:
            return
        self._refresh_from_now_on()
        rooms = (member.joined_topics or {}).items()
        followed = SavedTopics(
            [name for name, by_app in rooms if by_app], [name for name, by_app in rooms if not by_app]
        )
        text = msgspec.json.encode(followed).decode()
        try:
            now = self._engines.clock.now()
            await self._engines.store.joined_topics.save(JoinedBy(member.inbox, member.id), text, now)
        except BellcastError as failure:
            log.warning("joined_topics_save_failed", why=failure.detail)

    def _refresh_from_now_on(self) -> None:
        if not self._refreshing:
            self._refreshing = True
            self._spawn(self._refresh())

    async def _refresh(self) -> None:
        while True:
            await self._engines.clock.sleep(JOINED_TOPICS_REFRESH_MS / 1000)
            try:
                await self._refresh_all()
            except BellcastError as failure:
                log.warning("joined_topics_refresh_failed", why=failure.detail)

    async def _refresh_all(self) -> None:
        now = self._engines.clock.now()
        stored = [
            JoinedBy(one.inbox, one.id)
            for one in self._hub
            if isinstance(one, NamespaceConnection) and one.resumable and one.joined_topics
        ]
        for start in range(0, len(stored), REFRESH_BATCH_ROWS):
            await self._engines.store.joined_topics.refresh(stored[start : start + REFRESH_BATCH_ROWS], now)
