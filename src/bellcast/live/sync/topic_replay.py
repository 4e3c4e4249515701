"""Replay of missed live events from the history, at the reader's pace.

While it runs, the hub leaves the kept events of the connection to the history, so that it receives all in log order."""

from collections.abc import Callable, Collection, Iterable, Sequence
from operator import attrgetter
from typing import TypeAlias

import structlog
from msgspec import Struct
from msgspec.structs import replace

from bellcast.errors import Unavailable
from bellcast.live.connection import close_reasons
from bellcast.live.connection.connection import REPLAY_BUFFER_BYTES, Connection, Dialect, Phase
from bellcast.live.hub.hub import Hub
from bellcast.model import history
from bellcast.model.events import LiveEvent, Stream, inbox_stream, topic_stream
from bellcast.ports import PastEvents

log = structlog.get_logger(__name__)

# More past events than this of each topic are a fetch from the app or from REST.
MAX_REWIND = 100

# Returns the encoding of past events in a dialect, which may change during a replay.
Encoder: TypeAlias = Callable[[Dialect], Callable[[LiveEvent], bytes | None]]
AS_LIVE: Encoder = attrgetter("encode")
EventWithId: TypeAlias = tuple[LiveEvent, str | None]


class TopicReplay(Struct, frozen=True):
    """Events to send before live ones."""

    events: tuple[LiveEvent, ...]
    recovered: bool
    is_rewind: bool
    start: str | None  # the id resumed from, or the log's end
    is_off: bool = False  # there is no history
    is_partial: bool = False  # the client has received later events, of other topics


async def read(
    hub: Hub,
    connection: Connection,
    topics: Collection[str],
    position: str | None,
    rewind: int,
    joined: Collection[str] = (),
) -> TopicReplay:
    """Read what a client missed of its own events and these topics since its resume position or, without one that is
    known, the newest events of the topics. `joined` topics, which the app chose, are not rewound. The caller follows
    all of them before it awaits anything else."""
    tenant, recipient = connection.principal.tenant, connection.principal.recipient
    own = [] if recipient is None else [inbox_stream(tenant, recipient)]
    if joined:
        own += [topic_stream(tenant, topic) for topic in joined]
    streams = [topic_stream(tenant, topic) for topic in topics] if topics else []
    return await _read(hub, connection, streams, own, position, rewind)


async def read_topics(
    hub: Hub, connection: Connection, topics: Iterable[str], position: str | None, rewind: int
) -> TopicReplay:
    """Like `read`, without the client's own events, which it received while it was connected."""
    streams = [topic_stream(connection.principal.tenant, topic) for topic in topics]
    return replace(await _read(hub, connection, streams, [], position, rewind), is_partial=True)


async def confirm(hub: Hub, connection: Connection, topics: Iterable[str]) -> None:
    """Wait until this process receives the kept events of topics. A client that follows them earlier could get a position
    behind an event that it missed, and recover without it. The caller follows them before it awaits anything else."""
    try:
        await hub.history.confirm([topic_stream(connection.principal.tenant, topic) for topic in topics])
    except Unavailable as failure:
        _hold_unread(hub, connection, failure)


async def _read(
    hub: Hub, connection: Connection, topics: Sequence[Stream], own: Sequence[Stream], position: str | None, rewind: int
) -> TopicReplay:
    tenant = connection.principal.tenant
    streams = list(dict.fromkeys([*topics, *own])) if topics else own
    try:
        if position is not None:
            after = history.event_id_of(position)
            past = await hub.history.missed(tenant, streams, after)
            if past.recovered:
                events = _for(connection, past.events)
                return TopicReplay(events, recovered=True, is_rewind=False, start=after)
        past = await hub.history.newest(tenant, streams, min(rewind, MAX_REWIND))
    except Unavailable as failure:
        _hold_unread(hub, connection, failure)
        return TopicReplay((), recovered=False, is_rewind=False, start=None)
    rewound = tuple([event for event in past.events if event.stream in topics]) if past.events else ()
    is_off = past.end is None
    return TopicReplay(rewound, recovered=False, is_rewind=bool(rewound), start=past.end, is_off=is_off)


def _hold_unread(hub: Hub, connection: Connection, failure: Unavailable) -> None:
    """Serve a connection without the broker. When it returns, the connection is closed, and recovers what it can."""
    hub.hold_unread(connection)
    log.warning("topic_history_unreadable", connection=connection.id, reason=failure.detail)


async def send(hub: Hub, connection: Connection, replay: TopicReplay, encode_rewound: Encoder = AS_LIVE) -> None:
    """Send the events. If they are few, this does not suspend; else the connection is replaying afterwards, and the caller
    catches up with the inbox. A connection that cannot follow the log is closed, and recovers what it can.

    The caller has followed the topics and called this in the iteration of the event loop in which the read returned, and
    no other replay of the connection is running."""
    if not replay.events or connection.phase is Phase.CLOSED:
        return
    # Topics that it followed before may have delivered events during the read, so the log's end at the read is too early.
    end = hub.history.end(connection.principal.tenant) or ""
    events, encoder = _with_ids(replay, end), encode_rewound if replay.is_rewind else AS_LIVE
    frames = [frame for event, id in events if (frame := _frame(connection, event, id, encoder)) is not None]
    if sum(map(len, frames)) <= min(REPLAY_BUFFER_BYTES, connection.max_unsent or REPLAY_BUFFER_BYTES):
        for frame in frames:
            connection.write_replay(frame)
        return
    hub.hold(connection)
    try:
        await _send_paced(hub, connection, events, end, encoder)
    finally:
        hub.release(connection)


async def _send_paced(
    hub: Hub, connection: Connection, events: Sequence[EventWithId], after: str, encoder: Encoder
) -> None:
    """Send the events, then those of all followed topics after an id, until there are none."""
    connection.transition(Phase.REPLAYING)
    while events:
        for event, id in events:
            await connection.wait_writable()
            if connection.phase is not Phase.REPLAYING:
                return
            frame = _frame(connection, event, id, encoder)
            if frame is not None:
                connection.write_replay(frame)
        try:
            missed = await _missed_of_followed(hub, connection, after)
        except Unavailable:
            missed = PastEvents()
        if not missed.recovered:  # the reader is slower than the history is long, or the log cannot be reached
            hub.end(connection, close_reasons.UNAVAILABLE)
            return
        events = [(event, event.id) for event in _for(connection, missed.events)]
        after, encoder = missed.end or "", AS_LIVE


async def _missed_of_followed(hub: Hub, connection: Connection, after: str) -> PastEvents:
    """Return the events of all followed topics after an id. The app may join another topic during the read: its events up to
    the end of the read, which the hub leaves to the history, need another read from the same id."""
    while True:
        streams = connection.streams
        missed = await hub.history.missed(connection.principal.tenant, streams, after)
        if connection.streams == streams:
            return missed


def _with_ids(replay: TopicReplay, end: str) -> list[EventWithId]:
    """Return the events with the ids in their resume positions. With its own id, an event of a partial replay would resume
    before events of other topics that the client has; so only the last one completes a position, and until then none is
    recovered."""
    if not replay.is_partial:
        return [(event, event.id) for event in replay.events]
    *events, last = replay.events
    return [*((event, "") for event in events), (last, end)]


def _frame(connection: Connection, event: LiveEvent, id: str | None, encoder: Encoder) -> bytes | None:
    data = encoder(connection.dialect)(event)
    return None if data is None else connection.marked(data, id)


def _for(connection: Connection, events: Iterable[LiveEvent]) -> tuple[LiveEvent, ...]:
    return tuple([event for event in events if event.sender != connection.id])
