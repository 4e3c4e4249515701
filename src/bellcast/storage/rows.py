"""Convert rows to values and back: JSON columns, integer times, and the order of selected columns."""

from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec
from msgspec.structs import replace

from bellcast.kernel import ids, times
from bellcast.kernel.db.script import Params, Row
from bellcast.model.inboxes import Inbox, InboxState
from bellcast.model.notifications import Acted, ActionButton, Actor, Content, Edit, Notification
from bellcast.model.recipients import RECORD_FIELDS, ChatAddresses, Recipient, RecipientFields, Subscription, merge
from bellcast.model.tenants import ApiKey, Tenant, TenantRules
from bellcast.ports.jobs import Job
from bellcast.ports.runs import StoredRun

_actor = msgspec.json.Decoder(Actor)
_texts = msgspec.json.Decoder(tuple[str, ...])
_chat = msgspec.json.Decoder(ChatAddresses)
NO_CHAT = ChatAddresses()
_actions = msgspec.json.Decoder(tuple[ActionButton, ...])
_object = msgspec.json.Decoder(dict[str, Any])
_tenant_rules = msgspec.json.Decoder(TenantRules)
_encode = msgspec.json.Encoder().encode

# The view `inbox_entries`: the number of columns of a notification, and the index of the recipient after them.
ENTRY_COLUMNS = 23
PLACE, RECIPIENT = 22, 25
# The columns of a run before its body.
RUN_COLUMNS = (
    *("id", "trigger", "tenant", "workflow", "owner", "version", "recipient", "state", "reason", "cancel_key"),
    *("wakes_at", "created_at", "ended_at", "revision", "woken"),
)
NEW_JOB_COLUMNS = ("id", "kind", "payload", "run_at", "created_at", "tenant", "priority")
NO_OTHERS = (None,) * 8  # of an unread notification
# Rows of one batch share one time.
_moment = lru_cache(maxsize=4)(times.to_rfc3339)


def to_json(value: Any) -> str:
    """Encode a value as compact JSON text."""
    return _encode(value).decode()


def to_json_or_null(value: Any) -> str | None:
    """Like `to_json`, but an empty value becomes None."""
    return _encode(value).decode() if value else None


def notification(row: Row) -> Notification:
    """Create a notification from the first columns of the view `inbox_entries`."""
    id, type, title, body, priority, action_url, action_text, icon, actor, data, tags, group = row[:12]
    created_at, expires_at, seen_at = row[12:15]
    # Python calls functions with up to 15 keyword arguments four times as fast.
    common = Notification(
        id=id,
        type=type,
        title=title,
        body=body,
        priority=priority,
        action_url=action_url,
        action_text=action_text,
        icon=icon,
        actor=None if actor is None else _actor.decode(actor),
        data={} if data is None else _object.decode(data),
        tags=() if tags is None else _texts.decode(tags),
        group=group,
        created_at=times.to_rfc3339(created_at),
        expires_at=None if expires_at is None else times.to_rfc3339(expires_at),  # without a call: most are null
        seen_at=None if seen_at is None else times.to_rfc3339(seen_at),
    )
    others = row[15:ENTRY_COLUMNS]
    if others == NO_OTHERS:
        return common
    read_at, archived_at, body_format, actions, acted_key, acted_at, snoozed_until, place = others
    return replace(
        common,
        read_at=times.to_rfc3339_or_null(read_at),
        archived_at=times.to_rfc3339_or_null(archived_at),
        body_format="markdown" if body_format == "markdown" else "plain",
        actions=() if actions is None else action_buttons(actions),
        acted=None if acted_key is None else Acted(acted_key, times.to_rfc3339(acted_at)),
        snoozed_until=times.to_rfc3339_or_null(snoozed_until),
        woken_at=None if place is None else woken_at(place),
    )


def action_buttons(text: str) -> tuple[ActionButton, ...]:
    """Decode actions. Invalid ones, which only another program can have written, are ignored."""
    try:
        return _actions.decode(text)
    except msgspec.DecodeError:
        return ()


def woken_at(place: str) -> datetime:
    """Return the time at which a snoozed row wakes, from its `place`."""
    return times.to_rfc3339(ids.made_at(place))


def new_notification(id: str, content: Content, created_at: int) -> Notification:
    """Return an unseen notification with this content."""
    created = Notification(  # as in `notification`
        id=id,
        type=content.type,
        title=content.title,
        body=content.body,
        priority=content.priority,
        action_url=content.action_url,
        action_text=content.action_text,
        icon=content.icon,
        actor=content.actor,
        data=content.data,
        tags=content.tags,
        group=content.group,
        created_at=_moment(created_at),
        expires_at=content.expires_at,
    )
    if content.body_format == "plain" and not content.actions:
        return created
    return replace(created, body_format=content.body_format, actions=content.actions)


def content_params(content: Content, created_at: int) -> dict[str, Any]:
    """Return a content as parameters, named after the columns."""
    return {
        "type": content.type,
        "title": content.title,
        "body": content.body,
        "priority": content.priority,
        "action_url": content.action_url,
        "action_text": content.action_text,
        "icon": content.icon,
        "actor": None if content.actor is None else to_json(content.actor),
        "data": to_json_or_null(content.data),
        "tags": to_json_or_null(content.tags),
        "group": content.group,
        "created_at": created_at,
        "expires_at": None if content.expires_at is None else times.milliseconds(content.expires_at),
        "body_format": None if content.body_format == "plain" else content.body_format,
        "actions": to_json_or_null(content.actions),
    }


