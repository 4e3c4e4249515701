"""Requests for a recipient's inbox, authenticated with that recipient's session token."""

from datetime import datetime
from types import NoneType
from typing import Annotated, Any, Literal, Protocol, TypedDict, Unpack

from bellcast.client import arguments
from bellcast.client.arguments import Duration, Name, Text
from bellcast.client.errors import InvalidArgument
from bellcast.client.request import HttpRequest, call, drop_none, path, query, reads
from bellcast.client.responses import Changed, Counts, InboxPage, Notification
from bellcast.inbox.types import View


def page(
    *,
    view: View | None = None,
    type: Text | None = None,
    tag: Text | None = None,
    since: datetime | str | None = None,
    limit: int | None = None,
    before: str | None = None,
) -> HttpRequest[InboxPage]:
    """Return a page of the inbox, newest first. Pass its `next` as `before` to get the next page. `since` excludes
    notifications created before that time."""
    return call("GET", "/v1/inbox", InboxPage, view=view, type=type, tag=tag, since=since, limit=limit, before=before)


def changed(
    position: str,
    *,
    view: View | None = None,
    type: Text | None = None,
    tag: Text | None = None,
    limit: int | None = None,
) -> HttpRequest[InboxPage | None]:
    """Return the first page if anything has changed since that position, else None. Use it for polling."""
    read = reads(InboxPage)
    return HttpRequest(
        "GET",
        "/v1/inbox",
        lambda response: None if response.status == 304 else read(response),
        params=query(view=view, type=type, tag=tag, limit=limit),
        headers={"If-None-Match": f'"{arguments.name("position", position)}"'},
    )


def counts() -> HttpRequest[Counts]:
    """Return the counts for the badge."""
    return call("GET", "/v1/inbox/counts", Counts)


def get(id: Text) -> HttpRequest[Notification]:
    """Return one notification."""
    return call("GET", path("inbox", id=id), Notification)


def mark(
    id: Text, *, seen: bool | None = None, read: bool | None = None, archived: bool | None = None
) -> HttpRequest[Notification]:
    """Change the state of one notification and return it."""
    changes = drop_none(seen=seen, read=read, archived=archived)
    if not changes:
        raise InvalidArgument("mark", "expected at least one of seen, read, archived")
    body = {name: arguments.flag(name, value) for name, value in changes.items()}
    return call("PATCH", path("inbox", id=id), Notification, body)


def act(id: Text, key: Text) -> HttpRequest[Notification]:
    """Take an action of one notification, once, and return the notification."""
    where = path("inbox", arguments.name("id", id), "actions", arguments.name("key", key))
    return call("POST", where, Notification, harmless=True)


def snooze(*ids: Text, until: datetime | str | None = None, duration: Duration | None = None) -> HttpRequest[Changed]:
    """Snooze the notifications with these ids until a time, for a duration such as "3h", or with until="back" until
    `back()` is called, at most 30 days."""
    if (until is None) == (duration is None):
        raise InvalidArgument("until", "expected until or duration")
    end: dict[str, Any] = (
        {"for": arguments.seconds("duration", duration)}
        if until is None
        else {"until": until if until == "back" else arguments.moment("until", until)}
    )
    body = {"ids": arguments.names("ids", ids), **end}
    return call("POST", path("inbox", "snooze"), Changed, body, harmless=True)


def back() -> HttpRequest[Changed]:
    """Return the notifications that were snoozed with until="back", because the recipient is back."""
    return call("POST", path("inbox", "back"), Changed, harmless=True)


def delete(id: Text) -> HttpRequest[None]:
    """Delete one notification from the inbox."""
    return call("DELETE", path("inbox", id=id), NoneType)


class OfType(TypedDict, total=False):
    """Restricts `clear`."""

    type: Name


class Filter(TypedDict, total=False):
    """Restricts an action on all."""

    type: Name
    view: Annotated[View, arguments.name]
    tag: Name


# A filter without a value is an error: without it, the action would affect the whole inbox.
_OF_TYPE, _FILTER = arguments.converters(OfType), arguments.converters(Filter)


def clear(view: Literal["read", "archived", "snoozed", "all"], **of: Unpack[OfType]) -> HttpRequest[Changed]:
    """Delete all notifications in a view, or those of one `type`."""
    params = {"view": _cleared("view", view), **arguments.fields_without_none("", of, _OF_TYPE)}
    return call("DELETE", "/v1/inbox", Changed, **params)


class Action(Protocol):
    """An action on notifications by ids, or all=True (of a type, view or tag). Unknown ids are ignored."""

    def __call__(self, *ids: Text, all: bool = False, **of: Unpack[Filter]) -> HttpRequest[Changed]: ...


def _action(verb: str, does: str, *, name: str = "") -> Action:
    def act(*ids: Text, all: bool = False, **of: Unpack[Filter]) -> HttpRequest[Changed]:
        selected: dict[str, Any] = arguments.fields_without_none("", of, _FILTER)
        if not arguments.flag("all", all):
            for one in selected:
                raise InvalidArgument(one, "is only for all=True")
            body: dict[str, Any] = {"ids": arguments.names("ids", ids)}
        elif ids:
            raise InvalidArgument("ids", "expected ids or all=True, got both")
        else:
            body = {"all": True, **({"of": selected} if selected else {})}
        return call("POST", path("inbox", verb), Changed, body, harmless=True)

    act.__name__, act.__doc__ = (
        name or verb,
        f"{does} the notifications with these ids, or all=True (of a type, view or tag).",
    )
    return act


_cleared = arguments.one_of("read", "archived", "snoozed", "all")
seen = _action("seen", "Mark as shown")
read = _action("read", "Mark as read")
unread = _action("unread", "Mark as unread")
archive = _action("archive", "Put away")
unarchive = _action("unarchive", "Bring back")
delete_many = _action("delete", "Delete", name="delete_many")
