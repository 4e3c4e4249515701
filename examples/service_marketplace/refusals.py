"""How the site says no: to a script in JSON, to a person with a page."""

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from bellcast.client import BellcastError

from . import pages
from .bookings import Refused
from .people import NotSignedIn


def _is_for_a_script(request: Request) -> bool:
    return "/api/" in request.url.path


async def _not_signed_in(request: Request, error: Exception) -> Response:
    if _is_for_a_script(request):
        return JSONResponse({"error": "Please sign in."}, 401)
    return RedirectResponse(request.scope["root_path"] + "/login", 303)


async def _refused(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 422)


async def _turned_down(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if _is_for_a_script(request):
        return JSONResponse({"error": error.detail}, error.status_code, error.headers)
    return pages.missing(request)


async def _bell_is_silent(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": f"The notification server did not do it: {error}"}, 503)


ANSWERS = {
    NotSignedIn: _not_signed_in,
    Refused: _refused,
    HTTPException: _turned_down,
    BellcastError: _bell_is_silent,
}
