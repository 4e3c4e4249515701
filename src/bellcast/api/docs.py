"""HTML pages: the API reference, generated from the OpenAPI document, and a page for each error. They load no scripts
and no external resources, so they work offline and under any content security policy."""

from html import escape
from typing import Any

import msgspec

from bellcast import errors
from bellcast.api import docs_html, reasons, request_body, responses
from bellcast.api.operations import operation
from bellcast.api.request_body import ApiRequest
from bellcast.errors import NotFound
from bellcast.model import problems
from bellcast.model.asgi import ASGIApp

HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'",
    "cache-control": "no-cache",
}


def _document(request: ApiRequest) -> dict[str, Any]:
    document: dict[str, Any] = request.scope["state"]["document"]()
    return document


def _base(request: ApiRequest) -> str:
    root: str = request.scope["state"]["root_path"]
    return escape(root) + "/"


@operation("GET", "/openapi.json", tag="Server", required_scope=None, response_types={200: dict[str, Any]})
async def document(request: ApiRequest) -> ASGIApp:
    """This document."""
    return responses.json(_document(request), headers={"cache-control": "no-cache"})


@operation("GET", "/docs", tag="Server", required_scope=None, response_types={200: responses.HTML})
async def reference(request: ApiRequest) -> ASGIApp:
    """The API reference as HTML."""
    return responses.complete(200, docs_html.reference(_document(request), _base(request)), responses.HTML, HEADERS)


@operation("GET", "/errors", tag="Server", required_scope=None, response_types={200: responses.HTML})
async def all_errors(request: ApiRequest) -> ASGIApp:
    """All errors as HTML."""
    return responses.complete(
        200, docs_html.errors(errors.every(), reasons.REASONS, _base(request)), responses.HTML, HEADERS
    )


@operation(
    "GET",
    "/errors/{code:str}",
    tag="Server",
    required_scope=None,
    response_types={200: responses.HTML},
    refusals=(NotFound,),
)
async def error(request: ApiRequest) -> ASGIApp:
    """Explain an error.

    The `type` of a problem links to this page."""
    code = request_body.path(request, "code")
    for one in errors.every():
        if one.code == code:
            example = msgspec.json.format(problems.body(one()), indent=2).decode()
            return responses.complete(200, docs_html.error(one, example, _base(request)), responses.HTML, HEADERS)
    if code in reasons.BY_CODE:
        return responses.complete(200, docs_html.reason(reasons.BY_CODE[code], _base(request)), responses.HTML, HEADERS)
    raise NotFound("No error has this code. All errors are listed at /errors")
