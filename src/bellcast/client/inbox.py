"""Requests for a recipient's inbox, authenticated with that recipient's session token."""

from collections.abc import Mapping
from typing import Any, Literal, Protocol

from bellcast.client import arguments
from bellcast.client.arguments import Text
from bellcast.client.errors import InvalidArgument
from bellcast.client.request import HttpRequest, HttpResponse, drop_none, json, nothing, path, query, reads
from bellcast.client.responses import Changed, Counts, InboxPage, Notification, View

_page = reads(InboxPage)


def page(
    *,
    view: View | None = None,
    type: Text | None = None,
    tag: Text | None = None,
    limit: int | None = None,
    before: str | None = None,
) -> HttpRequest[InboxPage]:
    """A page of the inbox, newest first; give its `next` as `before` to get the page after it."""
    params = query(view=view, type=type, tag=tag, limit=limit, before=before)
    return HttpRequest("GET", "/v1/inbox", _page, params=params)


def changed(
    position: str,
    *,
    view: View | None = None,
    type: Text | None = None,
    tag: Text | None = None,
    limit: int | None = None,
) -> HttpRequest[InboxPage | None]:
    """The first page when anything has changed since that position; None when nothing has. Made for polling."""
    params = query(view=view, type=type, tag=tag, limit=limit)
    return HttpRequest(
        "GET",
        "/v1/inbox",
        _page_if_any,
        params=params,
        headers={"If-None-Match": f'"{arguments.name("position", position)}"'},
    )


def counts() -> HttpRequest[Counts]:
    """Return the counts for the badge."""
    return HttpRequest("GET", "/v1/inbox/counts", reads(Counts))


def get(id: Text) -> HttpRequest[Notification]:
    """Return one notification."""
    return HttpRequest("GET", _path(id), reads(Notification))


def mark(
    id: Text, *, seen: bool | None = None, read: bool | None = None, archived: bool | None = None
) -> HttpRequest[Notification]:
    """Change the state of one notification and return it."""
    changes = drop_none(seen=seen, read=read, archived=archived)
    if not changes:
        raise InvalidArgument("mark", "expected at least one of seen, read, archived")
    body = {name: arguments.flag(name, value) for name, value in changes.items()}
    return HttpRequest("PATCH", _path(id), reads(Notification), **json(body))


def delete(id: Text) -> HttpRequest[None]:
    """Delete one notification from the inbox."""
    return HttpRequest("DELETE", _path(id), nothing)


def clear(view: Literal["read", "archived", "all"], *, type: Text | None = None) -> HttpRequest[Changed]:
    """Delete all notifications in a view, or those of one type."""
    params = {"view": _cleared("view", view), **query(type=type)}
    return HttpRequest("DELETE", "/v1/inbox", reads(Changed), params=params)


class Action(Protocol):
    """Takes ids, or all=True (of one type); ids the inbox does not have are passed over."""

    def __call__(self, *ids: Text, all: bool = False, type: Text | None = None) -> HttpRequest[Changed]: ...


def _action(verb: str, does: str, *, name: str = "") -> Action:
    def act(*ids: Text, all: bool = False, type: Text | None = None) -> HttpRequest[Changed]:
        body = _selected(ids, type, all=arguments.flag("all", all))
        return HttpRequest("POST", path("inbox", verb), reads(Changed), harmless=True, **json(body))

    act.__name__, act.__doc__ = name or verb, f"{does} the notifications with these ids, or all=True (of one type)."
    return act


def _selected(ids: tuple[Text, ...], type: Text | None, *, all: bool) -> Mapping[str, Any]:
    if not all:
        if type is not None:
            raise InvalidArgument("type", "is for all=True only")
        return {"ids": arguments.names("ids", ids)}
    if ids:
        raise InvalidArgument("ids", "expected ids or all=True, got both")
    return {"all": True, **({} if type is None else {"of": {"type": arguments.name("type", type)}})}


def _path(id: Text) -> str:
    return path("inbox", arguments.name("id", id))


_cleared = arguments.one_of("read", "archived", "all")
seen = _action("seen", "Mark as shown")
read = _action("read", "Mark as read")
unread = _action("unread", "Mark as unread")
archive = _action("archive", "Put away")
unarchive = _action("unarchive", "Bring back")
delete_many = _action("delete", "Delete", name="delete_many")


def _page_if_any(answer: HttpResponse) -> InboxPage | None:
    return None if answer.status == 304 else _page(answer)
