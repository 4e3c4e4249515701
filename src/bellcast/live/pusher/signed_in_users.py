"""Pusher users: sign-in, inbox replay and watchlists.

Stock clients send no position, so the server records the position of each device: the pong to a ping sent after the
last change confirms its delivery. Later changes are replayed at the next sign-in, at least once, with the same ids."""

import hashlib
from functools import partial
from itertools import chain
from typing import TypeAlias

import structlog
from msgspec import Struct
from msgspec.structs import replace

from bellcast.inbox.types.inboxes import Position
from bellcast.kernel import validation
from bellcast.kernel.errors import BadRequest, BellcastError
from bellcast.kernel.events import inbox_stream
from bellcast.kernel.identities import Principal
from bellcast.live import resume
from bellcast.live.admission import close_refused, guarded_start
from bellcast.live.connection import Connection, Phase
from bellcast.live.connection.close_reasons import CloseReason
from bellcast.live.connection.dialect import InboxReset
from bellcast.live.http.asgi import HandshakeRequest
from bellcast.live.pusher import protocol, signatures
from bellcast.live.pusher.apps import ConnectedApps
from bellcast.live.pusher.plugin import PusherConfig
from bellcast.live.wiring import LiveContext
from bellcast.recipients.store import UNKNOWN_REVISION, DevicePosition, Devices
from bellcast.topics.store import LastEvents

log = structlog.get_logger(__name__)

WatchedUser: TypeAlias = tuple[str, str]  # tenant and key

WATCHLIST_TOO_LONG = 4302
# Interval of pings to clients with unconfirmed changes, and of saving confirmed positions.
PING_INTERVAL_SECONDS = 2.0
# A device that was disconnected for longer must fetch its inbox again.
BROWSER_MEMORY_MS = 7 * 86_400_000
EXPIRE_EVERY_ROUNDS = 1_800  # of PING_INTERVAL_SECONDS: one hour
DIGEST_BYTES = 12


class SignedInUser(Struct):
    """A connection's user, with the inbox revisions of the last ping, the last pong, and the last save."""

    user: protocol.User
    device: bytes
    inbox: int
    pinged: int = UNKNOWN_REVISION
    acknowledged: int = UNKNOWN_REVISION
    saved: int = UNKNOWN_REVISION


