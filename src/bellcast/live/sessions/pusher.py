"""How the Pusher dialect greets: with a socket id. Who is here is said later, by signing in."""

import asyncio
import secrets

import structlog

from bellcast import calls
from bellcast.auth import origins
from bellcast.auth.access import Access
from bellcast.errors import BadRequest, BellcastError, Forbidden
from bellcast.live.answering import accepted
from bellcast.live.arrivals import Arrivals
from bellcast.live.connection import Connection, Phase
from bellcast.live.hub import Hub
from bellcast.live.protocols import pusher
from bellcast.live.protocols.pusher import endings, frames
from bellcast.live.reasons import Close
from bellcast.live.requests import Request
from bellcast.live.rules import Spawn
from bellcast.live.sessions.native import AtReady
from bellcast.live.sessions.pusher_channels import Channels
from bellcast.live.sessions.pusher_users import Users
from bellcast.live.turns import Turns
from bellcast.model import topics
from bellcast.model.limits import Limits
from bellcast.model.people import Principal, Project
from bellcast.model.pusher import PusherRules

log = structlog.get_logger(__name__)

PATH = "/app/"
# Two numbers of this size make ids nobody guesses, and JavaScript reads each exactly.
ID_RANGE = 2**48


class PusherSessions:
    """Greets, and hands what clients say to the rooms of channels and users."""

    direct = pusher.WEBSOCKET
    foreign = pusher.MESSAGE

    def __init__(
        self,
        project: Project,
        access: Access,
        limits: Limits,
        rules: PusherRules,
        hub: Hub,
        arrivals: Arrivals,
        channels: Channels,
        users: Users,
        spawn: Spawn,
    ) -> None:
        self._project = project
        self._access = access
        self._rules = rules
        self._hub = hub
        self._arrivals = arrivals
        self._channels = channels
        self._users = users
        self._turns = Turns(self._do, spawn)
        self._deadlines: dict[Connection, asyncio.TimerHandle] = {}  # for authorization
        self.limits = limits
        self.listener = self

    async def visitor(self, request: Request) -> tuple[Principal, BellcastError | None]:
        """Nameless, by protocol. A foreign page is turned away once it can be told: stock clients would come back for
        ever after a refused handshake."""
        allowed = origins.token_allowed(
            request.header(b"origin"),
            scheme=request.scheme,
            host=request.header(b"host") or "",
            origins=self._access.origins,
        )
        return Principal(), None if allowed else origins.WrongOrigin()

    async def begin(
        self, connection: Connection, request: Request, refusal: BellcastError | None, at_ready: AtReady
    ) -> None:
        """From the accepted WebSocket to a live one, or to its end; raises why it is refused."""
        connection.id = f"{secrets.randbelow(ID_RANGE)}.{secrets.randbelow(ID_RANGE)}"
        if refusal is not None:
            raise refusal
        end = self._turned_away(request)
        if end is None:
            await self._enter(connection, request)
        else:
            self._hub.end(connection, end)
        at_ready()

    def _turned_away(self, request: Request) -> Close | None:
        if request.path.removeprefix(PATH).removesuffix("/") != self._project.key:
            return pusher.NO_SUCH_APP
        return endings.refused_version(dict(request.parameters).get("protocol"))

    async def _enter(self, connection: Connection, request: Request) -> None:
        connection.told(connection.dialect.wrap(frames.established(connection.id, self._rules.activity_timeout)))
        await self._ask_app(connection)
        opened = await self._arrivals.enter(connection)
        connection.phase = Phase.LIVE
        if opened is not None:
            connection.revision = opened.inbox.state.revision
        self._users.expect(connection, request)
        if self._rules.authorized_within:
            loop, seconds = asyncio.get_running_loop(), self._rules.authorized_within
            self._deadlines[connection] = loop.call_later(seconds, self._check_authorized, connection)

    async def _ask_app(self, connection: Connection) -> None:
        """A `connect` handler may refuse, or say who it is without a sign-in."""
        try:
            call = await self._channels.ask(connection, calls.CONNECT, None, None)
        except calls.Refused as refused:
            raise Forbidden(refused.message) from None
        if call is not None and call.accepted is not None:
            connection.principal = accepted(call.accepted, connection.principal, asked_at=connection.since)

    def _check_authorized(self, connection: Connection) -> None:
        self._deadlines.pop(connection, None)
        known = connection.principal.recipient is not None or any(map(topics.is_private, self._hub.topics(connection)))
        if connection.phase is not Phase.ENDED and not known:
            self._hub.end(connection, endings.UNAUTHORIZED)

    # --- what clients say

    def receive(self, connection: Connection, message: str | bytes) -> None:
        """Take one frame in; it is done after the ones before it."""
        if isinstance(message, bytes):
            connection.told(connection.dialect.wrap(frames.error("Frames are text, not binary.")))
        else:
            self._turns.take(connection, message)

    async def _do(self, connection: Connection, message: str) -> None:
        command = pusher.receive(message)
        try:
            await self._obey(connection, command)
        except BellcastError as refusal:
            self._tell(connection, frames.error(refusal.detail))
        except Exception:
            log.exception("command failed", command=type(command).__name__)
            self._tell(connection, frames.error(BellcastError().detail))

    async def _obey(self, connection: Connection, command: pusher.Command | pusher.Rejected) -> None:
        match command:
            case pusher.Subscribe():
                await self._channels.subscribe(connection, command)
            case pusher.Unsubscribe(channel):
                self._channels.unsubscribe(connection, channel)
            case pusher.Signin():
                await self._users.sign_in(connection, command)
            case pusher.ClientEvent():
                await self._channels.client_event(connection, command)
            case pusher.Ping():
                self._tell(connection, frames.PONG)
            case pusher.Pong():
                self._users.answered(connection, None)
            case pusher.Rejected(message):
                raise BadRequest(message)

    def _tell(self, connection: Connection, frame: bytes) -> None:
        if connection.phase is not Phase.ENDED:
            connection.told(connection.dialect.wrap(frame))

    def gone(self, connection: Connection) -> None:
        """Forget what is kept of a connection."""
        if (deadline := self._deadlines.pop(connection, None)) is not None:
            deadline.cancel()
        self._channels.gone(connection)
        self._users.gone(connection)
