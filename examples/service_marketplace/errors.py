"""Error responses: JSON for API paths, pages for all others."""

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from bellcast.client import BellcastError
from bellcast.examples.app_kit.sign_in import not_signed_in

from . import pages
from .bookings import Refused
from .identity import NotSignedIn
from .languages import language_of


def _is_api_request(request: Request) -> bool:
    return "/api/" in request.url.path


async def _not_signed_in(request: Request, error: Exception) -> Response:
    if _is_api_request(request):
        return JSONResponse({"error": language_of(request).text("error.sign_in")}, 401)
    return await not_signed_in(request, error)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    if _is_api_request(request):
        text = language_of(request).text(error.key, **error.values)
        return JSONResponse({"error": text}, error.status, error.headers)
    return pages.missing(request)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if _is_api_request(request):
        return JSONResponse({"error": error.detail}, error.status_code, error.headers)
    return pages.missing(request)


async def _bellcast_failed(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": language_of(request).text("error.server", detail=error)}, 503)


HANDLERS = {
    NotSignedIn: _not_signed_in,
    Refused: _refused,
    HTTPException: _http_error,
    BellcastError: _bellcast_failed,
}
