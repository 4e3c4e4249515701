"""The Pusher handshake: assigns a socket id. Users are identified later, by signing in. `wire` creates the dialect."""

import asyncio
import secrets

import structlog

from bellcast import calls
from bellcast.auth import origins
from bellcast.kernel.errors import BellcastError
from bellcast.kernel.identities import Principal
from bellcast.live.connection.close_reasons import CloseReason, RejectedByApp
from bellcast.live.connection.connection import Connection, OnReady
from bellcast.live.connection.inbound_queue import InboundQueue
from bellcast.live.http import asgi
from bellcast.live.http.asgi import HandshakeRequest
from bellcast.live.http.websockets import WebSocketEndpoint
from bellcast.live.pusher import protocol
from bellcast.live.pusher.apps import ConnectedApps, PusherApp, PusherAppDirectory
from bellcast.live.pusher.channels import PusherChannels
from bellcast.live.pusher.connection_test import ConnectionTests
from bellcast.live.pusher.hub_observer import PresenceCache, PusherObserver
from bellcast.live.pusher.plugin import PusherConfig
from bellcast.live.pusher.signed_in_users import PusherUsers
from bellcast.live.pusher.webhooks import PusherWebhooks
from bellcast.live.wiring import LiveContext, WiredDialect
from bellcast.topics.types import is_private

log = structlog.get_logger(__name__)

PATH = "/app/"
# Two numbers of this range form an unguessable id, and JavaScript represents each exactly.
ID_RANGE = 2**48
# Pong timeout of the protocol, in seconds.
PONG_TIMEOUT = 30.0


