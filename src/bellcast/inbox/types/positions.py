"""Positions in an inbox: where a client resumes."""

import re
from typing import NamedTuple

from msgspec import Struct

# The stores keep the numbers of a position as signed 64-bit integers.
MAX_POSITION_NUMBER = 2**63 - 1
NUMBER = "[0-9a-f]{1,16}"
# Maximum interrupted replays stored in a position. With more, rows of the oldest two may be sent again as updates.
MAX_REPLAYS = 8
POSITION = re.compile(rf"({NUMBER})-({NUMBER})(?:-({NUMBER})((?:\.{NUMBER}\.{NUMBER}){{1,{MAX_REPLAYS}}}))?")


class SentRows(NamedTuple):
    """Rows that a replay sent as new: those created up to the revision `created`, in their state at the revision
    `read`."""

    created: int
    read: int


class Position(Struct, frozen=True):
    """A position in an inbox's changes: the client knows the changes up to `revision`.

    A position within a replay also has its `base`, the revision where the replay began, and `sent`, the rows created
    since then that the client received. `sent` is in order of creation, with one entry per interrupted replay."""

    epoch: int
    revision: int
    base: int | None = None
    sent: tuple[SentRows, ...] = ()

    @property
    def text(self) -> str:
        """The text form, opaque to clients: epoch, revision and, within a replay, its base and the rows sent."""
        place = f"{self.epoch:x}-{self.revision:x}"
        return place + (f"-{self.base:x}" + "".join(f".{c:x}.{r:x}" for c, r in self.sent) if self.sent else "")

    @property
    def newest(self) -> int:
        """The revision of the newest row that the client knows. Every later row is new to it."""
        return self.sent[-1].created if self.sent else self.revision

    def known_revision(self, first_revision: int) -> int:
        """Return the revision of the state in which the client knows a row created at `first_revision`."""
        if self.sent and first_revision > (self.base or 0):
            for created, read in self.sent:
                if first_revision <= created:
                    return max(read, self.revision)
        return self.revision

    def after_created(self, created: int, read: int) -> "Position":
        """Return the position after sending the rows created up to a revision, which were read at another revision."""
        sent = (*self.sent, SentRows(created, read))
        if len(sent) > MAX_REPLAYS:
            oldest, second = sent[:2]
            sent = (SentRows(second.created, min(oldest.read, second.read)), *sent[2:])
        base = self.revision if self.base is None else self.base
        return Position(self.epoch, self.revision, base, sent)

    def after_changed(self, revision: int) -> "Position":
        """Return the position after sending all changes up to a revision to rows that the client knew."""
        return Position(self.epoch, max(revision, self.revision), self.base, self.sent)


def parse_position(text: str) -> Position | None:
    """Parse a client's position. None if it is invalid (then the client is reset)."""
    match = POSITION.fullmatch(text)
    if match is None:
        return None
    if match[3] is None:
        epoch, revision = int(match[1], 16), int(match[2], 16)
        return Position(epoch, revision) if max(epoch, revision) <= MAX_POSITION_NUMBER else None
    numbers = [int(part, 16) for part in text.replace(".", "-").split("-")]
    if max(numbers) > MAX_POSITION_NUMBER:
        return None
    return Position(numbers[0], numbers[1], numbers[2], tuple(map(SentRows, numbers[3::2], numbers[4::2])))


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
