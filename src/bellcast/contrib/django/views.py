"""The REST paths and the action of each method, their views with and without Django REST framework, and the views of Bellcast's
requests. An action takes a request of either kind, since the framework's has the attributes of Django's, and the parameters of
its path, and those of the path that includes it, and returns plain data."""

import json
import math
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.core.exceptions import ObjectDoesNotExist, ValidationError
from django.http import HttpRequest, HttpResponse, JsonResponse, QueryDict
from django.views.decorators.csrf import csrf_exempt, csrf_protect

from bellcast import Callbacks
from bellcast.client import (
    BellcastError,
    InvalidArgument,
    NotFound,
    Notification,
    RequestRefused,
    TooManyRequests,
    Unavailable,
    arguments,
)
from bellcast.client.credentials import find_credentials
from bellcast.contrib.django import conf, identity, inbox_query, preferences

PAGE_SIZE, MAX_PAGE_SIZE = 20, 100
RECENT = 10
TRUE, FALSE = frozenset({"true", "1", "yes"}), frozenset({"false", "0", "no"})
# Maximum earlier pages stored in a cursor, which `previous` needs.
MAX_HISTORY = 50

Handler = Callable[..., Any]


def list_notifications(request: Any, **_: str) -> dict[str, Any]:
    """Return a page."""
    query, url = request.GET.dict(), request.build_absolute_uri(request.path)
    view = "all"
    if is_read := query.get("is_read"):
        if is_read.lower() not in TRUE | FALSE:
            raise ValidationError({"is_read": ["Must be true or false."]})
        view = "read" if is_read.lower() in TRUE else "unread"
    priority = query.get("priority")
    if priority and priority not in ("low", "normal", "high", "urgent"):
        raise ValidationError({"priority": [f'"{priority}" is not a valid choice.']})
    filters: dict[str, Any] = {name: query[name] for name in ("type", "priority") if query.get(name)}
    if days := query.get("days"):
        filters["since"] = arguments.now() - timedelta(days=_whole("days", days, 0))
    size = min(MAX_PAGE_SIZE, _whole("page_size", query.get("page_size"), PAGE_SIZE))
    history = [part for part in query.get("cursor", "").split(",") if part]
    before = history[-1] if history else None
    page = inbox_query.read_page(request.user, size, before, view, **filters)
    following = None if page.next is None else [*history, page.next][-MAX_HISTORY:]
    return {
        "next": None if following is None else _with_cursor(url, query, following),
        "previous": _with_cursor(url, query, history[:-1]) if history else None,
        "results": [to_row(row) for row in page.notifications],
    }


def _whole(name: str, text: str | None, default: int) -> int:
    if not text:
        return default
    digits = text.lstrip("0")[:7]  # Python converts at most 4,300
    if not text.isdecimal() or not digits or int(digits) < 1:
        raise ValidationError({name: ["A positive whole number is required."]})
    return min(int(digits), 20_000)  # days to 1972: the server reads times since 1970


def _with_cursor(url: str, query: Mapping[str, str], cursor: list[str]) -> str:
    rest = {name: value for name, value in query.items() if name != "cursor"}
    if cursor:
        rest["cursor"] = ",".join(cursor)
    return f"{url}?{urlencode(rest)}" if rest else url


def mark_as_read(request: Any, **_: str) -> dict[str, Any]:
    """Mark the given ids as read, or all without ids. Unknown ids are ignored."""
    body = fields_of(request)
    if unknown := body.keys() - {"notification_ids", "csrfmiddlewaretoken"}:  # would mark all as read
        raise ValidationError({key: ["Unknown field: expected notification_ids, or none for all."] for key in unknown})
    ids = body.get("notification_ids")
    ids = [] if ids is None else ids
    if not isinstance(ids, list) or not all(isinstance(id, str | int) for id in ids):
        raise ValidationError({"notification_ids": ["Expected a list of ids."]})
    inbox = identity.inbox_of(request.user)
    if ids:
        count = sum(inbox.read(*some).changed for some in inbox_query.batches([str(id) for id in ids]))
    else:
        count = inbox.read(all=True).changed
    return {"message": f"{count} notifications marked as read", "marked_count": count}


def delete_read(request: Any, **_: str) -> dict[str, Any]:
    count = identity.inbox_of(request.user).clear("read").changed
    return {"message": f"{count} notifications deleted", "deleted_count": count}


