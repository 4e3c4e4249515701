"""Rows of an inbox as notifications and back: integer times, and the order of selected columns."""

from datetime import datetime
from typing import Any

import msgspec
from msgspec.structs import replace

from bellcast.inbox.types import Acted, ActionButton, Actor, Content, Edit, Notification
from bellcast.inbox.types.inboxes import Inbox, InboxState
from bellcast.kernel import ids, times
from bellcast.kernel.db import columns
from bellcast.kernel.db.script import Row

_actor = msgspec.json.Decoder(Actor)
_actions = msgspec.json.Decoder(tuple[ActionButton, ...])

# The view `inbox_entries`: the number of columns of a notification, and the index of the recipient after them.
ENTRY_COLUMNS = 23
PLACE, RECIPIENT = 22, 25
NO_OTHERS = (None,) * 8  # of an unread notification


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
        data={} if data is None else columns.json_object(data),
        tags=() if tags is None else columns.texts(tags),
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
        created_at=times.to_rfc3339(created_at),
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
        "actor": None if content.actor is None else columns.to_json(content.actor),
        "data": columns.to_json_or_null(content.data),
        "tags": columns.to_json_or_null(content.tags),
        "group": content.group,
        "created_at": created_at,
        "expires_at": None if content.expires_at is None else times.milliseconds(content.expires_at),
        "body_format": None if content.body_format == "plain" else content.body_format,
        "actions": columns.to_json_or_null(content.actions),
        "template": content.template,
    }


def edited_params(before: Notification, edit: Edit) -> dict[str, Any]:
    """Return the editable columns after the edit."""
    names = edit.__struct_fields__
    values = {name: getattr(before if getattr(edit, name) is msgspec.UNSET else edit, name) for name in names}
    expires_at = values["expires_at"]
    return {
        **values,
        "data": columns.to_json_or_null(values["data"]),
        "expires_at": None if expires_at is None else times.milliseconds(expires_at),
        "actions": columns.to_json_or_null(values["actions"]),
    }


def inbox(tenant: str, key: str, row: Row) -> Inbox:
    """Create an inbox from id, epoch, revision, unread, unseen, floor, revoked_before, name, roles, member_since,
    opened."""
    number, epoch, revision, unread, unseen, floor, revoked_before, name, roles, member_since, opened = row
    return Inbox(
        number=number,
        state=InboxState(tenant, key, epoch, revision, unread, unseen),
        oldest_revision=floor,
        name=name,
        roles=columns.texts(roles),
        revoked_before=revoked_before,
        member_since=member_since,
        opened=bool(opened),
    )
