"""Pusher's users: signing in, their inbox and what of it they missed, and who watches whom.

Stock clients carry no position. So the server notes how far each device was told: a ping that follows the last change
is answered behind it. What came after is told again at the next sign-in: at least once, with the same ids."""

import hashlib
from itertools import chain

import structlog
from msgspec import Struct

from bellcast.auth import pusher as signatures
from bellcast.errors import BadRequest, BellcastError
from bellcast.live import resume
from bellcast.live.arrivals import Arrivals, guard_start
from bellcast.live.connection import Connection, Phase
from bellcast.live.protocols import pusher
from bellcast.live.protocols.pusher import endings, frames
from bellcast.live.reasons import Close
from bellcast.live.requests import Request
from bellcast.live.sessions.pusher_wiring import Wiring
from bellcast.model import drafts
from bellcast.model.events import inbox_stream
from bellcast.model.inboxes import Inbox
from bellcast.model.people import DEFAULT_TENANT, Principal
from bellcast.ports import UNKNOWN, Reached

log = structlog.get_logger(__name__)

WATCHLIST_TOO_LONG = 4302
# How often clients that were told something are asked whether it arrived, and how far they are is noted.
ASK_SECONDS = 2.0
# A device away for longer is told to fetch its inbox anew.
REMEMBERED_MS = 7 * 86_400_000
FORGET_EVERY = 1_800  # rounds: an hour
DIGEST_BYTES = 12


class SignedIn(Struct):
    """A connection's user. `asked` is the revision behind which the last ping went out, `told` the one behind which the
    last answer came in, `noted` the one that was written down."""

    user: pusher.User
    device: bytes
    inbox: int
    asked: int = UNKNOWN
    told: int = UNKNOWN
    noted: int = UNKNOWN