def issue_token(request: Any, **_: str) -> dict[str, Any]:
    """Return a session token that ends with the session."""
    ttl = min(LONGEST_TOKEN, max(timedelta(seconds=1), session_end(request) - arguments.now()))
    token = identity.session_token(request.user, ttl)
    return {"token": str(token), "expires_at": token.expires_at.isoformat()}


# Pages fetch a new token before the end, so a stolen one is of little use.
LONGEST_TOKEN = timedelta(hours=1)


def to_row(notification: Notification) -> dict[str, Any]:
    """Return the JSON object of a notification. Absent texts are empty."""
    expires_at = notification.expires_at
    return {
        "id": notification.id,
        "type": notification.type,
        "title": notification.title,
        "message": notification.body or "",
        "priority": notification.priority,
        "action_url": notification.action_url or "",
        "action_text": notification.action_text or "",
        "icon": notification.icon or "",
        "metadata": notification.data,
        "is_read": notification.read_at is not None,
        "read_at": conf.time_text(notification.read_at),
        "created_at": conf.time_text(notification.created_at),
        "expires_at": conf.time_text(expires_at),
        "is_expired": expires_at is not None and expires_at <= arguments.now(),
    }


PREFERENCES: dict[str, Handler] = {
    "GET": lambda request, **_: preferences.read(request.user),
    **dict.fromkeys(("PUT", "PATCH"), lambda request, **_: preferences.write(request.user, fields_of(request))),
}
ROUTES: dict[str, tuple[str, dict[str, Handler]]] = {
    "notification-list": ("notifications/", {"GET": list_notifications}),
    "mark-as-read": ("notifications/mark_as_read/", {"POST": mark_as_read}),
    "unread-count": (
        "notifications/unread_count/",
        {"GET": lambda request, **_: {"count": identity.inbox_of(request.user).counts().unread}},
    ),
    "recent": (
        "notifications/recent/",
        {
            "GET": lambda request, **_: [
                to_row(row) for row in inbox_query.read_page(request.user, RECENT, None).notifications
            ]
        },
    ),
    "delete-read": ("notifications/delete_read/", {"DELETE": delete_read}),
    "mark-single-as-read": (
        "notifications/<str:id>/mark_single_as_read/",
        {"POST": lambda request, id, **_: to_row(inbox_query.find(request.user, id, marks_as_read=True))},
    ),
    "notification-detail": (
        "notifications/<str:id>/",
        {"GET": lambda request, id, **_: to_row(inbox_query.find(request.user, id))},
    ),
    "preferences": ("notification-preferences/", PREFERENCES),
    "preferences-detail": ("notification-preferences/<str:id>/", PREFERENCES),
    "token": ("token/", {"GET": issue_token}),
}


# Seconds until a client may retry, if the server does not specify it.
RETRY_AFTER = 5


def _field(name: str) -> str:
    """Return the field of these paths for one of Bellcast's: `ids[0]` is in `notification_ids`."""
    known = {"": "non_field_errors", "ids": "notification_ids", "since": "days", "before": "cursor"}
    return known.get(part := name.partition("[")[0], part.replace(".", "_"))


def perform(handler: Handler, request: Any, parameters: Mapping[str, str]) -> tuple[int, Any, dict[str, str]]:
    """Perform an action; return status, body and headers. Raises errors that are no refusals."""
    try:
        return 200, handler(request, **parameters), {}
    except ValidationError as error:
        if hasattr(error, "error_dict"):
            return 400, {name: list(messages) for name, messages in error.message_dict.items()}, {}
        return 400, {"non_field_errors": list(error.messages)}, {}
    except (ObjectDoesNotExist, NotFound):
        return 404, {"detail": "Not found."}, {}
    except InvalidArgument as error:
        return 400, {_field(error.argument): [error.message]}, {}
    except BellcastError as error:
        if isinstance(error, RequestRefused) and error.status in (400, 422):
            fields: dict[str, list[str]] = {}
            for one in error.errors:
                fields.setdefault(_field(one.field), []).append(one.message)
            # Without errors: unreadable, which only a cursor can be.
            return 400, fields or {"cursor": ["Invalid cursor."]}, {}
        seconds = getattr(error, "retry_after", None) if isinstance(error, Unavailable | TooManyRequests) else None
        headers = {"Retry-After": str(math.ceil(seconds or RETRY_AFTER))}
        return 503, {"detail": "Notifications are not available at the moment."}, headers


