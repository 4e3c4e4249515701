"""How the native dialect greets: `ready`, then what was missed, then live events."""

from collections.abc import Callable

from msgspec import Struct

from bellcast.auth.doors import Doors
from bellcast.auth.origins import WrongOrigin
from bellcast.auth.permissions import Grant
from bellcast.errors import BellcastError
from bellcast.live import resume, topics
from bellcast.live.answering import Answering, NativePort
from bellcast.live.arrivals import Arrivals
from bellcast.live.commands import Commands
from bellcast.live.connection import Connection, Phase
from bellcast.live.hub import Hub
from bellcast.live.protocols import native
from bellcast.live.requests import Request
from bellcast.live.rules import Rules
from bellcast.model.inboxes import Inbox, InboxState, Position, parse_position
from bellcast.model.people import Principal
from bellcast.ports import Changes, Opened, Store

AtReady = Callable[[], None]


NOTHING: topics.Admitted = ({}, ())


class Arrived(Struct, frozen=True):
    """Who has come in, and from where in its inbox."""

    opened: Opened | None  # None: nobody by name
    position: Position | None
    came_back: bool  # it said where it was, in words of ours or not

    @property
    def inbox(self) -> Inbox | None:
        return None if self.opened is None else self.opened.inbox

    @property
    def missed(self) -> Changes | None:
        return None if self.opened is None else self.opened.missed

    @property
    def resumed(self) -> Position | None:
        """Where it goes on, if that can be."""
        return None if self.missed is None else self.position


class NativeSessions:
    """Greets over SSE and WebSocket alike; a WebSocket's frames go to `listener`."""

    direct = native.WEBSOCKET
    foreign = native.MESSAGE

    def __init__(
        self, store: Store, hub: Hub, rules: Rules, doors: Doors, arrivals: Arrivals, commands: Commands, app: Answering
    ) -> None:
        self._store = store
        self._hub = hub
        self._rules = rules
        self._doors = doors
        self._arrivals = arrivals
        self._app = app
        self.listener = commands

    async def visitor(self, request: Request) -> tuple[Principal, BellcastError | None]:
        """Who comes, or a nameless principal with the reason it is turned away for, once that can be told."""
        try:
            return await self._doors.recipient(request, "websocket"), None
        except WrongOrigin:
            raise
        except BellcastError as refusal:
            return Principal(), refusal

    async def begin(
        self, connection: Connection, request: Request, refusal: BellcastError | None, at_ready: AtReady
    ) -> None:
        """From the accepted WebSocket to a live one; raises why not. `at_ready` lets the client be heard."""
        if refusal is not None:
            raise refusal
        arrived, started = await self.enter(connection, request)

        def ready() -> None:
            started()
            at_ready()

        await self.welcome(connection, arrived, request, ready)

    async def enter(self, connection: Connection, request: Request) -> tuple[Arrived, AtReady]:
        """Ask the app and open the inbox; what the app's `connect` handler did happens right after `ready`."""
        port = await self._app.connected(connection, None)
        asked = request.position
        position = None if asked is None else parse_position(asked)
        opened = await self._arrivals.enter(connection, position)
        return Arrived(opened, position, asked is not None), self._started(connection, port)

    async def welcome(self, connection: Connection, arrived: Arrived, request: Request, at_ready: AtReady) -> None:
        """Say `ready`, then what was missed, then go live; raises why not."""
        missed, base = await self._greet(connection, arrived, request)
        at_ready()
        if connection.phase is Phase.HOLDING:
            await resume.replay(self._store, connection, missed, base, self._rules.limits)

    async def _greet(self, connection: Connection, arrived: Arrived, request: Request) -> tuple[Changes | None, int]:
        """Say `ready`. What is to be replayed and the revision where that began; nothing when it is live already."""
        asked = request.topics
        given, refused = NOTHING
        if asked:
            given, refused = await topics.admitted(self._store, connection.principal, asked, 0, self._rules)
        if connection.phase is Phase.ENDED:
            return None, 0
        self._hub.follow(connection, given)
        inbox, missed, resumed = arrived.inbox, arrived.missed, arrived.resumed
        connection.told(connection.dialect.wrap(self._ready(connection, inbox, resumed, tuple(given), refused)))
        if resumed is not None:
            connection.revision = resumed.revision
            return missed, resumed.revision if resumed.base is None else resumed.base
        _start(connection, inbox, lost=arrived.came_back)
        return None, connection.revision

    def _started(self, connection: Connection, port: NativePort | None) -> AtReady:
        def started() -> None:
            if port is None or port.held is None or connection.phase is Phase.ENDED:
                return
            self._hub.follow(connection, dict.fromkeys(port.joined, Grant.APP))
            for told in port.held:
                connection.told(told)
            port.held = None

        return started

    def _ready(
        self,
        connection: Connection,
        inbox: Inbox | None,
        resumed: Position | None,
        given: tuple[str, ...],
        refused: tuple[native.TopicRefused, ...],
    ) -> native.Frame:
        state = None if inbox is None else inbox.state
        return native.ready(
            native.Greeting(
                connection=connection.id,
                recipient=connection.principal.recipient,
                state=state,
                position=_place(state, resumed),
                heartbeat=self._rules.heartbeat,
                resumed=resumed is not None,
                topics=given,
                refused=refused,
                presence=self.listener.members(connection.principal, given),
            )
        )


def _place(state: InboxState | None, resumed: Position | None) -> str | None:
    if resumed is not None:
        return resumed.text
    return None if state is None else state.position


def _start(connection: Connection, inbox: Inbox | None, *, lost: bool) -> None:
    """Live from the state that `ready` told, unless something went by; a position that was lost is a `reset`."""
    if inbox is not None:
        connection.revision = inbox.state.revision
        if lost:
            connection.told(connection.dialect.reset(inbox.state))
    if not connection.behind:
        connection.phase = Phase.LIVE
