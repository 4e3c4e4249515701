"""Replay of missed changes from the store, and of missed live events from the history, at the reader's pace.

It is used after a reconnect, a gap or a slow start. There is no queue: while a connection is not live, newer changes
stay in the store, and the replay repeats its query until it returns nothing. While live events are replayed, the hub sends
the connection no stored events, so that it receives all of them in log order.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import zip_longest
from operator import attrgetter
from typing import TypeAlias

import structlog
from msgspec import Struct

from bellcast.inbox.store.inboxes import Inboxes
from bellcast.inbox.types.inboxes import (
    Change,
    Changes,
    Inbox,
    InboxEvent,
    InboxState,
    NotificationAdded,
    NotificationDeleted,
    NotificationUpdated,
    Position,
)
from bellcast.kernel.brokers import history
from bellcast.kernel.brokers.history import PastEvents
from bellcast.kernel.db.engine import Engine
from bellcast.kernel.errors import BellcastError, Unavailable
from bellcast.kernel.events import LiveEvent, topic_stream
from bellcast.kernel.limits import Limits
from bellcast.live.connection import NO_MARK, REPLAY_BUFFER_BYTES, Connection, Phase, close_reasons
from bellcast.live.connection.dialect import Dialect, InboxReset
from bellcast.live.hub import Hub

log = structlog.get_logger(__name__)

NO_LIMIT = 1_000_000
# Maximum changes that are encoded and sent without pacing. After most reconnects there are fewer.
INLINE_CHANGES = 20

# A frame, the client's position after it, and its event.
EncodedChange: TypeAlias = tuple[bytes, str, InboxEvent]

# Maximum past events of each topic. Clients that need more fetch them from the app or by REST.
MAX_REWIND = 100

# Returns the encoding of past events in a dialect, which may change during a replay.
Encoder: TypeAlias = Callable[[Dialect], Callable[[LiveEvent], bytes | None]]
AS_LIVE: Encoder = attrgetter("encode")
EventWithId: TypeAlias = tuple[LiveEvent, str | None]


async def changes_since(db: Engine, inbox: Inbox, position: Position, limits: Limits) -> Changes | None:
    """Return the changes since a position; None if it is of another epoch, ahead of the inbox or no longer stored, or if
    there are more changes than `limits.replay`."""
    return await _since(db, inbox.number, position.revision, limits) if inbox.can_resume_from(position) else None


async def _since(db: Engine, inbox: int, revision: int, limits: Limits) -> Changes | None:
    limit = limits.replay or NO_LIMIT
    changes = await Inboxes(db).changes(inbox, revision, limit + 1)
    return None if revision < changes.oldest_revision or len(changes.rows) > limit else changes


async def catch_up(db: Engine, connection: Connection, limits: Limits) -> None:
    """Replay the changes since the connection's revision, and go live. Has no effect during a replay."""
    if connection.phase is not Phase.REPLAYING:
        await replay(db, connection, None, Position(connection.epoch, connection.revision), limits)


async def replay(db: Engine, connection: Connection, first: Changes | None, start: Position, limits: Limits) -> None:
    """Send `first`, the changes since `start`, then the changes since then, and go live. A failure closes the
    connection.

    Rows created since `start` are sent first, in order of creation; then changes of rows that the client knows, in
    order of change. Positions sent during the replay contain its progress. So after another disconnect, no row is sent
    as new twice, and no row is sent as an update before it was sent as new."""
    if connection.phase is Phase.CLOSED:
        return
    try:
        if first is not None and not connection.is_stale and len(first.rows) <= INLINE_CHANGES:
            pieces = list(_encoded_changes(connection, first, start))
            limit = min(REPLAY_BUFFER_BYTES, connection.max_unsent or REPLAY_BUFFER_BYTES)
            if sum([len(piece) for piece, _, _ in pieces]) <= limit:
                for piece, connection.place, event in pieces:  # separately: long polling needs one message each
                    _write(connection, piece, event)
                connection.place = None
                connection.revision = max(connection.revision, first.state.revision)
                return
        if connection.phase is not Phase.REPLAYING:
            connection.transition(Phase.REPLAYING)
        await _replay(db, connection, first, start, limits)
    except BellcastError as failure:
        log.warning("replay_interrupted", connection=connection.id, reason=failure.detail)
        connection.owner.end(connection, close_reasons.UNAVAILABLE)
    except Exception:
        log.exception("replay_failed", connection=connection.id)
        connection.owner.end(connection, close_reasons.UNAVAILABLE)
    finally:
        connection.go_live()