# --- views


def plain(handlers: dict[str, Handler]) -> Callable[..., HttpResponse]:
    """Return the view of one path: session login, CSRF protection, 401 for anonymous users."""

    @csrf_protect
    def respond(request: HttpRequest, **parameters: str) -> HttpResponse:
        if not request.user.is_authenticated:
            return JsonResponse({"detail": "Authentication credentials were not provided."}, status=401)
        method = "GET" if request.method == "HEAD" else request.method or ""
        handler = handlers.get(method)
        if handler is None:
            return _not_allowed(request, ", ".join(handlers))
        status, body, headers = perform(handler, request, parameters)
        return JsonResponse(body, status=status, headers=headers, safe=False)

    return respond


def framework(handlers: dict[str, Handler]) -> Callable[..., Any]:
    """Return the view of one path with the framework: the project's authentication, throttling and renderers."""
    from rest_framework.permissions import IsAuthenticated
    from rest_framework.response import Response
    from rest_framework.views import APIView

    def respond(_: Any, request: Any, **parameters: str) -> Any:
        handler = handlers["GET" if request.method == "HEAD" else str(request.method)]
        status, body, headers = perform(handler, request, parameters)
        return Response(body, status=status, headers=headers)

    methods = {method.lower(): respond for method in handlers}
    view_class: Any = type("NotificationView", (APIView,), {"permission_classes": [IsAuthenticated], **methods})
    view: Callable[..., Any] = view_class.as_view()
    return view


def fields_of(request: Any) -> dict[str, Any]:
    """Return the JSON object of a request, or the fields of its form as the values that JSON has for them; without a body, none."""
    data: Any
    try:
        if not isinstance(request, HttpRequest):  # of the framework, by its parsers
            data = request.data
        elif request.content_type == "multipart/form-data":
            data = request.POST
        elif request.content_type == "application/x-www-form-urlencoded":
            data = QueryDict(request.body)  # `request.POST` is empty in other methods
        else:
            data = json.loads(request.body or b"{}")
    except (ValueError, RecursionError) as error:
        raise ValidationError({"detail": [f"JSON parse error - {error}"]}) from error
    if not isinstance(data, dict):
        raise ValidationError({"non_field_errors": ["Expected a JSON object."]})
    if not isinstance(data, QueryDict):
        return data
    last = {name: {"true": True, "false": False}.get(str(value).lower(), value) for name, value in data.items()}
    return last | {name: data.getlist(name) for name in ("notification_ids",) if name in data}


def _not_allowed(request: HttpRequest, allowed: str) -> HttpResponse:
    return JsonResponse({"detail": f'Method "{request.method}" not allowed.'}, status=405, headers={"Allow": allowed})


def session_end(request: Any) -> Any:
    """Return when the session of the request's cookie ends; without a session cookie, in an hour."""
    session = getattr(request, "session", None)
    if session is None or session.session_key is None:
        return arguments.now() + timedelta(hours=1)
    return conf.with_zone(session.get_expiry_date())


def session_view(request: HttpRequest) -> HttpResponse:
    """Identify the user of a session cookie for Bellcast's setting SESSION_URL."""
    if request.method not in ("GET", "HEAD"):
        return _not_allowed(request, "GET")
    if not request.user.is_authenticated:
        return JsonResponse({"detail": "Authentication credentials were not provided."}, status=401)
    user = request.user
    session = {
        "recipient": identity.recipient_of(user),
        "tenant": identity.tenant_of(user),
        "roles": identity.roles_of(user),
        "expires_at": session_end(request).isoformat(),
    }
    return JsonResponse(session)


@csrf_exempt
def answer_calls(request: HttpRequest) -> HttpResponse:
    """Handle a signed call with the handlers of the setting HANDLERS."""
    if request.method != "POST":
        return _not_allowed(request, "POST")
    handlers = conf.current().handlers()
    if handlers is None:
        return JsonResponse({"detail": "No handlers are configured."}, status=404)
    callbacks = Callbacks(handlers, find_credentials(conf.current().values["SECRET"]).secret)
    status, body = callbacks.answer(request.headers, request.body)
    return JsonResponse(body, status=status)
