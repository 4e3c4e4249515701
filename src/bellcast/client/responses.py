"""Typed responses of a Bellcast server. Those that are the server's own types are imported from its rooms. Unknown fields
from newer servers are ignored."""

from datetime import datetime
from typing import Any

import msgspec

from bellcast.channels.types import Attempt as Attempt
from bellcast.channels.types import ChannelExplanation as ChannelExplanation
from bellcast.channels.types import Explanation as Explanation
from bellcast.channels.types import Fact as Fact
from bellcast.channels.types import Message as Message
from bellcast.channels.types import Retried as Retried
from bellcast.channels.types import SuggestedAction as SuggestedAction
from bellcast.channels.types import TimelineEntry as TimelineEntry
from bellcast.inbox.types import Acted as Acted
from bellcast.inbox.types import AnnouncementMade as AnnouncementMade
from bellcast.inbox.types import BodyFormat as BodyFormat
from bellcast.inbox.types import CreatedNotification as CreatedNotification
from bellcast.inbox.types import View as View
from bellcast.preferences.types import Priority as Priority
from bellcast.recipients.types import Subscription as Subscription
from bellcast.topics.types import EventPage as EventPage
from bellcast.topics.types import Member as Member
from bellcast.topics.types import PastEvent as PastEvent
from bellcast.topics.types import Presence as Presence
from bellcast.topics.types import SubscriptionPage as SubscriptionPage
from bellcast.workflows.types import Cancelled as Cancelled
from bellcast.workflows.types import RunDetails as RunDetails
from bellcast.workflows.types import RunStep as RunStep
from bellcast.workflows.types import StartedRun as StartedRun

# Earlier names.
Delivered = CreatedNotification
Moment = TimelineEntry
Run = RunDetails
TopicEvent = PastEvent
TopicEventPage = EventPage


class FieldError(msgspec.Struct, frozen=True, kw_only=True):
    """One wrong field of a request (`to.topic`, `0.title`) and the reason."""

    field: str
    message: str
    line: int | None = None


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """An error response (RFC 9457). `retry_after` (seconds) is only set for an item of a bulk request."""

    status: int
    code: str
    title: str = ""
    detail: str | None = None
    errors: list[FieldError] = []
    retry_after: int | None = None


class ServerHealth(msgspec.Struct, frozen=True, kw_only=True):
    """A server's health; `project` is its public key (absent before 0.2)."""

    project: str | None = None


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """The originator of the action that a notification reports."""

    id: str | None = None
    name: str | None = None
    avatar: str | None = None


class MessagePage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of messages, newest first; `next` is the cursor of the next page. If it has `scanned_until` instead of
    `next`, the search stopped early: continue with this value."""

    messages: list[Message]
    next: str | None = None
    scanned_until: str | None = None


class ActionButton(msgspec.Struct, frozen=True, kw_only=True):
    """A button of a notification: a link, or a call of the app's handler."""

    key: str
    label: str
    url: str | None = None
    call: str | None = None
    style: str = "default"


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """A notification in an inbox. The last four fields are only returned to server-side callers.

    An announcement has an `audience` instead of a `recipient`.
    """

    id: str
    type: str
    title: str
    body: str | None = None
    priority: Priority = "normal"
    action_url: str | None = None
    action_text: str | None = None
    icon: str | None = None
    actor: Actor | None = None
    data: dict[str, Any] = {}
    tags: list[str] = []
    group: str | None = None
    created_at: datetime
    expires_at: datetime | None = None
    seen_at: datetime | None = None
    read_at: datetime | None = None
    archived_at: datetime | None = None
    body_format: BodyFormat = "plain"
    actions: list[ActionButton] = []
    acted: Acted | None = None
    snoozed_until: datetime | None = None
    woken_at: datetime | None = None
    awaits_return: bool = False
    recipient: str | None = None
    tenant: str | None = None
    audience: dict[str, Any] | None = None
    timeline: list[TimelineEntry] = []