class Users:
    """Everybody signed in here."""

    def __init__(self, wiring: Wiring, arrivals: Arrivals) -> None:
        self._wiring = wiring
        self._hub = wiring.hub
        self._rules = wiring.pusher
        self._arrivals = arrivals
        self._browsers: dict[Connection, bytes] = {}
        self._signed: dict[Connection, SignedIn] = {}
        self._watchers: dict[str, set[Connection]] = {}

    def expect(self, connection: Connection, request: Request) -> None:
        """Remember by what a device without a name will be known again."""
        traits = (request.address or "", request.header(b"user-agent") or "", request.header(b"origin") or "")
        self._browsers[connection] = _digest("\n".join(traits))

    def info(self, connection: Connection) -> object:
        """What the app signed of the connection's user."""
        signed = self._signed.get(connection)
        return None if signed is None else signed.user.user_info

    # --- signing in

    async def sign_in(self, connection: Connection, asked: pusher.Signin) -> None:
        """Say who it is, open the inbox, tell what was missed."""
        user = self._user(connection, asked)
        if isinstance(user, Close):
            self._hub.end(connection, user)
        elif connection.principal.recipient is None:
            await guard_start(connection, self._welcome(connection, user, asked.user_data))
        elif connection.principal.recipient == user.id:
            self._tell(connection, frames.signed_in(asked.user_data))
        else:
            raise BadRequest("This connection is signed in as somebody else: connect anew.")

    def _user(self, connection: Connection, asked: pusher.Signin) -> pusher.User | Close:
        project = self._wiring.project
        signed = signatures.user_string(connection.id, asked.user_data)
        if not signatures.holds(project, asked.auth, signed):
            return _refused(f"The signature must be {project.key}:<hex HMAC-SHA256> of {signed[:500]!r}.")
        user = pusher.read_user(asked.user_data)
        if isinstance(user, str):
            return _refused(user)
        for wrong in chain(
            drafts.key("id", user.id, self._wiring.rules.limits), drafts.data("user_info", user.user_info, 0)
        ):
            return _refused(f"user_data: {wrong.field} {wrong.message}.")
        return user

    async def _welcome(self, connection: Connection, user: pusher.User, user_data: str) -> None:
        principal = Principal(recipient=user.id, issued_at=self._wiring.engines.clock.now())
        inbox = await self._arrivals.identify(connection, principal)
        device = self._device(connection, user)
        signed = self._signed[connection] = SignedIn(user, device, inbox.number)
        self._tell(connection, frames.signed_in(user_data))
        self._watch(connection, user)
        await self._catch_up(connection, signed, inbox)

    def _device(self, connection: Connection, user: pusher.User) -> bytes:
        return self._browsers.get(connection, b"") if user.device is None else _digest(user.device)

    async def _catch_up(self, connection: Connection, signed: SignedIn, inbox: Inbox) -> None:
        """Tell what the device missed, or that it cannot be known; then live."""
        engines, limits, state = self._wiring.engines, self._wiring.rules.limits, inbox.state
        new = Reached(inbox.number, signed.device, connection.id, state.epoch, UNKNOWN)
        theirs = self._hub.on(inbox_stream(state.tenant, state.recipient))
        here = frozenset(one.id for one in theirs if one is not connection)
        position = await engines.store.devices.arrive(new, here, engines.clock.now())
        missed = None if position is None else await resume.missed(engines.store, inbox, position, limits)
        if connection.phase is not Phase.HOLDING:
            return
        connection.revision = state.revision
        if position is not None and missed is not None:
            connection.revision = position.revision
            await resume.replay(engines.store, connection, missed, position.revision, limits)
            return
        connection.told(connection.dialect.reset(state))
        if connection.behind:
            await resume.replay(engines.store, connection, None, connection.revision, limits)
        else:
            connection.phase = Phase.LIVE

    # --- how far they were told

    async def run(self) -> None:
        """Ask and note, for ever."""
        engines, rounds = self._wiring.engines, 0
        while True:
            await engines.clock.sleep(ASK_SECONDS)
            rounds += 1
            try:
                await self.note()
                if rounds % FORGET_EVERY == 0:
                    await self._forget()
            except BellcastError as failure:
                log.warning("how far clients were told is noted later", why=failure.detail)

    async def _forget(self) -> None:
        store, now = self._wiring.engines.store, self._wiring.engines.clock.now()
        await store.devices.forget(now - REMEMBERED_MS)
        await store.topics.forget(now - int(self._rules.cache_ttl * 1000))

    async def note(self) -> None:
        """Write down who answered since the last time, and ask who was told more."""
        come = []
        for connection, signed in self._signed.items():
            if signed.told != signed.noted:
                signed.noted = signed.told
                come.append(Reached(signed.inbox, signed.device, connection.id, connection.epoch, signed.told))
            if connection.phase is Phase.LIVE and connection.revision != signed.asked:
                signed.asked = connection.revision
                self._ask(connection)
        if come:
            await self._wiring.engines.store.devices.reach(come, self._wiring.engines.clock.now())

    def _ask(self, connection: Connection) -> None:
        if isinstance(connection.dialect, pusher.Dialect):
            connection.told(connection.dialect.ask(connection.revision))

    def answered(self, connection: Connection, data: bytes | None) -> None:
        """A ping was answered; `data` is the revision it carried, None where pings carry none."""
        signed = self._signed.get(connection)
        if signed is None:
            return
        if data is None or data == b"%d" % signed.asked:
            signed.told = signed.asked

    # --- who watches whom

    def _watch(self, connection: Connection, user: pusher.User) -> None:
        if not self._rules.watchlists or not user.watchlist:
            return
        limit = self._rules.watchlist or len(user.watchlist)
        watched = list(dict.fromkeys(user.watchlist[:limit]))
        for one in watched:
            self._watchers.setdefault(one, set()).add(connection)
        online = [one for one in watched if self._is_online(one)]
        offline = [one for one in watched if not self._is_online(one)]
        self._tell(connection, frames.watched(online, offline))
        if len(user.watchlist) > limit:
            message = f"A watchlist holds {limit} users; the others are not watched."
            self._tell(connection, frames.error(message, WATCHLIST_TOO_LONG))

    def _is_online(self, user: str) -> bool:
        return self._hub.total(inbox_stream(DEFAULT_TENANT, user)) > 0

    def came(self, user: str) -> None:
        """Somebody's first connection came."""
        for connection in tuple(self._watchers.get(user, ())):
            self._tell(connection, frames.watched([user], []))

    def went(self, user: str) -> None:
        """Somebody's last connection went."""
        for connection in tuple(self._watchers.get(user, ())):
            self._tell(connection, frames.watched([], [user]))

    def gone(self, connection: Connection) -> None:
        """Forget a connection."""
        self._browsers.pop(connection, None)
        signed = self._signed.pop(connection, None)
        for one in signed.user.watchlist if signed is not None else ():
            watchers = self._watchers.get(one, set())
            watchers.discard(connection)
            if not watchers:
                self._watchers.pop(one, None)

    def _tell(self, connection: Connection, frame: bytes) -> None:
        if connection.phase is not Phase.ENDED:
            connection.told(connection.dialect.wrap(frame))


def _refused(message: str) -> Close:
    return Close(endings.BAD_SIGNIN.code, message, reconnect=False)


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(errors="replace"), digest_size=DIGEST_BYTES).digest()
