"""The views without Django REST framework: session login, CSRF protection, 401 for anonymous users; and the view of clients' calls."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.http import HttpRequest, HttpResponse, JsonResponse, QueryDict
from django.utils.module_loading import import_string
from django.views.decorators.csrf import csrf_exempt, csrf_protect

from bellcast import Callbacks
from bellcast.client import arguments
from bellcast.client.credentials import find_credentials
from bellcast.contrib.django import conf, datetimes
from bellcast.contrib.django.rest import actions
from bellcast.contrib.django.rest.actions import Handler, Incoming


def view(handlers: dict[str, Handler]) -> Callable[..., HttpResponse]:
    """Return the view of one path."""

    @csrf_protect
    def respond(request: HttpRequest, **kwargs: Any) -> HttpResponse:
        if not request.user.is_authenticated:
            return JsonResponse({"detail": "Authentication credentials were not provided."}, status=401)
        method = "GET" if request.method == "HEAD" else request.method or ""
        handler = handlers.get(method)
        if handler is None:
            return _not_allowed(request, ", ".join(handlers))
        incoming = Incoming(
            user=request.user,
            query=request.GET.dict(),
            url=request.build_absolute_uri(request.path),
            session_expires_at=lambda: session_end(request),
            body=lambda: _json(request),
            kwargs=kwargs,
        )
        status, body, headers = actions.respond(handler, incoming)
        return JsonResponse(body, status=status, headers=headers, safe=False)

    return respond


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
    return JsonResponse(actions.describe_session(request.user, session_end(request)))


@csrf_exempt
def answer_calls(request: HttpRequest) -> HttpResponse:
    """Handle a signed call with the handlers of the setting HANDLERS."""
    if request.method != "POST":
        return _not_allowed(request, "POST")
    values = conf.current().values
    if values["HANDLERS"] is None:
        return JsonResponse({"detail": "No handlers are configured."}, status=404)
    try:
        handlers = import_string(values["HANDLERS"]) if isinstance(values["HANDLERS"], str) else values["HANDLERS"]
    except ImportError as error:
        raise ImproperlyConfigured(f"BELLCAST['HANDLERS']: {error}") from error
    callbacks = Callbacks(handlers, find_credentials(values["SECRET"]).secret)
    status, body = callbacks.answer(request.headers, request.body)
    return JsonResponse(body, status=status)