def edited_params(before: Notification, edit: Edit) -> dict[str, Any]:
    """Return the editable columns after the edit."""
    expires_at = edit.expires_at if edit.expires_at is not msgspec.UNSET else before.expires_at
    return {
        "title": _either(edit.title, before.title),
        "body": _either(edit.body, before.body),
        "priority": _either(edit.priority, before.priority),
        "action_url": _either(edit.action_url, before.action_url),
        "action_text": _either(edit.action_text, before.action_text),
        "icon": _either(edit.icon, before.icon),
        "data": to_json_or_null(_either(edit.data, before.data)),
        "expires_at": None if expires_at is None else times.milliseconds(expires_at),
        "body_format": _either(edit.body_format, before.body_format),
        "actions": to_json_or_null(_either(edit.actions, before.actions)),
    }


def _either(edited: Any, before: Any) -> Any:
    return before if edited is msgspec.UNSET else edited


def state(row: Row) -> InboxState:
    """Create the inbox state from tenant, key, epoch, revision, unread, unseen."""
    return InboxState(*row)


def inbox(tenant: str, key: str, row: Row) -> Inbox:
    """Create an inbox from id, epoch, revision, unread, unseen, floor, revoked_before, name, roles, member_since,
    opened."""
    number, epoch, revision, unread, unseen, floor, revoked_before, name, roles, member_since, opened = row
    return Inbox(
        number=number,
        state=InboxState(tenant, key, epoch, revision, unread, unseen),
        oldest_revision=floor,
        name=name,
        roles=texts(roles),
        revoked_before=revoked_before,
        member_since=member_since,
        opened=bool(opened),
    )


def texts(json: str) -> tuple[str, ...]:
    """Decode a JSON list of texts."""
    return () if json == "[]" else _texts.decode(json)


def recipient(row: Row) -> Recipient:
    """Create a recipient from tenant, key, name, email, phone, chat, locale, timezone, roles, data, created_at, unread,
    unseen, member_since."""
    tenant, key, name, email, phone, chat, locale, timezone, roles, data, created_at, unread, unseen, member_since = row
    return Recipient(
        key=key,
        tenant=tenant or None,
        name=name,
        email=email,
        phone=phone,
        chat=chat_addresses(chat),
        locale=locale,
        timezone=timezone,
        roles=texts(roles),
        data=_object.decode(data),
        member_since=times.to_rfc3339_or_null(member_since),
        created_at=times.to_rfc3339(created_at),
        unread=unread,
        unseen=unseen,
    )


def merged_fields(before: Recipient, fields: RecipientFields, *, replace: bool) -> dict[str, Any]:
    """Return the columns of a record after an update; roles are separate."""
    after = merge(before, fields, replace=replace)
    columns = {name: getattr(after, name) for name in RECORD_FIELDS}
    since = columns["member_since"]
    columns["member_since"] = None if since is None else times.milliseconds(since)
    return {**columns, "chat": to_json_or_null(columns["chat"]), "data": to_json(columns["data"])}


def chat_addresses(column: str | None) -> ChatAddresses:
    """Decode the column `chat`."""
    return NO_CHAT if column is None else _chat.decode(column)


def subscription(row: Row) -> Subscription:
    """Create a subscription from topic, key, created_at."""
    topic, key, created_at = row
    return Subscription(topic, key, times.to_rfc3339(created_at))


def tenant(row: Row) -> Tenant:
    """Create a tenant from key, name, settings, created_at, erasing_since."""
    key, name, settings, created_at, erasing_since = row
    return Tenant(
        key=key or None,
        name=name,
        settings=_object.decode(settings),
        created_at=times.to_rfc3339(created_at),
        erasing_since=times.to_rfc3339_or_null(erasing_since),
    )


def tenant_rules(settings: str) -> TenantRules:
    """Decode the rules in a tenant's settings. Invalid values, stored before these names had a meaning, are ignored."""
    try:
        return _tenant_rules.decode(settings)
    except msgspec.ValidationError:
        return TenantRules()


def tenants(stored: str | None) -> tuple[str, ...] | None:
    """Return the tenants that a key or an operator is bound to; None for all."""
    return None if stored is None else msgspec.json.decode(stored, type=tuple[str, ...])


def api_key(row: Row) -> ApiKey:
    """Create an API key from id, name, scopes, tenants, created_at, revoked_at, used_at."""
    id, name, scopes, bound_to, created_at, revoked_at, used_at = row
    return msgspec.convert(
        {
            "id": id,
            "name": name,
            "scopes": msgspec.json.decode(scopes),
            "tenants": tenants(bound_to),
            "created_at": times.to_rfc3339(created_at),
            "revoked_at": times.to_rfc3339_or_null(revoked_at),
            "used_at": times.to_rfc3339_or_null(used_at),
        },
        ApiKey,
    )


def run(row: Row) -> StoredRun:
    """Create a run from the columns of the statements that read runs."""
    *columns, body = row
    return StoredRun(**dict(zip(RUN_COLUMNS, columns, strict=True)), body=body.encode())


def new_job_params(job: Job) -> Params:
    """Return the parameters of `job_add`."""
    return {name: getattr(job, name) for name in NEW_JOB_COLUMNS}
