"""State of an inbox: its counters, its revision, and the position that clients resume from."""

import re

from msgspec import Struct

# The stores keep the numbers of a position as signed 64-bit integers.
MAX_POSITION_NUMBER = 2**63 - 1
POSITION = re.compile(r"([0-9a-f]{1,16})-([0-9a-f]{1,16})(?:-([0-9a-f]{1,16}))?")


class InboxState(Struct, frozen=True):
    """State of a recipient's inbox after a change: id, revision and counters."""

    tenant: str
    recipient: str
    epoch: int  # generation: a recreated or restored inbox starts a new one, so old positions are unknown
    revision: int
    unread: int
    unseen: int

    @property
    def position(self) -> str:
        """The position of this state, as clients carry it."""
        return Position(self.epoch, self.revision).text


class Position(Struct, frozen=True):
    """A position in an inbox's changes. `base` is the start of the replay during which it was issued, if any."""

    epoch: int
    revision: int
    base: int | None = None

    @property
    def text(self) -> str:
        """The text form, opaque to clients: epoch, revision and, within a replay, its base."""
        start = f"{self.epoch:x}-{self.revision:x}"
        return start if self.base is None else f"{start}-{self.base:x}"


class Inbox(Struct, frozen=True, kw_only=True):
    """An opened inbox: its number in the store, its state and its owner."""

    number: int
    state: InboxState
    oldest_revision: int  # tombstones up to this revision are swept: a position before it cannot be resumed
    name: str | None = None
    roles: tuple[str, ...] = ()
    revoked_before: int = 0  # UTC milliseconds: tokens issued earlier are refused
    member_since: int | None = None  # UTC milliseconds: earlier announcements are not for this recipient
    opened: bool = True  # False until the recipient first opens it

    def knows(self, position: Position) -> bool:
        """True if changes since that position can be replayed: the inbox has the same epoch and is not behind the
        position, and the changes are still stored."""
        state, revision = self.state, position.revision
        began = position.epoch == state.epoch and (position.base is None or position.base <= revision)
        return began and self.oldest_revision <= revision <= state.revision


def parse_position(text: str) -> Position | None:
    """Parse a client's position. None if it is invalid (then the client is reset)."""
    match = POSITION.fullmatch(text)
    if match is None:
        return None
    numbers = [int(part, 16) for part in match.groups() if part is not None]
    return Position(*numbers) if max(numbers) <= MAX_POSITION_NUMBER else None
