"""Values of the inbox: notifications, sends, and positions in inboxes. First notifications, the drafts they are created from, and
edits."""

import re
from collections.abc import Sequence
from datetime import datetime
from itertools import chain
from typing import Annotated, Any, ClassVar, Literal

from msgspec import UNSET, Struct, UnsetType

from bellcast.channels.types import ChatContent, EmailContent, PushContent, SmsContent
from bellcast.kernel import field_limits, times
from bellcast.kernel.errors import Conflict, FieldError, NotFound
from bellcast.kernel.field_limits import (
    ANY_TENANT,
    DATA,
    INNER,
    KEY,
    KEY_PATTERN,
    NULL,
    ROLE,
    TEXT,
    TITLE,
    TOPIC,
    URL,
    YES,
    Limit,
    Schema,
    ValueRule,
    lasting,
    list_of,
    one_of,
    only,
    shown,
    text,
)
from bellcast.kernel.identities import EVERY_TENANT
from bellcast.kernel.limits import Limits
from bellcast.kernel.validation import FieldErrors, check, expiry, key, moment, tenant
from bellcast.preferences.types import CHANNEL_NAMES, CHANNELS, Channel, Priority, Switches

View = Literal["all", "unread", "read", "archived", "snoozed"]
BodyFormat = Literal["plain", "markdown"]
# Maximum buttons of one notification: more do not fit in a row of the bell.
MAX_ACTIONS = 5
# Maximum characters of one text of a message or of a stored template. Gmail clips e-mails at 102 KiB, and a send
# stores its texts for each recipient.
MAX_MESSAGE_TEXT = 256 * 1024
# Maximum characters of a template's key.
MAX_TEMPLATE_KEY = 100
# Calls that are reserved for connections.
RESERVED_CALLS = frozenset({"connect", "disconnect"})
# An action's key is part of a path.
ACTION_KEY = field_limits.matching(
    re.compile(r"[A-Za-z0-9_.-]{1,100}"), "must be 1 to 100 characters of A-Z a-z 0-9 and _ . -"
)


def _call(field: str, value: str, limits: Limits) -> FieldErrors:
    if not value or value in RESERVED_CALLS:
        yield FieldError(field, "must not be empty, connect or disconnect")
    yield from Limit("event_name").check(field, value, limits)


class Actor(Struct, frozen=True, forbid_unknown_fields=True):
    """The originator of a notification."""

    id: Annotated[str | None, Limit("key")] = None
    name: Annotated[str | None, Limit("title")] = None
    avatar: Annotated[str | None, URL] = None


