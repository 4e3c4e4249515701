"""The mark of Bellcast: `favicon.svg` for browsers, and the pictures that `scripts/icons.py` makes of it."""

from functools import cache
from pathlib import Path

from bellcast.kernel.http import served_file
from bellcast.kernel.http.asgi import ASGIApp
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.kernel.http.served_file import ServedFile
from bellcast.rest.operations import public_file


@public_file("/favicon.svg", "image/svg+xml")
async def svg(request: ApiRequest) -> ASGIApp:
    """The mark of the server's pages, as a vector graphic."""
    return _file("favicon.svg").respond(request, {})


@public_file("/favicon.ico", "image/x-icon")
async def ico(request: ApiRequest) -> ASGIApp:
    """The mark of the server's pages, in 16 and 32 pixels."""
    return _file("favicon.ico").respond(request, {})


@public_file("/apple-touch-icon.png", "image/png")
async def touch(request: ApiRequest) -> ASGIApp:
    """The mark for the home screens of phones, 180 pixels."""
    return _file("apple-touch-icon.png").respond(request, {})


@cache
def _file(name: str) -> ServedFile:
    return served_file.read(Path(__file__).with_name(name))


HANDLERS = [svg, ico, touch]