class PusherUsers:
    def __init__(self, live: LiveContext, apps: ConnectedApps) -> None:
        self._live = live
        self._apps = apps
        self._hub = live.hub
        self._config: PusherConfig = live.settings["pusher"]
        self._browsers: dict[Connection, bytes] = {}
        self._signed_in: dict[Connection, SignedInUser] = {}
        self.watchers: dict[WatchedUser, set[Connection]] = {}

    def remember_browser(self, connection: Connection, request: HandshakeRequest) -> None:
        """Store the fingerprint that identifies a device without a name."""
        traits = (request.address or "", request.header(b"user-agent") or "", request.origin or "")
        self._browsers[connection] = _digest("\n".join(traits))

    def info(self, connection: Connection) -> object:
        signed = self._signed_in.get(connection)
        return None if signed is None else signed.user.user_info

    # --- sign-in

    async def sign_in(self, connection: Connection, command: protocol.Signin) -> None:
        """Authenticate the user, open the inbox and replay missed changes."""
        user = self._user(connection, command)
        if isinstance(user, CloseReason):
            self._hub.end(connection, user)
        elif connection.principal.recipient is None:
            start = self._send_signed_in(connection, user, command.user_data)
            await guarded_start(connection, start, partial(close_refused, connection))
        elif connection.principal.recipient == user.key:
            connection.send_frame(protocol.signed_in(command.user_data))
        else:
            raise BadRequest("This connection is signed in as another user: open a new connection.")

    def _user(self, connection: Connection, command: protocol.Signin) -> protocol.User | CloseReason:
        apps = self._apps
        if apps.only_channel(connection) is not None:
            return _refused("This app is being tested: it cannot sign in users.")
        signed = signatures.user_string(connection.id, command.user_data)
        if not signatures.is_valid_for_any(apps.credentials(connection), command.auth, signed):
            return _refused(f"The signature must be {apps.key(connection)}:<hex HMAC-SHA256> of {signed[:500]!r}.")
        user = protocol.read_user(command.user_data)
        if isinstance(user, str):
            return _refused(user)
        for problem in chain(
            validation.key("id", user.key, self._live.config.limits), validation.data("user_info", user.user_info, 0)
        ):
            return _refused(f"user_data: {problem.field} {problem.message}.")
        return user

    async def _send_signed_in(self, connection: Connection, user: protocol.User, user_data: str) -> None:
        tenant, now = connection.principal.tenant, self._live.engines.clock.now()
        principal = Principal(tenant=tenant, recipient=user.key, issued_at=now)
        inbox = await self._live.admission.sign_in(connection, principal)
        device = self._browsers.get(connection, b"") if user.device is None else _digest(user.device)
        signed = self._signed_in[connection] = SignedInUser(user, device, inbox.number)
        engines, limits, state = self._live.engines, self._live.config.limits, inbox.state
        size = self._config.watchlist or len(user.watchlist)
        watched = list(dict.fromkeys(user.watchlist[:size])) if self._config.watchlists else []
        new = DevicePosition(inbox.number, signed.device, connection.id, state.epoch, UNKNOWN_REVISION)
        async with self._hub.groups.observing([inbox_stream(tenant, one) for one in watched]):
            connected = await self._live.survey.ids_of(state.tenant, state.recipient)
            position = await Devices(engines.db).register(new, connected, engines.clock.now())
            missed = None if position is None else await resume.changes_since(engines.db, inbox, position, limits)
            if connection.phase is not Phase.OPENING:
                return
            # No await from here to the replay: events for a signed-in user must not arrive while the connection is still
            # opening.
            connection.send_frame(protocol.signed_in(user_data))
            self._watch(connection, watched)
            if watched and size < len(user.watchlist):
                message = f"A watchlist holds {size} users; the rest is ignored."
                connection.send_frame(protocol.error(message, WATCHLIST_TOO_LONG))
        connection.revision = state.revision
        if position is not None and missed is not None:
            connection.revision = position.revision
            await resume.replay(engines.db, connection, missed, position, limits)
            return
        connection.write_tracked(connection.dialect.replay(InboxReset(state), state.position))
        if connection.is_stale:
            start = Position(state.epoch, state.revision)
            await resume.replay(engines.db, connection, None, start, limits)
        else:
            connection.go_live()

    # --- confirmed positions

    async def run(self) -> None:
        """Send pings and save positions until cancelled."""
        engines, rounds = self._live.engines, 0
        while True:
            await engines.clock.sleep(PING_INTERVAL_SECONDS)
            rounds += 1
            try:
                await self.save_acknowledged()
                if rounds % EXPIRE_EVERY_ROUNDS == 0:
                    db, now = engines.db, engines.clock.now()
                    await Devices(db).delete_older(now - BROWSER_MEMORY_MS)
                    await LastEvents(db).delete_older(now - int(self._config.cache_ttl * 1000))
            except BellcastError as failure:
                log.warning("device_positions_save_postponed", reason=failure.detail)

    async def save_acknowledged(self) -> None:
        """Save the positions confirmed since the last round and ping clients with newer changes."""
        confirmed: list[tuple[SignedInUser, DevicePosition]] = []
        for connection, signed in tuple(self._signed_in.items()):  # a ping may close a slow reader
            if signed.acknowledged != signed.saved:
                position = DevicePosition(
                    signed.inbox, signed.device, connection.id, connection.epoch, signed.acknowledged
                )
                confirmed.append((signed, position))
            if connection.phase is Phase.LIVE and connection.revision != signed.pinged:
                used = connection.dialect
                # If pings have no number, the pong to the previous one must have arrived, because it would also confirm
                # this one.
                if isinstance(used, protocol.PusherDialect) and (
                    used.numbers_pings or signed.acknowledged == signed.pinged
                ):
                    signed.pinged = connection.revision
                    connection.write_tracked(used.ping_with_position(connection.revision))
        if confirmed:
            engines = self._live.engines
            await Devices(engines.db).acknowledge([position for _, position in confirmed], engines.clock.now())
            for signed, position in confirmed:
                signed.saved = position.revision

    def on_pong(self, connection: Connection, data: bytes | None) -> None:
        """Handle a pong. `data` is the revision in the ping, None if pings carry no data."""
        signed = self._signed_in.get(connection)
        if signed is None:
            return
        if data is None or data == b"%d" % signed.pinged:
            signed.acknowledged = signed.pinged

    # --- watchlists

    def _watch(self, connection: Connection, watched: list[str]) -> None:
        """Follow the users of a watchlist, each named once."""
        tenant = connection.principal.tenant
        if not watched or connection.phase is Phase.CLOSED:
            return
        for one in watched:
            watchers = self.watchers.setdefault((tenant, one), set())
            if not watchers:
                self._hub.groups.follow(inbox_stream(tenant, one))
            watchers.add(connection)
        counts = {one: self._hub.subscriptions.total(inbox_stream(tenant, one)) for one in watched}
        online = [one for one, count in counts.items() if count > 0]
        offline = [one for one, count in counts.items() if count <= 0]
        connection.send_frame(protocol.watchlist_event(online, offline))

    def on_changed(self, tenant: str, user: str, *, is_online: bool) -> None:
        """Tell those who watch a user that it is online now, or offline."""
        for connection in tuple(self.watchers.get((tenant, user), ())):
            connection.send_frame(protocol.watchlist_event([user] if is_online else [], [] if is_online else [user]))

    def disconnected(self, connection: Connection) -> None:
        self._browsers.pop(connection, None)
        signed = self._signed_in.pop(connection, None)
        for one in signed.user.watchlist if signed is not None else ():
            key = connection.principal.tenant, one
            watchers = self.watchers.get(key, set())
            watchers.discard(connection)
            if not watchers and self.watchers.pop(key, None) is not None:
                self._hub.groups.unfollow(inbox_stream(*key))


def _refused(message: str) -> CloseReason:
    # The text may quote data of the user, which must not appear in the log and in lists of connections.
    return replace(protocol.BAD_SIGNIN, message=message)


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(errors="replace"), digest_size=DIGEST_BYTES).digest()
