"""Error responses: the status, the body and the headers."""

import math
from typing import Any

from django.core.exceptions import ObjectDoesNotExist, ValidationError

from bellcast.client import BellcastError, InvalidArgument, NotFound, RequestRefused, TooManyRequests, Unavailable

# Seconds until a client may retry, if the server does not specify it.
RETRY_AFTER = 5


def describe(error: Exception) -> tuple[int, Any, dict[str, str]]:
    """Return status, body and headers. Re-raises other errors."""
    if isinstance(error, ValidationError):
        if hasattr(error, "error_dict"):
            return 400, {name: list(messages) for name, messages in error.message_dict.items()}, {}
        return 400, {"non_field_errors": list(error.messages)}, {}
    if isinstance(error, ObjectDoesNotExist | NotFound):
        return 404, {"detail": "Not found."}, {}
    if isinstance(error, InvalidArgument):
        return 400, {error.argument: [error.message]}, {}
    if isinstance(error, RequestRefused) and error.status in (400, 422):
        fields: dict[str, list[str]] = {}
        for one in error.errors:
            fields.setdefault(one.field or "non_field_errors", []).append(one.message)
        return 400, (fields or {"non_field_errors": [error.reason]}), {}
    if isinstance(error, BellcastError):
        seconds = getattr(error, "retry_after", None) if isinstance(error, Unavailable | TooManyRequests) else None
        headers = {"Retry-After": str(math.ceil(seconds or RETRY_AFTER))}
        return 503, {"detail": "Notifications are not available at the moment."}, headers
    raise error
