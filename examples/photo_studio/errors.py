"""Error responses: JSON for API paths, pages for all others."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from bellcast.client import BellcastError, NotFound
from bellcast.examples.app_kit.sign_in import not_signed_in

from . import pages
from .bookings import Refused
from .identity import NotSignedIn


def _is_api_request(request: Request) -> bool:
    return "/api/" in request.url.path


async def _refused(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 422)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place, *fields = first["loc"]
    if place == "body" and (not fields or first["type"] == "json_invalid"):
        return JSONResponse({"error": f"The body must be a JSON object: {first['msg']}."}, 400)
    return JSONResponse({"error": f"{'.'.join(map(str, fields))}: {first['msg']}."}, 422)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if _is_api_request(request):
        return JSONResponse({"error": error.detail}, error.status_code, error.headers)
    return pages.missing(request)


async def _bellcast_failed(request: Request, error: Exception) -> Response:
    if isinstance(error, NotFound):
        return JSONResponse({"error": "Notification not found."}, 404)
    return JSONResponse({"error": f"The notification server failed: {error}"}, 503)


HANDLERS: dict[int | type[Exception], Callable[[Request, Any], Coroutine[Any, Any, Response]]] = {
    NotSignedIn: not_signed_in,
    Refused: _refused,
    RequestValidationError: _invalid,
    HTTPException: _http_error,
    BellcastError: _bellcast_failed,
}
