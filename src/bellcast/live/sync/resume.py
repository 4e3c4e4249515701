"""Replay of missed changes from the store, at the reader's pace.

It is used after a reconnect, a gap or a slow start. There is no queue: while a connection is not live, newer changes
stay in the store, and the replay repeats its query until it returns nothing.
"""

from collections.abc import Iterator
from itertools import zip_longest
from operator import attrgetter
from typing import TypeAlias

import structlog

from bellcast.inbox.store.inboxes import Inboxes
from bellcast.inbox.types.inboxes import (
    Change,
    Changes,
    Inbox,
    InboxEvent,
    NotificationAdded,
    NotificationDeleted,
    NotificationUpdated,
    ResumeFrom,
)
from bellcast.inbox.types.positions import InboxState, Position
from bellcast.kernel.db.engine import Engine
from bellcast.kernel.errors import BellcastError
from bellcast.kernel.limits import Limits
from bellcast.live.connection import close_reasons
from bellcast.live.connection.connection import NO_MARK, Connection, Phase
from bellcast.live.inbox_payloads import InboxReset

log = structlog.get_logger(__name__)

NO_LIMIT = 1_000_000
# Maximum changes that are encoded and sent without pacing. After most reconnects there are fewer.
INLINE_CHANGES = 20

# A frame, the client's position after it, and its event.
EncodedChange: TypeAlias = tuple[bytes, str, InboxEvent]


def since(position: Position | None, limits: Limits) -> ResumeFrom | None:
    """Return the query for changes since a position."""
    return None if position is None else ResumeFrom(position, limits.replay or NO_LIMIT)


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
        if first is not None and _replay_inline(connection, first, start):
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


def _replay_inline(connection: Connection, changes: Changes, start: Position) -> bool:
    """Send a few changes without pacing; False, with nothing sent, if there are more or the connection is stale."""
    if connection.is_stale or len(changes.rows) > INLINE_CHANGES:
        return False
    pieces = list(_encoded_changes(connection, changes, start))
    if sum([len(piece) for piece, _, _ in pieces]) > connection.max_unpaced:
        return False
    for piece, connection.place, event in pieces:  # separately: long polling and ASGI `send` need one message each
        _write(connection, piece, event)
    connection.place = None
    connection.revision = max(connection.revision, changes.state.revision)
    return True


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
