"""The API reference: the OpenAPI document, and a viewer for it that npm bundles into `vendor`."""

from functools import cache
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from bellcast.kernel.errors import NotFound
from bellcast.kernel.http import request_body, responses, served_file
from bellcast.kernel.http.asgi import ASGIApp
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.kernel.http.served_file import ServedFile
from bellcast.rest.operations import operation

_FOLDER = Path(__file__).parent
HEADERS = {
    # The viewer has style attributes.
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cache-control": "no-cache",
}


@cache
def _files() -> dict[str, ServedFile]:
    """Read and compress all files once. Those of npm are missing in a checkout where it did not run."""
    return served_file.read_all(_FOLDER) | served_file.read_all(_FOLDER / "vendor")


@operation("GET", "/openapi.json", tag="Server", required_scope=None, response_types={200: dict[str, Any]})
async def document(request: ApiRequest) -> ASGIApp:
    """This document."""
    described: dict[str, Any] = request.scope["state"]["document"]()
    return responses.json(described, headers={"cache-control": "no-cache"})


@operation("GET", "/docs", tag="Server", required_scope=None, response_types={200: responses.HTML})
async def show(request: ApiRequest) -> ASGIApp:
    """The API reference as a page.

    It sends requests with the session of the operator who is signed in to the console, or with a key."""
    page = Template((_FOLDER / "page.html").read_text(encoding="utf-8"))
    root = escape(request.scope["state"]["root_path"])
    return responses.complete(200, page.substitute(root=root).encode(), responses.HTML, HEADERS)


@operation(
    "GET",
    "/docs/{name:str}",
    tag="Server",
    required_scope=None,
    response_types={200: responses.HTML, 304: None},
    refusals=(NotFound,),
)
async def file(request: ApiRequest) -> ASGIApp:
    """Return a file of the API reference."""
    name = request_body.path(request, "name")
    if (found := _files().get(name)) is None:
        raise NotFound(f"There is no {name}. If it is part of the page, build the client with npm.")
    return found.respond(request, HEADERS)


HANDLERS = (document, show, file)