def _write(connection: Connection, piece: bytes, event: InboxEvent) -> None:
    connection.write_replay(connection.marked(piece))
    if isinstance(event, NotificationAdded):
        connection.owner.on_notification_replayed(event)


def _encoded_changes(connection: Connection, changes: Changes, start: Position) -> Iterator[EncodedChange]:
    """Encode the rows that are new to the client, in order of creation, then the changes of other rows that it does not
    know. Rows of one action share a revision, which is complete only after the last of them. The last row completes the
    replay, so its position is that of the state."""
    state = changes.state
    if len(changes.rows) == 1:  # as after most reconnects: no position within the replay is needed
        row, is_new = changes.rows[0], _is_new(changes.rows[0], start)
        if is_new or row.revision > start.known_revision(row.first_revision):
            yield _encoded(connection, row, state, state.position, is_new=is_new)
        return
    created = sorted([row for row in changes.rows if _is_new(row, start)], key=attrgetter("first_revision", "id"))
    unknown = [row for row in changes.rows if row.revision > start.known_revision(row.first_revision)]
    changed = [row for row in unknown if not _is_new(row, start)]
    last = changed[-1] if changed else created[-1] if created else None
    position = start
    for row, following in zip_longest(created, created[1:]):
        if following is None or following.first_revision != row.first_revision:
            position = start.after_created(row.first_revision, state.revision)
        yield _encoded(connection, row, state, state.position if row is last else position.text, is_new=True)
    position = begun = start.after_created(state.revision, state.revision)
    for row, following in zip_longest(changed, changed[1:]):
        if following is None or following.revision != row.revision:
            position = begun.after_changed(row.revision)
        yield _encoded(connection, row, state, state.position if row is last else position.text, is_new=False)


def _is_new(row: Change, start: Position) -> bool:
    return row.notification is not None and row.first_revision > start.newest


def _encoded(connection: Connection, row: Change, state: InboxState, position: str, *, is_new: bool) -> EncodedChange:
    event: InboxEvent
    if row.notification is None:
        event = NotificationDeleted(inbox=state, id=row.id)
    else:
        event = (NotificationAdded if is_new else NotificationUpdated)(inbox=state, notification=row.notification)
    return connection.dialect.replay(event, position), position, event


async def _replay(db: Engine, connection: Connection, first: Changes | None, start: Position, limits: Limits) -> None:
    changes = first
    while connection.phase is Phase.REPLAYING:
        if changes is None:  # `first` may be older than the change that made the connection stale
            connection.is_stale = False
            changes = await _since(db, connection.inbox, connection.revision, limits)
        if changes is None or changes.state.epoch != connection.epoch:
            state = (await Inboxes(db).changes(connection.inbox, NO_REVISION, 1)).state
            connection.epoch, connection.revision, connection.place = state.epoch, state.revision, None
            connection.mark_revision = NO_MARK
            connection.write_replay(connection.marked(connection.dialect.replay(InboxReset(state), state.position)))
        else:
            pieces = _encoded_changes(connection, changes, start)
            while True:
                await connection.wait_writable()
                if connection.phase is not Phase.REPLAYING:
                    return
                # Encode after the wait: in the meantime, a Socket.IO client may have upgraded to another encoding.
                piece = next(pieces, None)
                if piece is None:
                    break
                data, connection.place, event = piece
                _write(connection, data, event)
            connection.place = None
            connection.revision = max(connection.revision, changes.state.revision)
        await connection.wait_writable()  # once live, buffered output counts as unsent
        if not connection.is_stale:
            break
        changes, start = None, Position(connection.epoch, connection.revision)


# Above every revision: the query returns only the state.
NO_REVISION = 2**62


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
    tenant, own = connection.principal.tenant, [] if is_partial else [*connection.streams]
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
    room = min(REPLAY_BUFFER_BYTES, connection.max_unsent or REPLAY_BUFFER_BYTES)
    room -= connection.transport.get_write_buffer_size()  # more unsent output closes one that is not replaying
    rest: Sequence[EventWithId] = ()
    for number, (event, id) in enumerate(events):
        if (frame := _frame(connection, event, id, encoder)) is not None:
            if len(frame) > room:
                rest = events[number:]
                break
            room -= len(frame)
            connection.write_replay(frame)
    if not rest:
        return
    hub.history_holds.hold(connection)
    try:
        await _send_paced(hub, connection, rest, end, encoder)
    except Exception:
        # Otherwise it would stay in the replay, without new notifications.
        hub.end(connection, close_reasons.UNAVAILABLE)
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
