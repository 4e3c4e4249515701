"""The durable inboxes: what is asked of one, and what it answers."""

from collections.abc import Sequence
from typing import Literal, Protocol

from msgspec import Struct

from bellcast.errors import Unauthenticated
from bellcast.model.events import Event, InboxEvent
from bellcast.model.inboxes import Inbox, InboxState, Position
from bellcast.model.notifications import Notification, View

Action = Literal["seen", "unseen", "read", "unread", "archive", "unarchive", "delete"]


class SessionRevoked(Unauthenticated):
    """This session was ended: sign in again."""

    def __init__(self, before: int) -> None:
        super().__init__()
        self.before = before  # UTC milliseconds: sessions issued earlier are refused


class Query(Struct, frozen=True, kw_only=True):
    """One page of an inbox: newest first, at most `limit`, made before the id `before`."""

    view: View = "all"
    type: str | None = None
    tag: str | None = None
    limit: int = 20
    before: str | None = None


class InboxPage(Struct, frozen=True):
    """A page and where the inbox stood at that moment."""

    state: InboxState
    notifications: list[Notification]


class UnreadCounts(Struct, frozen=True):
    """Unread counts by type and where the inbox stood at that moment."""

    state: InboxState
    by_type: dict[str, int]


class Marking(Struct, frozen=True, kw_only=True):
    """What a recipient does to many at once. `ids` None is all not archived (unarchive: all archived), narrowed by
    `type` and `view`."""

    actions: tuple[Action, ...]
    ids: tuple[str, ...] | None = None
    type: str | None = None
    view: View | None = None


class Marked(Struct, frozen=True):
    """What came of a marking: how many rows changed, the state after it, the event to publish (none if nothing changed)."""

    changed: int
    state: InboxState
    events: tuple[InboxEvent, ...] = ()


class Change(Struct, frozen=True):
    """One row changed since a position. `made` is its first revision; `notification` is None when it is gone."""

    id: str
    first_revision: int
    revision: int
    notification: Notification | None


class Changes(Struct, frozen=True):
    """Rows changed after a revision, oldest change first, each once, with the state they lead to."""

    state: InboxState
    oldest_revision: int
    rows: tuple[Change, ...]


class ResumeFrom(Struct, frozen=True):
    """Where a client was in its inbox, and the most rows worth telling it one by one."""

    position: Position
    limit: int


class OpenInbox(Struct, frozen=True):
    """An inbox after it took in what was announced; `events` tell its other devices. `missed` is what changed since the
    position that was asked about; None when none was, or when that cannot be told."""

    inbox: Inbox
    events: tuple[Event, ...] = ()
    missed: Changes | None = None


class InboxStatus(Struct, frozen=True):
    """Where an inbox stands, for those who look at it now. `behind`: there are announcements it has not looked at."""

    number: int
    epoch: int
    revision: int
    revoked_before: int
    behind: bool


class Inboxes(Protocol):
    """The durable inboxes. Every change adds one to the inbox's revision, stamps the rows it changed and adjusts the
    counters in one transaction; a method returns after the commit, with the events to publish, in order."""

    async def open(
        self,
        tenant: str,
        recipient: str,
        now: int,
        *,
        issued_at: int,
        roles: tuple[str, ...] | None = None,
        name: str | None = None,
        since: ResumeFrom | None = None,
    ) -> OpenInbox:
        """The inbox, made on first sight, after taking in pending announcements, and what changed in it, all of one
        moment. `roles` and `name` are written when given and different.

        SessionRevoked, with nothing written, for a session `issued_at` a time (UTC milliseconds) before the recipient's
        sessions were ended or the recipient or its tenant was erased."""
        ...

    async def page(self, inbox: int, query: Query) -> InboxPage:
        """One page, newest first, and the state of the same moment."""
        ...

    async def unread_by_type(self, inbox: int) -> UnreadCounts:
        """Unread counts by type, zeros left out, and the state of the same moment."""
        ...

    async def get(self, inbox: int, id: str) -> Notification | None:
        """One notification of this inbox."""
        ...

    async def mark(self, inbox: int, marking: Marking, now: int) -> Marked:
        """Do the actions to those of the ids that are there; one revision for all of them. Unknown ids are passed over."""
        ...

    async def changes(self, inbox: int, after: int, limit: int) -> Changes:
        """At most `limit` rows changed after the revision `after`."""
        ...

    async def statuses(self, inboxes: Sequence[int]) -> list[InboxStatus]:
        """Where each of these inboxes stands; those that are gone are left out."""
        ...
