"""Replay of missed changes from the store, at the reader's pace.

Used after a reconnect, a gap or a slow start. There is no queue: while a connection is not live, newer changes stay in
the store, and the replay repeats its query until it returns none.
"""

from collections.abc import Iterator
from itertools import pairwise

import structlog

from bellcast.errors import BellcastError
from bellcast.live.connection import close_reasons
from bellcast.live.connection.connection import REPLAY_BUFFER_BYTES, Connection, Phase
from bellcast.model.events import InboxEvent, NotificationAdded, NotificationDeleted, NotificationUpdated
from bellcast.model.inboxes import Inbox, Position
from bellcast.model.limits import Limits
from bellcast.ports import Change, Changes, ResumeFrom, Store

log = structlog.get_logger(__name__)

NO_LIMIT = 1_000_000
# Changes that are encoded and sent without pacing; most reconnects have missed fewer.
INLINE_CHANGES = 20


def since(position: Position | None, limits: Limits) -> ResumeFrom | None:
    """Return the query for changes since a position."""
    return None if position is None else ResumeFrom(position, limits.replay or NO_LIMIT)


async def changes_since(store: Store, inbox: Inbox, position: Position, limits: Limits) -> Changes | None:
    """Return the changes since a position; None if it is of another epoch, ahead of the inbox or no longer stored, or if
    there are more changes than `limits.replay`."""
    return await _since(store, inbox.number, position.revision, limits) if inbox.knows(position) else None


async def _since(store: Store, inbox: int, revision: int, limits: Limits) -> Changes | None:
    limit = limits.replay or NO_LIMIT
    changes = await store.inboxes.changes(inbox, revision, limit + 1)
    return None if revision < changes.oldest_revision or len(changes.rows) > limit else changes


async def catch_up(store: Store, connection: Connection, limits: Limits) -> None:
    """Replay the changes since the connection's revision, and go live. No effect during a replay."""
    if connection.phase is not Phase.REPLAYING:
        await replay(store, connection, None, connection.revision, limits)


async def replay(store: Store, connection: Connection, first: Changes | None, base: int, limits: Limits) -> None:
    """Send `first`, then the changes since then, and go live. A failure closes the connection.

    Positions during the replay contain `base`, the revision where it began: after another disconnect, rows that are new
    to the client are still sent as new, not as updates."""
    if connection.phase is Phase.CLOSED:
        return
    try:
        if first is not None and _replay_inline(connection, first, base):
            return
        connection.transition(Phase.REPLAYING)
        await _replay(store, connection, first, base, limits)
    except BellcastError as failure:
        log.warning("replay_interrupted", connection=connection.id, reason=failure.detail)
        connection.owner.end(connection, close_reasons.UNAVAILABLE)
    except Exception:
        log.exception("replay_failed", connection=connection.id)
        connection.owner.end(connection, close_reasons.UNAVAILABLE)
    finally:
        connection.go_live()


def _replay_inline(connection: Connection, changes: Changes, base: int) -> bool:
    """Send a few changes without pacing and go live; False, with nothing sent, if there are more or the connection is
    stale."""
    if connection.is_stale or len(changes.rows) > INLINE_CHANGES:
        return False
    pieces = list(_encoded_changes(connection, changes, base))
    if sum(map(len, pieces)) > min(REPLAY_BUFFER_BYTES, connection.max_unsent or REPLAY_BUFFER_BYTES):
        return False
    for piece in pieces:  # separately: long polling and ASGI `send` need one message each
        connection.write_replay(piece)
    connection.revision = max(connection.revision, changes.state.revision)
    connection.go_live()
    return True


def _encoded_changes(connection: Connection, changes: Changes, base: int) -> Iterator[bytes]:
    for row, position in _positioned(changes, base, connection.revision):
        yield connection.dialect.replay(_event(row, changes, base), position.text)


async def _replay(store: Store, connection: Connection, first: Changes | None, base: int, limits: Limits) -> None:
    changes = first
    while connection.phase is Phase.REPLAYING:
        if changes is None:  # `first` may be older than the change that made the connection stale
            connection.is_stale = False
            changes = await _since(store, connection.inbox, connection.revision, limits)
        if changes is None or changes.state.epoch != connection.epoch:
            await _reset(store, connection)
        else:
            await _encode_changes(connection, changes, base)
        await connection.wait_writable()  # once live, buffered output counts as unsent
        if not connection.is_stale:
            break
        changes, base = None, connection.revision


async def _reset(store: Store, connection: Connection) -> None:
    state = (await store.inboxes.changes(connection.inbox, NO_REVISION, 1)).state
    connection.epoch, connection.revision = state.epoch, state.revision
    connection.write_replay(connection.dialect.reset(state))


# Higher than every revision: the query returns only the state.
NO_REVISION = 2**62


async def _encode_changes(connection: Connection, changes: Changes, base: int) -> None:
    """Write the changes, oldest first, at the reader's pace."""
    pieces = _encoded_changes(connection, changes, base)
    while True:
        await connection.wait_writable()
        if connection.phase is not Phase.REPLAYING:
            return
        # Encoded after the wait, during which a Socket.IO client may have upgraded to another encoding.
        piece = next(pieces, None)
        if piece is None:
            break
        connection.write_replay(piece)
    connection.revision = max(connection.revision, changes.state.revision)


def _positioned(changes: Changes, base: int, begun: int) -> Iterator[tuple[Change, Position]]:
    """Yield each row with the client's position after it. The rows of one action share its revision, which only the last
    row of the action completes; the last row ends the replay and needs no base."""
    state = changes.state
    for row, following in pairwise(changes.rows):
        complete = following.revision != row.revision
        yield row, Position(state.epoch, row.revision if complete else max(row.revision - 1, begun), base)
    for row in changes.rows[-1:]:
        yield row, Position(state.epoch, state.revision)


def _event(row: Change, changes: Changes, base: int) -> InboxEvent:
    if row.notification is None:
        return NotificationDeleted(inbox=changes.state, id=row.id)
    kind = NotificationAdded if row.first_revision > base else NotificationUpdated
    return kind(inbox=changes.state, notification=row.notification)
