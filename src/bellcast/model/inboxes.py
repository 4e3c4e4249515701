"""State of an inbox: counters, revision, and the range that can be replayed."""

from msgspec import Struct

from bellcast.model.positions import Position


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
        # like `Position.text`, in a third of the time; needed for each event
        return f"{self.epoch:x}-{self.revision:x}"


class Inbox(Struct, frozen=True, kw_only=True):
    """An opened inbox: its number in the store, its state and its owner."""

    number: int
    state: InboxState
    oldest_revision: int  # tombstones up to this revision are deleted: an earlier position cannot be resumed
    name: str | None = None
    roles: tuple[str, ...] = ()
    revoked_before: int = 0  # UTC milliseconds: tokens issued earlier are refused
    member_since: int | None = None  # UTC milliseconds: this recipient does not receive earlier announcements
    opened: bool = True  # False until the recipient first opens it

    def can_resume_from(self, position: Position) -> bool:
        """True if changes since that position can be replayed: the inbox has the same epoch and is not behind the
        position, and the changes are still stored."""
        state, revision = self.state, position.revision
        is_ordered = (position.base or 0) <= revision <= position.newest <= state.revision
        return position.epoch == state.epoch and is_ordered and self.oldest_revision <= revision
