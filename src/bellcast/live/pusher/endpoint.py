"""`/app/{key}`: the handshake assigns a socket id; users are identified later, by signing in. The observer derives Pusher events
from the hub: subscription counts, online status, and inbox changes on aliases, which are channels that an app already
subscribes to. `wire` creates the dialect."""

import asyncio
import secrets
from collections.abc import Callable
from functools import partial

import structlog
from msgspec import Struct

from bellcast import calls
from bellcast.auth import origins
from bellcast.inbox.types.inboxes import InboxEvent, NotificationAdded
from bellcast.kernel.errors import BellcastError
from bellcast.kernel.events import SEPARATOR, TOPIC, Stream, topic_stream
from bellcast.kernel.identities import DEFAULT_TENANT, Principal
from bellcast.live.cluster.groups import PresenceKey
from bellcast.live.cluster.guardians import Holder
from bellcast.live.connection import Connection, OnReady
from bellcast.live.connection.close_reasons import CloseReason
from bellcast.live.connection.dialect import Dialect, payload_of
from bellcast.live.connection.inbound_queue import InboundQueue
from bellcast.live.http import asgi
from bellcast.live.http.asgi import HandshakeRequest
from bellcast.live.http.websockets import WebSocketEndpoint
from bellcast.live.hub import Hub
from bellcast.live.pusher import protocol
from bellcast.live.pusher.apps import ConnectedApps, PusherApp, PusherAppDirectory
from bellcast.live.pusher.channels import PresenceCache, PusherCallContext, PusherChannels
from bellcast.live.pusher.connection_test import ConnectionTests
from bellcast.live.pusher.plugin import PusherConfig, alias, carried
from bellcast.live.pusher.protocol import PusherDialect
from bellcast.live.pusher.signed_in_users import PusherUsers
from bellcast.live.pusher.webhooks import PusherWebhooks
from bellcast.live.types import PresenceChanged
from bellcast.live.wiring import LiveContext, WiredDialect
from bellcast.topics.types import is_presence, is_private

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
            context = PusherCallContext(self._live, connection) if self._live.app.has(calls.CONNECT) else None
            try:
                if context is not None:  # it may identify the user without a sign-in
                    await context.connect(request.address, handshake=request.for_app(), signs_in_late=True)
                opened = await self._live.admission.admit(connection)
                self._users.remember_browser(connection, request)  # before a wait, in which the client may leave
                if opened is not None:
                    connection.revision = opened.inbox.state.revision
                # After every check: a client that was established and then refused would reconnect without a pause.
                connection.send_frame(protocol.established(connection.id, self._config.activity_timeout))
                if context is not None:
                    await context.flush()
                connection.go_live()
                if connection.is_stale:  # the inbox changed since it was read
                    self._live.hub.callbacks.fill_gap(connection)
                if self._config.authorized_within:
                    loop, seconds = asyncio.get_running_loop(), self._config.authorized_within
                    loop.call_later(seconds, self._check_authorized, connection.id)  # by its id, as it may end before
            except BaseException:  # refused, perhaps before the connection was registered
                self._apps.discard(connection)
                raise
        elif close_reason is not None:
            self._live.hub.end(connection, close_reason)
        at_ready()

    def _app_of(self, request: HandshakeRequest) -> PusherApp | None:
        return self._apps.apps.by_key.get(request.path.removeprefix(PATH).removesuffix("/"))

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
        if not any(map(is_private, connection.grants or ())):
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


# --- events of the hub

# Channels with more subscribers than this get their count at most once per interval.
DIRECT_SUBSCRIBERS, COUNT_INTERVAL_SECONDS = 100, 5.0
# While a new subscriber of a cache channel waits for the last event, which comes first, the count waits too.
CACHE_SECONDS = 0.1
# Prefix of Laravel's private channels for model classes.
LARAVEL = "App."
# The kind of ends that guardians report: of channels, and of members of presence channels.
HELD = "pusher"


