"""The topics a member follows beyond those it is given at the door: by the app's word, or by its own wish. They are kept
in the store under its public id, so that whoever comes back as itself has them again, on any node."""

import msgspec
import structlog
from msgspec import Struct

from bellcast.errors import BellcastError
from bellcast.live import topics
from bellcast.live.hub import Hub
from bellcast.live.rules import Rules, Spawn
from bellcast.live.sessions.socketio.member import Member
from bellcast.ports import Engines, Kept

log = structlog.get_logger(__name__)

# Beside what topics keep: no topic of a client's has such a name.
PREFIX = "#rooms "
# As long as a device is known that cannot say itself how far it was told.
KEPT_MS = 7 * 86_400_000
# Members that stay for days are written down anew, long before their time is over.
REFRESH_SECONDS = 86_400.0


class Followed(Struct, frozen=True, array_like=True):
    """What a member had joined by the app's word, and what it follows by its own."""

    joined: list[str] = []
    subscribed: list[str] = []


_decode = msgspec.json.Decoder(Followed).decode


class Rooms:
    """Keeps what members follow, and gives it back."""

    def __init__(self, engines: Engines, hub: Hub, rules: Rules, spawn: Spawn) -> None:
        self._engines = engines
        self._hub = hub
        self._rules = rules
        self._spawn = spawn
        self._refreshing = False

    async def follow(self, member: Member, names: list[str] | tuple[str, ...], *, by_app: bool) -> None:
        """It follows these now; written down when this returns."""
        before = {} if member.rooms is None else member.rooms
        now = before | {name: by_app or before.get(name, False) for name in names}
        if now != before:
            member.rooms = now
            await self._keep(member)

    async def unfollow(self, member: Member, names: list[str] | tuple[str, ...]) -> None:
        """It does not follow these any more."""
        if member.rooms is not None and not member.rooms.keys().isdisjoint(names):
            member.rooms = {name: by_app for name, by_app in member.rooms.items() if name not in names}
            await self._keep(member)

    async def restore(self, member: Member, given: int) -> tuple[str, ...]:
        """What a member that comes back under its id had: all the app let it join, and of its own wishes what it still may."""
        principal, store = member.principal, self._engines.store
        kept = await store.topics.last(principal.tenant, PREFIX + member.id, self._engines.clock.now())
        if kept is None:
            return ()
        had = _decode(kept.data)
        wished, _ = await topics.admitted(store, principal, had.subscribed, given, self._rules)
        member.rooms = dict.fromkeys(wished, False) | dict.fromkeys(had.joined, True)
        return tuple(member.rooms)

    async def _keep(self, member: Member) -> None:
        if not member.resumable:
            return
        self._refresh_from_now_on()
        rooms = (member.rooms or {}).items()
        followed = Followed([name for name, by_app in rooms if by_app], [name for name, by_app in rooms if not by_app])
        until = self._engines.clock.now() + KEPT_MS
        kept = Kept(name="rooms", data=msgspec.json.encode(followed).decode(), at=until)
        try:
            await self._engines.store.topics.keep(member.principal.tenant, PREFIX + member.id, kept)
        except BellcastError as failure:
            log.warning("what a client follows is not kept", why=failure.detail)

    def _refresh_from_now_on(self) -> None:
        if not self._refreshing:
            self._refreshing = True
            self._spawn(self._refresh())

    async def _refresh(self) -> None:
        while True:
            await self._engines.clock.sleep(REFRESH_SECONDS)
            for member in self._hub:
                if isinstance(member, Member) and member.rooms:
                    await self._keep(member)