class ActionButton(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A button of a notification: a link (`url`), or a call of the app's handler (`call`)."""

    key: Annotated[str, ACTION_KEY]
    label: Annotated[str, TITLE]
    url: Annotated[str | None, URL] = None
    call: Annotated[str | None, ValueRule(_call, Limit("event_name", 1).schema)] = None
    style: Literal["primary", "default", "danger"] = "default"

    SCHEMA: ClassVar[Schema] = one_of(only("url", TEXT, call=NULL), only("call", TEXT))


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

    topic: Annotated[str | None, TOPIC] = None
    role: Annotated[str | None, ROLE] = None
    tenant: Annotated[str | None, ValueRule(schema=lambda limits: text(limits.key, KEY_PATTERN))] = None
    all: bool = False

    SCHEMA: ClassVar[Schema] = one_of(
        only("all", YES, topic=NULL, role=NULL),
        only("topic", TEXT, role=NULL),
        only("role", TEXT),
        only("tenant", TEXT),
    )


class ChannelRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A channel with a delay. `unless` drops the message if the inbox item was seen or read during the delay."""

    channel: Channel
    after: Annotated[str | float, lasting(0, times.MAX_AHEAD_SECONDS, "must be between 0 and 366d")] = 0
    unless: Literal["seen", "read"] | None = None


def actions(field: str, value: Sequence[ActionButton], limits: Limits) -> FieldErrors:
    """Check action buttons: at most MAX_ACTIONS with different keys, each with either a link or a call."""
    if len(value) > MAX_ACTIONS:
        yield FieldError(field, f"must have at most {MAX_ACTIONS} actions, got {len(value)}")
        return
    for number, action in enumerate(value):
        place = f"{field}.{number}"
        if any(action.key == other.key for other in value[:number]):
            yield FieldError(f"{place}.key", f"must not be {action.key} twice")
        if (action.url is None) == (action.call is None):
            yield FieldError(place, "must have either url or call")
        yield from field_limits.errors(action, limits, f"{place}.")


def audience(field: str, value: Audience, limits: Limits) -> FieldErrors:
    """Check that there is exactly one audience. `tenant` may be combined with it, and means every tenant if it is `*`
    with `all`."""
    named = [name for name in ("topic", "role", "all") if getattr(value, name)]
    if len(named) > 1:
        yield FieldError(field, f"must name one audience, not {' and '.join(named)}")
    elif not named and not value.tenant:
        yield FieldError(field, 'must name a recipient, or one of "topic", "role", "tenant" or "all": true')
    yield from field_limits.errors(value, limits, f"{field}.")
    if value.tenant is not None and not (value.tenant == EVERY_TENANT and value.all):
        yield from tenant(f"{field}.tenant", value.tenant, limits)


def addressees(field: str, to: str | list[str] | Audience, limits: Limits) -> FieldErrors:
    """Check recipients: one key, a list of 1 to TO keys, or an audience."""
    if isinstance(to, Audience):
        return audience(field, to, limits)
    if isinstance(to, str):
        return key(field, to, limits)
    if not to:
        return [FieldError(field, "must name at least one recipient")]
    if limits.to and len(to) > limits.to:
        return [FieldError(field, f"must name at most {limits.to} recipients, got {len(to)}: use a topic, or bulk")]
    return chain.from_iterable(key(f"{field}.{number}", one, limits) for number, one in enumerate(to))


def _channels(field: str, value: list[str | ChannelRequest], limits: Limits) -> FieldErrors:
    """Check channels of a send or a type: each at most once, and `unless` only together with the inbox."""
    if not 1 <= len(value) <= len(CHANNELS):
        yield FieldError(field, f"must have 1 to {len(CHANNELS)} channels, got {len(value)}")
        return
    names = [entry if isinstance(entry, str) else entry.channel for entry in value]
    for number, (name, entry) in enumerate(zip(names, value, strict=True)):
        place = f"{field}.{number}"
        if name not in CHANNELS:
            yield FieldError(place, f"must be one of: {', '.join(CHANNELS)}")
        elif name in names[:number]:
            yield FieldError(place, f"must not name {name} twice")
        if isinstance(entry, ChannelRequest):
            wrong = field_limits.errors(entry, limits, f"{place}.")
            if not wrong and name == "inbox" and (times.seconds(entry.after) or entry.unless is not None):
                wrong.append(FieldError(place, "must not be delayed: the inbox is written with the send"))
            yield from wrong
            if entry.unless is not None and "inbox" not in names:
                yield FieldError(f"{place}.unless", "needs the channel inbox")


def _message_texts(field: str, value: Struct, limits: Limits) -> FieldErrors:
    for name in value.__struct_fields__:
        limit = MAX_TEMPLATE_KEY if name == "layout" else MAX_MESSAGE_TEXT
        yield from Limit(limit).check(f"{field}.{name}", getattr(value, name), limits)


# Rules of fields.
TO = ValueRule(addressees, lambda limits: KEY.schema(limits) | list_of(limits.to, KEY.schema(limits), least=1))
ACTOR_NAME = Limit("title")
ACTOR = ValueRule(
    lambda field, value, limits: (ACTOR_NAME if isinstance(value, str) else INNER).check(field, value, limits),
    ACTOR_NAME.schema,
)
ACTIONS = ValueRule(actions, lambda _: {"maxItems": MAX_ACTIONS})
TAGS = field_limits.each("tags", Limit("tag", 1), "tags")
CHANNEL_LIST = ValueRule(
    _channels, lambda _: {"items": {"enum": [*CHANNELS]}, "minItems": 1, "maxItems": len(CHANNELS)}
)
MESSAGE = ValueRule(_message_texts)
# The type of sends without one.
GENERAL = "general"


# Characters that separate the words of a type's key.
KEY_SEPARATORS = str.maketrans("._-", "   ")


class NotificationType(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The defaults for all notifications of a type, unless a send overrides them. `data` is a JSON Schema for the data of
    its sends, and of triggers of its workflows that have none. With `data_check: warn`, other data is accepted and reported
    in the live feed."""

    name: Annotated[str | None, Limit("title")] = None
    channels: Annotated[list[str | ChannelRequest] | None, CHANNEL_LIST] = None
    template: str | None = None
    required: Annotated[bool | tuple[str, ...], shown({"items": {"enum": [*CHANNELS]}})] = False
    defaults: Annotated[Switches, CHANNEL_NAMES] = {}
    data: dict[str, Any] | None = None
    data_check: Literal["refuse", "warn"] = "refuse"

    def name_of(self, type: str) -> str:
        """Return the display name of the type: its own, or made from its key."""
        return self.name or (type[:1].upper() + type[1:]).translate(KEY_SEPARATORS)

    def named_channels(self) -> set[str]:
        """Return the channels that the type names."""
        sent = {one if isinstance(one, str) else one.channel for one in self.channels or ()}
        return sent | {*self.defaults} | (set() if isinstance(self.required, bool) else {*self.required})

    def requires(self, channel: Channel) -> bool:
        """True if preferences cannot stop this type in this channel."""
        return self.required if isinstance(self.required, bool) else channel in self.required


NO_TYPE = NotificationType()


class Draft(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A notification to send (`POST /v1/notifications`). Without a template it needs a title. `send_at` sends it later: a time
    with an offset, or one in `timezone` (an IANA name, or "recipient")."""

    to: Annotated[str | list[str] | Audience, TO]
    title: Annotated[str | UnsetType, TITLE] = UNSET
    body: Annotated[str | None, Limit("body")] = None
    type: Annotated[str, Limit("type", 1)] = GENERAL
    priority: Priority = "normal"
    action_url: Annotated[str | None, URL] = None
    action_text: Annotated[str | None, Limit("title")] = None
    icon: Annotated[str | None, Limit("url")] = None
    actor: Annotated[Actor | str | None, ACTOR] = None
    data: Annotated[dict[str, Any], DATA] = {}
    tags: Annotated[list[str], TAGS] = []
    group: Annotated[str | None, Limit("group")] = None
    tenant: Annotated[str | None, ANY_TENANT] = None
    expires_at: datetime | None = None
    body_format: BodyFormat = "plain"
    actions: Annotated[list[ActionButton], ACTIONS] = []
    channels: Annotated[list[str | ChannelRequest] | None, CHANNEL_LIST] = None
    template: Annotated[str | None, Limit(MAX_TEMPLATE_KEY)] = None
    email: Annotated[EmailContent | None, MESSAGE] = None
    sms: Annotated[SmsContent | None, MESSAGE] = None
    push: Annotated[PushContent | None, MESSAGE] = None
    chat: Annotated[ChatContent | None, MESSAGE] = None
    send_at: str | None = None
    timezone: str | None = None
    idempotency_key: Annotated[str | None, KEY] = None

    # A title is needed without a template, and for the general type, whose template has none.
    SCHEMA: ClassVar[Schema] = {
        "if": {"properties": {"template": NULL, "type": {"const": GENERAL}}},
        "then": {"required": ["title"]},
    }


class ImportedDraft(Draft, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A notification of another system (`POST /v1/import`): a draft with its original times. It is for named recipients
    and only for the inbox. If `seen_at` is absent, `read_at` is used."""

    created_at: datetime | None = None
    seen_at: datetime | None = None
    read_at: datetime | None = None
    archived_at: datetime | None = None


class Edit(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Changes to a sent notification. Absent fields do not change."""

    title: Annotated[str | UnsetType, TITLE] = UNSET
    body: Annotated[str | UnsetType | None, Limit("body")] = UNSET
    action_url: Annotated[str | UnsetType | None, URL] = UNSET
    action_text: Annotated[str | UnsetType | None, Limit("title")] = UNSET
    icon: Annotated[str | UnsetType | None, Limit("url")] = UNSET
    priority: Priority | UnsetType = UNSET
    data: Annotated[dict[str, Any] | UnsetType, DATA] = UNSET
    expires_at: datetime | UnsetType | None = UNSET
    body_format: BodyFormat | UnsetType = UNSET
    actions: Annotated[list[ActionButton] | UnsetType, ACTIONS] = UNSET


class Content(Struct, frozen=True, kw_only=True):
    """Content of a notification, without its recipient and state. `template` is what its send named."""

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
    template: str | None = None


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
        template=draft.template,
    )


# Fields of a draft that imports do not support: an import sends no messages and does not wait.
NOT_IMPORTED = ("channels", "template", "email", "sms", "push", "chat", "send_at", "timezone")
IMPORTED_TIMES = ("created_at", "seen_at", "read_at", "archived_at")


def check_draft(draft: Draft, limits: Limits, now: datetime) -> None:
    """Raise Invalid with every bad field of a draft."""
    check(draft_errors(draft, limits, now))


def check_import(draft: ImportedDraft, limits: Limits, now: datetime) -> None:
    """Raise Invalid with every bad field of an imported notification."""
    errors = draft_errors(draft, limits, now)
    if isinstance(draft.to, Audience):
        errors.append(FieldError("to", "must name recipients: an audience cannot be imported"))
    if draft.title is UNSET and draft.type != GENERAL:  # no template supplies it
        errors.append(FieldError("title", "is required"))
    for field in NOT_IMPORTED:
        if getattr(draft, field) is not None:
            errors.append(FieldError(field, "must be absent: imported notifications are only for the inbox"))
    created_at = draft.created_at
    for field in IMPORTED_TIMES:
        value: datetime | None = getattr(draft, field)
        if value is None:
            continue
        wrong = list(moment(field, value))
        errors += wrong
        if not wrong and value > now:
            errors.append(FieldError(field, "must not be in the future"))
        elif not wrong and created_at is not None and not list(moment(field, created_at)) and value < created_at:
            errors.append(FieldError(field, "must not be before created_at"))
    check(errors)


def check_edit(edit: Edit, limits: Limits, now: datetime) -> None:
    """Raise Invalid with every bad field of an edit."""
    check(field_limits.errors(edit, limits), expiry("expires_at", edit.expires_at, now))


def draft_errors(draft: Draft, limits: Limits, now: datetime) -> list[FieldError]:
    """Return the bad fields of a draft, except its time."""
    # Lists instead of generators: most fields have no errors, and checking drafts is a sixth of the time of a bulk
    # send.
    errors = field_limits.errors(draft, limits)
    if isinstance(draft.to, Audience) and draft.tenant is not None and draft.to.tenant not in (None, draft.tenant):
        errors.append(FieldError("to.tenant", "must be the same as tenant"))
    if draft.tenant and not (draft.tenant == EVERY_TENANT and isinstance(draft.to, Audience) and draft.to.all):
        errors += tenant("tenant", draft.tenant, limits)
    # The type may have a template with a title, which routing checks.
    if draft.title is UNSET and draft.template is None and draft.type == GENERAL:
        errors.append(FieldError("title", "is required"))
    if draft.expires_at is not None:
        errors += expiry("expires_at", draft.expires_at, now)
    return errors