class Scheduled(msgspec.Struct, frozen=True, kw_only=True):
    """The schedule that sends later. Deleting it cancels the send."""

    key: str
    next_at: datetime | None = None


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """The response to `notify`: a notification for each named recipient, one announcement for an audience, or with
    `send_at` a schedule."""

    notifications: list[CreatedNotification] = []
    announcement: AnnouncementMade | None = None
    schedule: Scheduled | None = None

    @property
    def ids(self) -> list[str]:
        return [self.announcement.id] if self.announcement else [made.id for made in self.notifications]

    @property
    def id(self) -> str:
        """The id of the notification or announcement; for several recipients, the first id. Raises LookupError for a
        send with `send_at`, which has none yet."""
        if self.schedule is not None:
            raise LookupError(f"The schedule {self.schedule.key} sends this later: it has no id yet.")
        return self.ids[0]


class BulkResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one item of a bulk send: `id`, `ids` (several recipients), `schedule` (with `send_at`) or `error`."""

    id: str | None = None
    ids: list[str] = []
    schedule: Scheduled | None = None
    error: Problem | None = None


class BulkResults(msgspec.Struct, frozen=True, kw_only=True):
    """The results of one slice, in the order of its items. `existing`: items that an earlier import had added."""

    results: list[BulkResult]
    existing: int = 0


class ImportResults(list[BulkResult]):
    """The results of an import, in the order of its items. `existing` is the number of items that an earlier import had
    added: they changed nothing."""

    existing = 0


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers for a badge."""

    unread: int
    unseen: int
    position: str
    by_type: dict[str, int] = {}


class InboxPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of an inbox, newest first; `next` is the cursor of the next page. `awaits_return`: notifications are snoozed
    until the recipient is back."""

    notifications: list[Notification]
    next: str | None = None
    unread: int
    unseen: int
    position: str
    awaits_return: bool = False


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """The number of notifications changed by a bulk action, and the remaining counts."""

    changed: int
    unread: int
    unseen: int


class Recipient(msgspec.Struct, frozen=True, kw_only=True):
    """A recipient of notifications; `key` is your own user id."""

    key: str
    email: str | None = None
    phone: str | None = None
    chat: dict[str, str | int] = {}
    locale: str | None = None
    timezone: str | None = None
    name: str | None = None
    roles: list[str] = []
    data: dict[str, Any] = {}
    tenant: str | None = None
    member_since: datetime | None = None
    created_at: datetime | None = None
    unread: int = 0
    unseen: int = 0


class RecipientPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of recipients; `next` is the cursor of the next page."""

    recipients: list[Recipient]
    next: str | None = None


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """One live connection, with its recipient, `protocol` and `transport`."""

    id: str
    recipient: str | None = None
    tenant: str | None = None
    protocol: str
    transport: str
    topics: list[str] = []
    address: str | None = None
    connected_at: datetime


class ConnectionPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of live connections; `next` is the cursor of the next page."""

    connections: list[Connection]
    next: str | None = None


class Triggered(msgspec.Struct, frozen=True, kw_only=True):
    """A started workflow. If there is only one run, `run` is also its id. For an audience, `runs` is empty. With
    `send_at` there is a `schedule`, and the ids are empty."""

    trigger: str = ""
    run: str = ""
    runs: list[StartedRun] = []
    schedule: Scheduled | None = None


class RunPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of runs; `next` is the cursor of the next page, or `scanned_until`, as for messages. With `trigger`, `counts` has
    the number of runs by state."""

    runs: list[RunDetails]
    next: str | None = None
    scanned_until: str | None = None
    fanout: str | None = None
    counts: dict[str, int] = {}


class IssuedToken(msgspec.Struct, frozen=True, kw_only=True):
    """A session token created by the server."""

    token: str
    expires_at: datetime


class SessionToken(str):
    """A session token for a page: a string with its expiry time."""

    expires_at: datetime

    def __new__(cls, token: str, expires_at: datetime) -> "SessionToken":
        made = super().__new__(cls, token)
        made.expires_at = expires_at
        return made

    def __reduce__(self) -> tuple[type["SessionToken"], tuple[str, datetime]]:
        """Return what makes a copy, also one in a cache: `str` would make it without its expiry time."""
        return SessionToken, (str(self), self.expires_at)
