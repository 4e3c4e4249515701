"""Replay of missed live events from the history, at the reader's pace.

While it runs, the hub leaves the kept events of the connection to the history, so that it receives all in log order."""

from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct

from bellcast.live.connection import close_reasons
from bellcast.live.connection.connection import REPLAY_BUFFER_BYTES, Connection, Phase
from bellcast.live.hub.hub import Hub
from bellcast.model import history
from bellcast.model.events import LiveEvent, Stream, inbox_stream, topic_stream

# More past events than this of each topic are a fetch from the app or from REST.
MAX_REWIND = 100

Encode = Callable[[LiveEvent], bytes | None]


class TopicReplay(Struct, frozen=True):
    """Events to send before live ones. `end` is the log's end when they were read; None without a history."""

    events: tuple[LiveEvent, ...]
    recovered: bool
    is_rewind: bool
    start: str | None  # the id resumed from, or the log's end
    end: str | None


def read(hub: Hub, connection: Connection, topics: Iterable[str], position: str | None, rewind: int) -> TopicReplay:
    """Read what a client missed of its own events and these topics since its resume position or, without one that is
    known, the newest events of the topics. The connection must follow them already."""
    tenant, recipient = connection.principal.tenant, connection.principal.recipient
    streams = [topic_stream(tenant, topic) for topic in topics]
    own = [] if recipient is None else [inbox_stream(tenant, recipient)]
    return _read(hub, connection, streams, own, position, rewind)


def read_topics(
    hub: Hub, connection: Connection, topics: Iterable[str], position: str | None, rewind: int
) -> TopicReplay:
    """Like `read`, without the client's own events, which it received while it was connected."""
    streams = [topic_stream(connection.principal.tenant, topic) for topic in topics]
    return _read(hub, connection, streams, [], position, rewind)


def _read(
    hub: Hub, connection: Connection, topics: Sequence[Stream], own: Sequence[Stream], position: str | None, rewind: int
) -> TopicReplay:
    tenant, end = connection.principal.tenant, hub.history.end(connection.principal.tenant)
    if position is not None:
        after = history.event_id_of(position)
        missed = hub.history.missed(tenant, [*topics, *own], after)
        if missed.recovered:
            return TopicReplay(_for(connection, missed.events), recovered=True, is_rewind=False, start=after, end=end)
    events = hub.history.newest(tenant, topics, min(rewind, MAX_REWIND)) if rewind else ()
    return TopicReplay(events, recovered=False, is_rewind=bool(events), start=end, end=end)


async def send(hub: Hub, connection: Connection, replay: TopicReplay, encode: Encode) -> None:
    """Send the events. If they are few, this does not suspend; else the connection is replaying afterwards, and the caller
    catches up with the inbox. A connection that cannot follow the log is closed, and recovers what it can."""
    frames = [frame for event in replay.events if (frame := _frame(connection, event, encode)) is not None]
    if sum(map(len, frames)) <= min(REPLAY_BUFFER_BYTES, connection.max_unsent or REPLAY_BUFFER_BYTES):
        for frame in frames:
            connection.write_replay(frame)
    elif connection.phase is not Phase.CLOSED:
        hub.hold(connection)
        try:
            await _send_paced(hub, connection, replay, encode)
        finally:
            hub.release(connection)


async def _send_paced(hub: Hub, connection: Connection, replay: TopicReplay, encode: Encode) -> None:
    if connection.phase is not Phase.REPLAYING:
        connection.transition(Phase.REPLAYING)
    events, after = replay.events, replay.end or ""
    while events:
        for event in events:
            await connection.wait_writable()
            if connection.phase is not Phase.REPLAYING:
                return
            frame = _frame(connection, event, encode)
            if frame is not None:
                connection.write_replay(frame)
        tenant = connection.principal.tenant
        missed = hub.history.missed(tenant, connection.streams, after)
        if not missed.recovered:  # the reader is slower than the history is long
            hub.end(connection, close_reasons.UNAVAILABLE)
            return
        events, after, encode = (
            _for(connection, missed.events),
            hub.history.end(tenant) or "",
            connection.dialect.encode,
        )


def _frame(connection: Connection, event: LiveEvent, encode: Encode) -> bytes | None:
    data = encode(event)
    return None if data is None else connection.marked(data, event.id)


def _for(connection: Connection, events: Iterable[LiveEvent]) -> tuple[LiveEvent, ...]:
    return tuple([event for event in events if event.sender != connection.id])