class PusherObserver(Struct, eq=False):
    hub: Hub
    config: PusherConfig
    apps: ConnectedApps
    webhooks: PusherWebhooks
    users: PusherUsers
    presence_cache: PresenceCache
    _counting: dict[Stream, bool] = {}  # channel -> whether to notify the app too
    # Members that came here ("": a first follower) while those on other nodes were unknown
    _unreported: dict[Stream, set[str]] = {}

    def __post_init__(self) -> None:
        self.hub.guardians.holders[HELD] = Holder(self._end_held, self._begin_again)
        self.hub.groups.known.append(self._on_group_known)

    # --- subscribers

    @property
    def has_count_receivers(self) -> bool:
        """True if Pusher clients may be connected or webhooks are configured."""
        return self.apps.is_used or self.webhooks.is_configured

    def subscription_count_changed(self, stream: Stream, here: int, change: int, *, is_here: bool) -> None:
        if not stream.startswith(TOPIC):
            count = self.hub.subscriptions.total(stream) if self.users.watchers else None
            if count in (0, change):  # the user came online or went offline
                _, tenant, recipient = stream.split(SEPARATOR, 2)
                self.users.on_changed(tenant, recipient, is_online=count > 0)
            return
        if not self.has_count_receivers:
            return
        count = self.hub.subscriptions.total(stream)
        _, tenant, name = stream.split(SEPARATOR, 2)
        # The project's webhooks only report the default tenant.
        if tenant == DEFAULT_TENANT:
            # Send webhooks on the node where the change happened; for a dead node, on its guardian
            if is_here and here == change:
                self._hold(stream, "")
                self._report_begin(stream, "")
            elif is_here and here == 0:
                self._report_end(stream, "")
        if not self.config.subscription_count or is_presence(name):
            return
        # One count for all changes in this event loop iteration, sent after the reply to the new subscriber.
        if stream not in self._counting:
            delay = 0 if count <= DIRECT_SUBSCRIBERS else COUNT_INTERVAL_SECONDS
            asyncio.get_running_loop().call_later(delay, self._count, stream, name)
        self._counting[stream] = self._counting.get(stream, False) or is_here

    def presence_changed(self, change: PresenceChanged, *, is_here: bool) -> None:
        self.presence_cache.apply(change)
        if change.tenant != DEFAULT_TENANT or not is_presence(change.topic):
            return
        if is_here:
            for member in change.joined:
                self._report_begin(change.stream, member.recipient)

    def node_joined(self, key: PresenceKey) -> None:
        tenant, channel, recipient = key
        if tenant == DEFAULT_TENANT and is_presence(channel):
            self._hold(topic_stream(tenant, channel), recipient)

    def node_left(self, key: PresenceKey) -> None:
        tenant, channel, recipient = key
        if tenant == DEFAULT_TENANT and is_presence(channel):
            self._report_end(topic_stream(tenant, channel), recipient)

    # --- webhooks

    def _hold(self, stream: Stream, member: str) -> None:
        """Let a guardian report the end of the channel or the membership if this node dies."""
        if self.webhooks.is_configured:
            self.hub.guardians.hold(HELD, stream + SEPARATOR + member)

    def _end_held(self, name: str, _payload: bytes) -> None:
        _, _, channel, member = name.split(SEPARATOR, 3)
        self.webhooks.ended(channel, member)
        self.hub.guardians.release(HELD, name)

    def _begin_again(self, name: str) -> None:
        """Report what has not ended here, but was reported as ended because this node was regarded as dead."""
        kind, tenant, channel, member = name.split(SEPARATOR, 3)
        stream = Stream(SEPARATOR.join((kind, tenant, channel)))
        self._hold(stream, member)
        self._report_begin(stream, member)

    def _report_begin(self, stream: Stream, member: str) -> None:
        """Report an occupied channel or, with a `member`, who joined it; later if other nodes may have it already."""
        if not self.webhooks.is_configured:
            return
        groups, channel = self.hub.groups, stream.split(SEPARATOR, 2)[2]
        if not groups.is_known(stream):
            self._unreported.setdefault(stream, set()).add(member)
        elif not groups.count_before(stream, member or None):
            self.webhooks.began(channel, member)

    def _report_end(self, stream: Stream, member: str) -> None:
        self.hub.guardians.release(HELD, stream + SEPARATOR + member)
        unreported = self._unreported.get(stream, set())
        if member in unreported:
            unreported.discard(member)
            if not unreported:
                del self._unreported[stream]
        else:
            self.webhooks.ended(stream.split(SEPARATOR, 2)[2], member)

    def _on_group_known(self, stream: Stream) -> None:
        for member in self._unreported.pop(stream, ()):
            self._report_begin(stream, member)

    def _count(self, stream: Stream, channel: str) -> None:
        if stream in self.hub.dispatcher.collected:
            asyncio.get_running_loop().call_later(CACHE_SECONDS, self._count, stream, channel)
            return
        is_ours = self._counting.pop(stream) and stream == topic_stream(DEFAULT_TENANT, channel)
        count = self.hub.subscriptions.total(stream)
        if count:
            self._send(stream, partial(protocol.subscription_count, channel, count))
            if is_ours:
                self.webhooks.counted(channel, count)

    # --- inboxes

    def inbox_changed(self, event: InboxEvent) -> None:
        # The aliases of the settings now, which may have changed since the channels were subscribed to
        for pattern in self.config.aliases if self.apps.is_used else ():
            channel = alias(pattern, event.inbox.recipient)
            stream = topic_stream(event.inbox.tenant, channel)
            if self.hub.subscriptions.count(stream):
                payload = payload_of(event, event.inbox.position)
                self._send(stream, partial(protocol.inbox_change, channel, payload))
                if isinstance(event, NotificationAdded):
                    followers = self.hub.subscriptions.connections_on(stream)
                    written = sum(isinstance(one.dialect, PusherDialect) for one in followers)
                    if written:
                        self.hub.writes.record(event, written)
                    if LARAVEL in pattern:
                        self._send(stream, partial(protocol.laravel, channel, event.notification))

    def recipients_of(self, topic: str) -> set[str]:
        return carried(self.config.aliases, topic)

    def topics_of(self, recipient: str) -> list[str]:
        return [alias(pattern, recipient) for pattern in self.config.aliases]

    def pong_received(self, connection: Connection, data: bytes) -> None:
        self.users.on_pong(connection, data)

    def _send(self, stream: Stream, frame: Callable[[], bytes]) -> None:
        """Send a frame to the Pusher clients of a stream. It is only encoded if there are any."""

        def encode(dialect: Dialect) -> bytes | None:
            return dialect.encode_frame(frame()) if isinstance(dialect, PusherDialect) else None

        self.hub.dispatcher.send_to_stream(stream, encode)


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
        numbers=lambda: {"unreadable_pusher_apps": sum(one.state == "unreadable" for one in directory.all)},
        close=webhooks.close,
    )
