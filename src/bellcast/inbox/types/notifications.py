"""Notifications, the drafts they are created from, and edits."""

from datetime import datetime
from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType

from bellcast.channels.types import ChatContent, EmailContent, PushContent, SmsContent
from bellcast.kernel.errors import Conflict, NotFound
from bellcast.preferences.types import Channel, Priority

View = Literal["all", "unread", "read", "archived", "snoozed"]
BodyFormat = Literal["plain", "markdown"]


class Actor(Struct, frozen=True, forbid_unknown_fields=True):
    """The originator of a notification."""

    id: str | None = None
    name: str | None = None
    avatar: str | None = None


class ActionButton(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A button of a notification: a link (`url`), or a call of the app's handler (`call`)."""

    key: str
    label: str
    url: str | None = None
    call: str | None = None
    style: Literal["primary", "default", "danger"] = "default"


class Acted(Struct, frozen=True):
    """The action that the recipient took."""

    key: str
    at: datetime


class CreatedNotification(Struct, frozen=True):
    """A created notification and its recipient."""

    id: str
    recipient: str


class AnnouncementMade(Struct, frozen=True):
    """A created announcement."""

    id: str


class Sent(Struct, frozen=True):
    """The response to a send: notifications for named recipients, an announcement for an audience."""

    notifications: list[CreatedNotification] | UnsetType = UNSET
    announcement: AnnouncementMade | UnsetType = UNSET


class Notification(Struct, frozen=True, kw_only=True):
    """A notification of one recipient, with the fields that clients receive."""

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
    tags: tuple[str, ...] = ()
    group: str | None = None
    created_at: datetime
    expires_at: datetime | None = None
    seen_at: datetime | None = None
    read_at: datetime | None = None
    archived_at: datetime | None = None
    body_format: BodyFormat = "plain"
    actions: tuple[ActionButton, ...] = ()
    acted: Acted | None = None
    snoozed_until: datetime | None = None
    woken_at: datetime | None = None
    # Set if a snoozed notification returns as soon as the recipient is back; `snoozed_until` is then the latest time.
    awaits_return: bool | UnsetType = UNSET


def find_action(notification: Notification, key: str) -> ActionButton:
    """Return an action that the recipient may take. Raises NotFound, and Conflict if another one was taken."""
    action = next((one for one in notification.actions if one.key == key), None)
    if action is None:
        raise NotFound("This notification has no action with this key.")
    if notification.acted is not None and notification.acted.key != key:
        raise Conflict(f"The action {notification.acted.key} has already been taken.")
    return action


class Audience(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A group of recipients: one of topic, role or all, optionally within a tenant; or a whole tenant."""

    topic: str | None = None
    role: str | None = None
    tenant: str | None = None
    all: bool = False


class ChannelRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A channel with a delay. `unless` drops the message if the inbox item was seen or read during the delay."""

    channel: Channel
    after: str | float = 0
    unless: Literal["seen", "read"] | None = None


# The type of sends without one.
GENERAL = "general"


class Draft(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A notification to send (`POST /v1/notifications`). Without a template it needs a title. `send_at` sends it later: a time
    with an offset, or one in `timezone` (an IANA name, or "recipient")."""

    to: str | list[str] | Audience
    title: str | UnsetType = UNSET
    body: str | None = None
    type: str = GENERAL
    priority: Priority = "normal"
    action_url: str | None = None
    action_text: str | None = None
    icon: str | None = None
    actor: Actor | str | None = None
    data: dict[str, Any] = {}
    tags: list[str] = []
    group: str | None = None
    tenant: str | None = None
    expires_at: datetime | None = None
    body_format: BodyFormat = "plain"
    actions: list[ActionButton] = []
    channels: list[str | ChannelRequest] | None = None
    template: str | None = None
    email: EmailContent | None = None
    sms: SmsContent | None = None
    push: PushContent | None = None
    chat: ChatContent | None = None
    send_at: str | None = None
    timezone: str | None = None
    idempotency_key: str | None = None


class ImportedDraft(Draft, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A notification of another system (`POST /v1/import`): a draft with its original times. It is for named recipients
    and only for the inbox. If `seen_at` is absent, `read_at` is used."""

    created_at: datetime | None = None
    seen_at: datetime | None = None
    read_at: datetime | None = None
    archived_at: datetime | None = None


class Edit(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Changes to a sent notification. Absent fields do not change."""

    title: str | UnsetType = UNSET
    body: str | UnsetType | None = UNSET
    action_url: str | UnsetType | None = UNSET
    action_text: str | UnsetType | None = UNSET
    icon: str | UnsetType | None = UNSET
    priority: Priority | UnsetType = UNSET
    data: dict[str, Any] | UnsetType = UNSET
    expires_at: datetime | UnsetType | None = UNSET
    body_format: BodyFormat | UnsetType = UNSET
    actions: list[ActionButton] | UnsetType = UNSET


class Content(Struct, frozen=True, kw_only=True):
    """Content of a notification, without its recipient and state."""

    type: str
    title: str
    body: str | None
    priority: Priority
    action_url: str | None
    action_text: str | None
    icon: str | None
    actor: Actor | None
    data: dict[str, Any]
    tags: tuple[str, ...]
    group: str | None
    expires_at: datetime | None
    body_format: BodyFormat = "plain"
    actions: tuple[ActionButton, ...] = ()


def content(draft: Draft) -> Content:
    """Return the content of a draft. A string as actor becomes its name; duplicate tags are removed."""
    actor = Actor(name=draft.actor) if isinstance(draft.actor, str) else draft.actor
    return Content(
        type=draft.type,
        title=draft.title or "",
        body=draft.body,
        priority=draft.priority,
        action_url=draft.action_url,
        action_text=draft.action_text,
        icon=draft.icon,
        actor=actor,
        data=draft.data,
        tags=tuple(dict.fromkeys(draft.tags)),
        group=draft.group,
        expires_at=draft.expires_at,
        body_format=draft.body_format,
        actions=tuple(draft.actions),
    )
