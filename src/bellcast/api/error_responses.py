"""Converts errors to problem+json: Bellcast's errors, the framework's, and unexpected exceptions without details."""

from collections.abc import Mapping
from typing import Any

import structlog
from litestar import Response
from litestar.exceptions import HTTPException

from bellcast import errors
from bellcast.api import options_routes
from bellcast.api.request_body import ApiRequest, Disconnected
from bellcast.errors import BellcastError
from bellcast.model import problems

log = structlog.get_logger("bellcast.api")
# Reversed, so that the general error of a status overwrites its subclasses.
BY_STATUS = {error.status: error for error in reversed(errors.every())}
PATH_UNKNOWN = "This path does not exist. All paths are listed at /docs"


def refuse(refusal: BellcastError, more: Mapping[str, str] | None = None) -> Response[bytes]:
    """Respond with an error."""
    headers = {**problems.headers(refusal), "cache-control": "no-store", **(more or {})}
    media_type = headers.pop("content-type")
    return Response(problems.body(refusal), status_code=refusal.status, media_type=media_type, headers=headers)


def bellcast_error(request: ApiRequest, refusal: BellcastError) -> Response[bytes]:
    """Respond with a BellcastError."""
    if refusal.status >= 500:
        log.warning("request_refused", code=refusal.code, detail=refusal.detail, **_which(request))
    return refuse(refusal)


def routing(request: ApiRequest, refusal: HTTPException) -> Response[bytes]:
    """Respond to errors raised by the framework before a handler was found: unknown path, wrong method, bad Host."""
    kind = BY_STATUS.get(refusal.status_code, errors.BadRequest)
    if kind is BellcastError:
        return unexpected(request, refusal)
    detail = PATH_UNKNOWN if kind is errors.NotFound else None
    allow = (refusal.headers or {}).get("allow")
    return refuse(kind(detail), {"allow": options_routes.allowed(allow.split(", "))} if allow else None)


def unexpected(request: ApiRequest, failure: Exception) -> Response[bytes]:
    """Respond with a 500 and log the trace of an unexpected exception."""
    log.error("request_failed", **_which(request), exc_info=failure)
    return refuse(BellcastError())


def _which(request: ApiRequest) -> dict[str, Any]:
    scope: Any = request.scope
    return {"path": scope["state"]["logged_path"], "request_id": scope["state"]["request_id"]}


def client_disconnected(request: ApiRequest, failure: Disconnected) -> Response[bytes]:
    """The client disconnected during its request, so no response can be delivered."""
    return refuse(errors.BadRequest("The request ended early."))


HANDLERS: dict[int | type[Exception], Any] = {
    BellcastError: bellcast_error,
    HTTPException: routing,
    Disconnected: client_disconnected,
    Exception: unexpected,
}
