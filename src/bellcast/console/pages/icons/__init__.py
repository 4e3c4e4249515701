"""The mark of Bellcast: `favicon.svg` for browsers, and the pictures that `scripts/icons.py` makes of it."""

from functools import cache
from pathlib import Path

from bellcast.kernel.http import served_file
from bellcast.kernel.http.asgi import ASGIApp
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.kernel.http.served_file import ServedFile
from bellcast.rest.operations import operation


@operation(
    "GET",
    "/favicon.svg",
    tag="Server",
    required_scope=None,
    any_query=True,
    response_types={200: "image/svg+xml", 304: None},
)
async def svg(request: ApiRequest) -> ASGIApp:
    """The mark of the server's pages, as a vector graphic."""
    return _file("favicon.svg").respond(request, {})


@operation(
    "GET",
    "/favicon.ico",
    tag="Server",
    required_scope=None,
    any_query=True,
    response_types={200: "image/x-icon", 304: None},
)
async def ico(request: ApiRequest) -> ASGIApp:
    """The mark of the server's pages, in 16 and 32 pixels."""
    return _file("favicon.ico").respond(request, {})


@operation(
    "GET",
    "/apple-touch-icon.png",
    tag="Server",
    required_scope=None,
    any_query=True,
    response_types={200: "image/png", 304: None},
)
async def touch(request: ApiRequest) -> ASGIApp:
    """The mark for the home screens of phones, 180 pixels."""
    return _file("apple-touch-icon.png").respond(request, {})


@cache
def _file(name: str) -> ServedFile:
    return served_file.read(Path(__file__).with_name(name))


HANDLERS = [svg, ico, touch]
