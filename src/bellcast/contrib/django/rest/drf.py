"""The views with Django REST framework: the project's authentication, throttling and renderers."""

from collections.abc import Callable
from typing import Any

from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from bellcast.contrib.django.rest import actions, plain
from bellcast.contrib.django.rest.actions import Handler, Incoming


def view(handlers: dict[str, Handler]) -> Callable[..., Any]:
    """Return the view of one path."""

    def respond(self: APIView, request: Request, **kwargs: Any) -> Response:
        handler = handlers["GET" if request.method == "HEAD" else str(request.method)]
        incoming = Incoming(
            user=request.user,
            query=request.query_params.dict(),
            url=request.build_absolute_uri(request.path),
            session_expires_at=lambda: plain.session_end(request._request),
            body=lambda: _object(request),
            kwargs=kwargs,
        )
        status, body, headers = actions.respond(handler, incoming)
        return Response(body, status=status, headers=headers)

    methods = {method.lower(): respond for method in handlers}
    view_class = type("NotificationView", (APIView,), {"permission_classes": [IsAuthenticated], **methods})
    return view_class.as_view()  # type: ignore[attr-defined, no-any-return]  # the framework has no types


def _object(request: Request) -> Any:
    from django.core.exceptions import ValidationError

    try:
        data = request.data
    except RecursionError as error:
        raise ValidationError({"detail": [f"JSON parse error - {error}"]}) from error
    if isinstance(data, dict):
        return actions.form_fields(data) if hasattr(data, "getlist") else data
    raise ValidationError({"non_field_errors": ["Expected a JSON object."]})
