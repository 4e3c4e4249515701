"""The native handshake: `ready`, then the replay of missed changes, then live events."""

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

from msgspec import Struct

from bellcast import calls
from bellcast.auth.origins import WrongOrigin
from bellcast.auth.permissions import Grant
from bellcast.inbox.types.inboxes import Changes, Inbox, Position, parse_position
from bellcast.kernel.brokers import history
from bellcast.kernel.errors import BellcastError
from bellcast.kernel.identities import Principal
from bellcast.live import topic_access
from bellcast.live.connection.connection import Connection, OnReady, Phase
from bellcast.live.http.handshake_request import HandshakeRequest
from bellcast.live.inbox_payloads import InboxReset, Payload
from bellcast.live.native import app_callbacks, protocol
from bellcast.live.native.app_callbacks import NativeCallContext
from bellcast.live.native.commands import Commands
from bellcast.live.sync import resume
from bellcast.live.wiring import LiveContext

NOTHING: topic_access.Authorized = ({}, ())


class OpenedInbox(Struct, frozen=True):
    """An admitted connection's inbox and its resume position."""

    inbox: Inbox | None  # None: anonymous
    missed: Changes | None
    resumed: Position | None  # None if it cannot resume
    lost: Inbox | None  # the inbox, if the client sent a position from which it cannot resume
    context: NativeCallContext | None  # of the `connect` handler, if the app has one
    event_id: str | None  # the last live event that the client received
    rewind: int  # past events requested of each topic


class NativeHandshake:
    """Starts SSE and WebSocket connections; frames received on a WebSocket go to `listener`."""

    dialect = protocol.WEBSOCKET

    def __init__(self, live: LiveContext, commands: Commands) -> None:
        self._live = live
        heartbeat = live.config.heartbeat
        self._heartbeat = int(heartbeat) if heartbeat == int(heartbeat) else heartbeat
        self.listener = commands

    async def authenticate(self, request: HandshakeRequest) -> tuple[Principal, BellcastError | None]:
        """Return the principal, or an anonymous one with the error to send after the upgrade."""
        try:
            return await self._live.authenticator.recipient(request, "websocket"), None
        except WrongOrigin:
            raise
        except BellcastError as authentication_error:
            return Principal(), authentication_error

    async def start(self, connection: Connection, request: HandshakeRequest, at_ready: OnReady) -> None:
        """Start an accepted WebSocket; raises if it is refused. `at_ready` starts the processing of received frames."""
        await self.send_ready(connection, await self.open_inbox(connection, request), request, at_ready)

    async def open_inbox(self, connection: Connection, request: HandshakeRequest) -> OpenedInbox:
        context, rewind = None, request.rewind
        if self._live.app.has(calls.CONNECT):
            context = NativeCallContext(self._live.engines, self._live.hub, connection)
            with self._live.admission.waiting_for_app(request.address):
                await app_callbacks.connect(self._live, context, connection, request.for_app())
        requested, event_id = history.split_position(request.position or "")
        position = parse_position(requested) if requested else None
        opened = await self._live.admission.admit(connection, position)
        inbox, missed = (None, None) if opened is None else (opened.inbox, opened.missed)
        resumed = None if missed is None else position
        lost = inbox if requested and missed is None else None
        return OpenedInbox(inbox, missed, resumed, lost, context, event_id, rewind)

    async def send_ready(
        self,
        connection: Connection,
        opened_inbox: OpenedInbox,
        request: HandshakeRequest,
        at_ready: OnReady = lambda: None,
    ) -> None:
        """Send `ready`, replay missed changes and go live; raises if that fails."""
        context, (granted, refused) = opened_inbox.context, NOTHING
        if requested := request.topics:
            granted, refused = await topic_access.authorize_topics(
                self._live.engines.db, connection.principal, requested, 0, self._live.config
            )
        if refused:
            self._live.hub.callbacks.topics_refused(connection, refused)
        # Most connections name no topics, and need no members.
        knowing = self.listener.knowing_members(connection.principal, granted) if granted else nullcontext()
        async with knowing:
            after, rewind, joined = opened_inbox.event_id, opened_inbox.rewind, dict[str, Grant]()
            if context is None:
                topics = await resume.read(self._live.hub, connection, granted, after, rewind)
            else:
                topics, joined = await context.read_topics(granted, after, rewind)
            self._live.hub.subscriptions.follow(connection, {**granted, **joined} if joined else granted)
        if connection.phase is not Phase.CLOSED:
            self._write_ready(connection, opened_inbox, topics, granted, refused)
            if opened_inbox.lost is not None:
                # Before the events of topics, as their positions contain the new one of the inbox. The position of the reset is one
                # from which these events are sent again.
                event_id = topics.start if topics.recovered else "" if topics.is_rewind else None
                state = opened_inbox.lost.state
                reset = connection.dialect.replay(InboxReset(state), state.position)
                connection.write_tracked(connection.marked(reset, event_id))
            if topics.events:
                await resume.send(self._live.hub, connection, topics, protocol.encode_rewound)
            if opened_inbox.resumed is None and not connection.is_stale:
                connection.go_live()  # nothing has changed since the state in `ready`
        if context is not None:
            context.send_pending()
        at_ready()
        if connection.phase is not Phase.LIVE:
            start = opened_inbox.resumed or Position(connection.epoch, connection.revision)
            await resume.replay(self._live.engines.db, connection, opened_inbox.missed, start, self._live.config.limits)

    def _write_ready(
        self,
        connection: Connection,
        opened_inbox: OpenedInbox,
        topics: resume.TopicReplay,
        granted: Mapping[str, Grant],
        refused: tuple[topic_access.TopicRefused, ...],
    ) -> None:
        inbox, resumed = opened_inbox.inbox, opened_inbox.resumed
        if resumed is not None:
            connection.revision, connection.place = resumed.revision, resumed.text
        elif inbox is not None:
            connection.revision = inbox.state.revision
        state = None if inbox is None else inbox.state
        fields: dict[str, Any] = {
            "connection": connection.id,
            "recipient": connection.principal.recipient,
            "position": connection.place if state is None or resumed is not None else state.position,
            "unread": state.unread if state else 0,
            "unseen": state.unseen if state else 0,
            "heartbeat": self._heartbeat,
            "resumed": resumed is not None,
            "id": topics.start,
            "recovered": topics.recovered,
            "topics": tuple(granted),
            "refused": refused,
        }
        if granted and (presence := self.listener.members(connection.principal, granted)):
            fields["presence"] = presence
        # Sent before a replay or a reset without a position, so that a disconnect loses nothing.
        is_followed = resumed is not None or opened_inbox.lost is not None or topics.recovered or topics.is_rewind
        frame = connection.dialect.encode_frame(Payload("ready", fields))
        connection.write_tracked(frame if is_followed else connection.marked(frame))
