"""The table of the REST paths: the action of each method, and the request's values that it uses."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bellcast.contrib.django.rest import actions


@dataclass(frozen=True)
class Incoming:
    """The parts of a request that actions use. `body` is read on use."""

    user: Any
    query: dict[str, str]
    url: str
    session_expires_at: Callable[[], Any]
    body: Callable[[], Any]
    kwargs: dict[str, Any]


Handler = Callable[[Incoming], Any]


def _change_preferences(request: Incoming) -> Any:
    return actions.change_preferences(request.user, request.body())


ROUTES: dict[str, tuple[str, dict[str, Handler]]] = {
    "notification-list": ("notifications/", {"GET": lambda r: actions.list_notifications(r.user, r.query, r.url)}),
    "mark-as-read": ("notifications/mark_as_read/", {"POST": lambda r: actions.mark_as_read(r.user, r.body())}),
    "unread-count": ("notifications/unread_count/", {"GET": lambda r: actions.count_unread(r.user)}),
    "recent": ("notifications/recent/", {"GET": lambda r: actions.list_recent(r.user)}),
    "delete-read": ("notifications/delete_read/", {"DELETE": lambda r: actions.delete_read(r.user)}),
    "mark-single-as-read": (
        "notifications/<str:id>/mark_single_as_read/",
        {"POST": lambda r: actions.mark_single_as_read(r.user, r.kwargs["id"])},
    ),
    "notification-detail": (
        "notifications/<str:id>/",
        {"GET": lambda r: actions.read_notification(r.user, r.kwargs["id"])},
    ),
    "preferences": (
        "notification-preferences/",
        {
            "GET": lambda r: actions.read_preferences(r.user),
            "PUT": _change_preferences,
            "PATCH": _change_preferences,
        },
    ),
    "preferences-detail": (
        "notification-preferences/<str:id>/",
        {
            "GET": lambda r: actions.read_preferences(r.user),
            "PUT": _change_preferences,
            "PATCH": _change_preferences,
        },
    ),
    "token": ("token/", {"GET": lambda r: actions.issue_token(r.user, r.session_expires_at())}),
}