class PusherHandshake:
    """Opens connections and dispatches client commands to channels and users."""

    dialect = protocol.WEBSOCKET

    def __init__(self, live: LiveContext, apps: ConnectedApps, channels: PusherChannels, users: PusherUsers) -> None:
        self._apps = apps
        self._live = live
        self._config: PusherConfig = live.settings["pusher"]
        self._channels = channels
        self._users = users
        self.limits = live.config.limits
        self._queue = InboundQueue(self._handle, live.spawn, self.limits.frame, self.limits.frames_per_second)
        self.listener = self

    async def authenticate(self, request: HandshakeRequest) -> tuple[Principal, BellcastError | None]:
        """Return an anonymous principal of the app's tenant, as the protocol requires. A page of another origin is
        rejected after the upgrade, because stock clients retry a refused handshake forever."""
        app = self._app_of(request)
        allowed = request.may_use_token((app and app.origins) or self._live.config.access.origins)
        return Principal(tenant=app.tenant) if app else Principal(), None if allowed else origins.WrongOrigin()

    async def start(self, connection: Connection, request: HandshakeRequest, at_ready: OnReady) -> None:
        """Start an accepted WebSocket connection, or close it; raises BellcastError if it is refused."""
        if connection.transport.get_extra_info(asgi.NO_PINGS):
            connection.dialect = protocol.WITHOUT_PINGS
        connection.id = f"{secrets.randbelow(ID_RANGE)}.{secrets.randbelow(ID_RANGE)}"
        app = self._app_of(request)
        close_reason = self._rejection(app, request)
        if app is not None and close_reason is None:
            self._apps.add(connection, app)
            try:
                with self._live.admission.waiting_for_app(request.address):
                    # The `connect` handler may refuse the connection, or identify its user without a sign-in.
                    called = await self._channels.call_app(connection, calls.CONNECT, None, None, request)
                opened = await self._live.admission.admit(connection)
                self._users.remember_browser(connection, request)  # before a wait, in which the client may leave
                if opened is not None:
                    connection.revision = opened.inbox.state.revision
                # After every check: a client that was established and then refused would reconnect without a pause.
                connection.send_frame(protocol.established(connection.id, self._config.activity_timeout))
                if called is not None:
                    await called[1].flush()
                connection.go_live()
                if connection.is_stale:  # the inbox changed since it was read
                    self._live.hub.callbacks.fill_gap(connection)
                if self._config.authorized_within:
                    loop, seconds = asyncio.get_running_loop(), self._config.authorized_within
                    loop.call_later(seconds, self._check_authorized, connection.id)  # by its id, as it may end before
            except BaseException as error:  # refused, perhaps before the connection was registered
                self._apps.discard(connection)
                if isinstance(error, calls.Refused):
                    raise RejectedByApp(error.message) from None
                raise
        elif close_reason is not None:
            self._live.hub.end(connection, close_reason)
        at_ready()

    def _app_of(self, request: HandshakeRequest) -> PusherApp | None:
        return self._apps.apps.by_key(request.path.removeprefix(PATH).removesuffix("/"))

    def _rejection(self, app: PusherApp | None, request: HandshakeRequest) -> CloseReason | None:
        if app is None:
            return protocol.NO_SUCH_APP
        if not app.is_readable:
            return protocol.APP_UNREADABLE
        if not app.enabled:
            return protocol.APP_DISABLED
        if not self._config.enabled:
            return protocol.DISABLED
        return protocol.unsupported_version(request.parameter_values.get("protocol"))

    def _check_authorized(self, id: str) -> None:
        connection = self._live.hub.find(id)
        if connection is None or connection.principal.recipient is not None:
            return
        if not any(map(is_private, self._live.hub.subscriptions.topics(connection))):
            self._live.hub.end(connection, protocol.UNAUTHORIZED)

    # --- client commands

    def receive(self, connection: Connection, message: str | bytes) -> None:
        if isinstance(message, bytes):
            connection.write_tracked(connection.dialect.encode_frame(protocol.error("Frames are text, not binary.")))
        else:
            self._queue.enqueue(connection, message, len(message))

    async def _handle(self, connection: Connection, text: str) -> None:
        try:
            match protocol.receive(text):
                case protocol.PusherSubscribe() as command:
                    await self._channels.subscribe(connection, command)
                case protocol.PusherUnsubscribe(channel):
                    self._channels.unsubscribe(connection, channel)
                case protocol.Signin() as command:
                    await self._users.sign_in(connection, command)
                case protocol.ClientEvent() as command:
                    await self._channels.client_event(connection, command)
                case protocol.PING_EVENT:
                    connection.send_frame(protocol.PONG)
                case protocol.PONG_EVENT:
                    self._users.on_pong(connection, None)
        except BellcastError as refused:
            connection.send_frame(protocol.error(refused.detail))
        except Exception:
            log.exception("command_failed")
            connection.send_frame(protocol.error(BellcastError().detail))

    def disconnected(self, connection: Connection) -> None:
        self._apps.discard(connection)
        self._users.disconnected(connection)


def wire(live: LiveContext) -> WiredDialect:
    """Wire the apps, the WebSocket endpoint, the webhooks and the observer of the hub."""
    engines, hub, clock = live.engines, live.hub, live.real_clock
    config: PusherConfig = live.settings["pusher"]
    directory = PusherAppDirectory(engines.db, clock, live.encryption, live.project, live.announce)
    webhooks = PusherWebhooks(live)
    apps = ConnectedApps(live.project, directory, engines.clock, hub.end)
    users = PusherUsers(live, apps)
    presence_cache = PresenceCache()
    channels = PusherChannels(live, apps, webhooks, users, presence_cache)
    handshake = PusherHandshake(live, apps, channels, users)
    hub.observers.append(PusherObserver(hub, config, apps, webhooks, users, presence_cache))
    return WiredDialect(
        paths={PATH + "*": WebSocketEndpoint(live.config, live.admission, handshake)},
        services={
            PusherConfig: config,
            PusherAppDirectory: directory,
            ConnectionTests: ConnectionTests(directory, config, live.http, live.clients, clock, live.public_url),
        },
        loops={"pusher users": users.run},
        silence_limit=lambda: (config.activity_timeout, PONG_TIMEOUT),
        disconnected=handshake.disconnected,
        reload=directory.reload,
        numbers=lambda: {"unreadable_pusher_apps": sum(one.state == "unreadable" for one in directory.all())},
        close=webhooks.close,
    )
