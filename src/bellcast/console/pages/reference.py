"""The API reference: the OpenAPI document, and a page that shows it with modules of the console."""

from html import escape
from typing import Any

from bellcast.console.pages import console
from bellcast.kernel.errors import NotFound
from bellcast.kernel.http import request_body, responses
from bellcast.kernel.http.asgi import ASGIApp
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.kernel.http.served_file import ServedFile
from bellcast.rest.operations import operation, public_file

# The page is open to everyone, also where the console is off.
HEADERS = {"content-security-policy": console.POLICY, "cache-control": "no-cache"}


@operation("GET", "/openapi.json", tag="Server", required_scope=None, response_types={200: dict[str, Any]})
async def document(request: ApiRequest) -> ASGIApp:
    """This document."""
    described: ServedFile = request.scope["state"]["document"]()
    return described.respond(request, {})


@operation("GET", "/docs", tag="Server", required_scope=None, response_types={200: responses.HTML})
async def show(request: ApiRequest) -> ASGIApp:
    """The API reference as a page.

    It sends requests with the session of the operator who is signed in to the console, or with a key."""
    root = escape(request.scope["state"]["root_path"])
    page = console.template("reference.html", "docs", "reference.js").substitute(root=root)
    return responses.complete(200, page.encode(), responses.HTML, HEADERS)


@public_file("/docs/{name:path}", responses.HTML, NotFound, any_query=False)
async def file(request: ApiRequest) -> ASGIApp:
    """Return a file of the API reference."""
    name = request_body.path(request, "name")
    if (found := console.file(name)) is None:
        raise NotFound(f"There is no {name}.")
    return found.respond(request, HEADERS)


HANDLERS = (document, show, file)
