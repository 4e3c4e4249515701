"""The view that handles clients' calls, for Bellcast's setting HANDLER_URL."""

from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.module_loading import import_string
from django.views.decorators.csrf import csrf_exempt

from bellcast import Callbacks
from bellcast.client.credentials import find_credentials
from bellcast.contrib.django import conf


@csrf_exempt
def answer_calls(request: HttpRequest) -> HttpResponse:
    """Handle a signed call with the handlers of the setting HANDLERS."""
    if request.method != "POST":
        return JsonResponse(
            {"detail": f'Method "{request.method}" not allowed.'}, status=405, headers={"Allow": "POST"}
        )
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
