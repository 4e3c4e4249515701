"""One recipient's inbox, asked for with that recipient's session token."""

from typing import Literal, Protocol

from bellcast.client.answers import Changed, Counts, InboxPage, Notification, View
from bellcast.client.request import Answer, Request, given, json, nothing, path, reads

_page = reads(InboxPage)


def page(
    *,
    view: View | None = None,
    type: str | None = None,
    tag: str | None = None,
    limit: int | None = None,
    before: str | None = None,
) -> Request[InboxPage]:
    """A page of the inbox, newest first; give its `next` as `before` to get the page after it."""
    params = given(view=view, type=type, tag=tag, limit=limit, before=before)
    return Request("GET", "/v1/inbox", _page, params=params)


def changed(
    position: str,
    *,
    view: View | None = None,
    type: str | None = None,
    tag: str | None = None,
    limit: int | None = None,
) -> Request[InboxPage | None]:
    """The first page when anything has changed since that position; None when nothing has. Made for polling."""
    params = given(view=view, type=type, tag=tag, limit=limit)
    return Request("GET", "/v1/inbox", _page_if_any, params=params, headers={"If-None-Match": f'"{position}"'})


def counts() -> Request[Counts]:
    """What the badge shows."""
    return Request("GET", "/v1/inbox/counts", reads(Counts))


def get(id: str) -> Request[Notification]:
    """One notification."""
    return Request("GET", path("inbox", id), reads(Notification))


def mark(
    id: str, *, seen: bool | None = None, read: bool | None = None, archived: bool | None = None
) -> Request[Notification]:
    """Change one notification; the answer is the notification as it is now."""
    return Request(
        "PATCH", path("inbox", id), reads(Notification), **json(given(seen=seen, read=read, archived=archived))
    )


def delete(id: str) -> Request[None]:
    """Delete one notification from the inbox."""
    return Request("DELETE", path("inbox", id), nothing)


def clear(view: Literal["read", "archived", "all"]) -> Request[Changed]:
    """Delete everything in a view."""
    return Request("DELETE", "/v1/inbox", reads(Changed), params={"view": view})


class Action(Protocol):
    """Takes ids, or all=True (of one type); ids the inbox does not have are passed over."""

    def __call__(self, *ids: str, all: bool = False, type: str | None = None) -> Request[Changed]: ...


def _action(verb: str, does: str) -> Action:
    def act(*ids: str, all: bool = False, type: str | None = None) -> Request[Changed]:
        body = {"all": True, **given(of=given(type=type) or None)} if all else {"ids": ids}
        return Request("POST", path("inbox", verb), reads(Changed), harmless=True, **json(body))

    act.__name__, act.__doc__ = verb, f"{does} the notifications with these ids, or all=True (of one type)."
    return act


seen = _action("seen", "Mark as shown")
read = _action("read", "Mark as read")
unread = _action("unread", "Mark as unread")
archive = _action("archive", "Put away")
unarchive = _action("unarchive", "Bring back")


def _page_if_any(answer: Answer) -> InboxPage | None:
    return None if answer.status == 304 else _page(answer)
