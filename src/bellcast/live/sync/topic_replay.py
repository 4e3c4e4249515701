"""Replay of missed live events from the history, at the reader's pace.

While it runs, the hub sends the connection no stored events, so that it receives all of them in log order."""

from collections.abc import Callable, Collection, Iterable, Sequence
from operator import attrgetter
from typing import TypeAlias

import structlog
from msgspec import Struct

from bellcast.kernel.brokers import history
from bellcast.kernel.brokers.history import PastEvents
from bellcast.kernel.errors import Unavailable
from bellcast.kernel.events import LiveEvent, inbox_stream, topic_stream
from bellcast.live.connection import close_reasons
from bellcast.live.connection.connection import Connection, Phase
from bellcast.live.connection.dialect import Dialect
from bellcast.live.hub.hub import Hub

log = structlog.get_logger(__name__)

# Maximum past events of each topic. Clients that need more fetch them from the app or by REST.
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
    start: str | None  # the id to resume from, or the end of the log
    is_off: bool = False  # there is no history
    is_partial: bool = False  # the client has already received later events of other topics


async def read(
    hub: Hub,
    connection: Connection,
    topics: Collection[str],
    position: str | None,
    rewind: int,
    joined: Collection[str] = (),
    *,
    is_partial: bool = False,
) -> TopicReplay:
    """Read the client's own events and those of these topics since its resume position. If the position is missing or
    unknown, read the newest events of the topics. `joined` topics, which the app chose, are not rewound. With
    `is_partial`, read no events of its own, which it received while it was connected. The caller must follow all topics
    before it awaits anything else."""
    tenant, recipient = connection.principal.tenant, connection.principal.recipient
    own = [] if recipient is None or is_partial else [inbox_stream(tenant, recipient)]
    if joined:
        own += [topic_stream(tenant, topic) for topic in joined]
    named = [topic_stream(tenant, topic) for topic in topics] if topics else []
    streams = list(dict.fromkeys([*named, *own])) if named else own
    try:
        if position is not None:
            after = history.event_id_of(position)
            past = await hub.history.missed(tenant, streams, after)
            if past.recovered:
                events = _for(connection, past.events)
                return TopicReplay(events, recovered=True, is_rewind=False, start=after, is_partial=is_partial)
        past = await hub.history.newest(tenant, streams, min(rewind, MAX_REWIND))
    except Unavailable as failure:
        _hold_unread(hub, connection, failure)
        return TopicReplay((), recovered=False, is_rewind=False, start=None)
    rewound = tuple([event for event in past.events if event.stream in named]) if past.events else ()
    is_off, is_rewind = past.end is None, bool(rewound)
    return TopicReplay(
        rewound, recovered=False, is_rewind=is_rewind, start=past.end, is_off=is_off, is_partial=is_partial
    )


async def confirm(hub: Hub, connection: Connection, topics: Iterable[str]) -> None:
    """Wait until this process receives the stored events of topics. A client that followed them earlier could get a
    position after an event that it missed, and never recover that event. The caller must follow them before it awaits
    anything else."""
    try:
        await hub.history.confirm([topic_stream(connection.principal.tenant, topic) for topic in topics])
    except Unavailable as failure:
        _hold_unread(hub, connection, failure)


def _hold_unread(hub: Hub, connection: Connection, failure: Unavailable) -> None:
    """Keep the connection without stored events, since the history cannot be read. When it can be read again, the
    connection is closed, and the client reconnects and recovers what it can."""
    hub.history_holds.hold_unread(connection)
    log.warning("topic_history_unreadable", connection=connection.id, reason=failure.detail)


async def send(hub: Hub, connection: Connection, replay: TopicReplay, encode_rewound: Encoder = AS_LIVE) -> None:
    """Send the events. If they are few, this does not suspend. Otherwise the connection is replaying afterwards, and
    the caller must catch up with the inbox. A connection that cannot follow the log is closed; the client reconnects
    and recovers what it can.

    The caller must follow the topics, and call this in the event loop iteration in which the read returned. No other
    replay of the connection may be running."""
    if not replay.events or connection.phase is Phase.CLOSED:
        return
    # Topics that were followed before may have delivered events during the read, so the log's end at the read is too
    # early.
    end = hub.history.end(connection.principal.tenant) or ""
    encoder = encode_rewound if replay.is_rewind else AS_LIVE
    events: list[EventWithId] = [(event, event.id) for event in replay.events]
    if replay.is_partial:
        # An event's own id would be a position before events of other topics that the client already has. So only the
        # last event has an id in its position; after an earlier disconnect, nothing is recovered.
        *earlier, last = replay.events
        events = [*((event, "") for event in earlier), (last, end)]
    frames = [frame for event, id in events if (frame := _frame(connection, event, id, encoder)) is not None]
    if sum(map(len, frames)) <= connection.max_unpaced:
        for frame in frames:
            connection.write_replay(frame)
        return
    hub.history_holds.hold(connection)
    try:
        await _send_paced(hub, connection, events, end, encoder)
    except Exception:
        hub.end(
            connection, close_reasons.UNAVAILABLE
        )  # otherwise it would stay in the replay, without new notifications
        raise
    finally:
        hub.history_holds.release(connection)


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
        missed, streams = PastEvents(), None
        try:
            # The app may join another topic during the read: its events up to the end of the read, which the hub leaves to
            # the history, need another read from the same id.
            while streams != connection.streams:
                streams = connection.streams
                missed = await hub.history.missed(connection.principal.tenant, streams, after)
        except Unavailable:
            missed = PastEvents()
        if not missed.recovered:  # the reader is so slow that events expired, or the log is unreachable
            hub.end(connection, close_reasons.UNAVAILABLE)
            return
        events = [(event, event.id) for event in _for(connection, missed.events)]
        after, encoder = missed.end or "", AS_LIVE


def _frame(connection: Connection, event: LiveEvent, id: str | None, encoder: Encoder) -> bytes | None:
    data = encoder(connection.dialect)(event)
    return None if data is None else connection.marked(data, id)


def _for(connection: Connection, events: Iterable[LiveEvent]) -> tuple[LiveEvent, ...]:
    return tuple([event for event in events if event.sender != connection.id])
