"""The views of the REST paths, with and without Django REST framework, and the views of Bellcast's requests."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, JsonResponse, QueryDict
from django.views.decorators.csrf import csrf_exempt, csrf_protect

from bellcast import Callbacks
from bellcast.client import arguments
from bellcast.client.credentials import find_credentials
from bellcast.contrib.django import actions, conf, datetimes, identity
from bellcast.contrib.django.actions import Handler, Incoming


def plain(handlers: dict[str, Handler]) -> Callable[..., HttpResponse]:
    """Return the view of one path: session login, CSRF protection, 401 for anonymous users."""

    @csrf_protect
    def respond(request: HttpRequest, **kwargs: Any) -> HttpResponse:
        if not request.user.is_authenticated:
            return JsonResponse({"detail": "Authentication credentials were not provided."}, status=401)
        method = "GET" if request.method == "HEAD" else request.method or ""
        handler = handlers.get(method)
        if handler is None:
            return _not_allowed(request, ", ".join(handlers))
        incoming = _incoming(request, request, request.GET, lambda: _json(request), kwargs)
        status, body, headers = actions.respond(handler, incoming)
        return JsonResponse(body, status=status, headers=headers, safe=False)

    return respond


def framework(handlers: dict[str, Handler]) -> Callable[..., Any]:
    """Return the view of one path with the framework: the project's authentication, throttling and renderers."""
    from rest_framework.permissions import IsAuthenticated
    from rest_framework.response import Response
    from rest_framework.views import APIView

    def respond(_: Any, request: Any, **kwargs: Any) -> Any:
        handler = handlers["GET" if request.method == "HEAD" else str(request.method)]
        incoming = _incoming(request, request._request, request.query_params, lambda: _object(request), kwargs)
        status, body, headers = actions.respond(handler, incoming)
        return Response(body, status=status, headers=headers)

    methods = {method.lower(): respond for method in handlers}
    view_class: Any = type("NotificationView", (APIView,), {"permission_classes": [IsAuthenticated], **methods})
    view: Callable[..., Any] = view_class.as_view()
    return view


def _incoming(
    request: Any, plain_request: HttpRequest, query: QueryDict, body: Callable[[], Any], kwargs: dict[str, Any]
) -> Incoming:
    """Return the parts of a request of Django or of the framework, which has a `plain_request`."""
    url = request.build_absolute_uri(request.path)
    return Incoming(request.user, query.dict(), url, lambda: session_end(plain_request), body, kwargs)


def _object(request: Any) -> Any:
    """Return the object of a request of the framework, or the fields of its form."""
    try:
        data = request.data
    except RecursionError as error:
        raise ValidationError({"detail": [f"JSON parse error - {error}"]}) from error
    if isinstance(data, dict):
        return actions.form_fields(data) if hasattr(data, "getlist") else data
    raise ValidationError({"non_field_errors": ["Expected a JSON object."]})


def _not_allowed(request: HttpRequest, allowed: str) -> HttpResponse:
    return JsonResponse({"detail": f'Method "{request.method}" not allowed.'}, status=405, headers={"Allow": allowed})


def _json(request: HttpRequest) -> dict[str, Any]:
    """Return the JSON object of the body, or the fields of a form; an empty body is an empty object."""
    if request.content_type == "multipart/form-data":
        return actions.form_fields(request.POST)
    if request.content_type == "application/x-www-form-urlencoded":
        return actions.form_fields(QueryDict(request.body))  # `request.POST` is empty in other methods
    try:
        body = json.loads(request.body or b"{}")
    except (ValueError, RecursionError) as error:
        raise ValidationError({"detail": [f"JSON parse error - {error}"]}) from error
    if not isinstance(body, dict):
        raise ValidationError({"non_field_errors": ["Expected a JSON object."]})
    return body


def session_end(request: HttpRequest) -> Any:
    """Return when the session of the request's cookie ends; without a session cookie, in an hour."""
    session = getattr(request, "session", None)
    if session is None or session.session_key is None:
        return arguments.now() + timedelta(hours=1)
    return datetimes.with_zone(session.get_expiry_date())


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
