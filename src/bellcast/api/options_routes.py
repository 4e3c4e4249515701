"""Responds to OPTIONS with the methods of a path.

The framework's own response lists only the first registered method when a path's handlers are functions."""

from collections import defaultdict
from collections.abc import Collection, Iterable

from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from bellcast.api import responses
from bellcast.api.request_body import ApiRequest


def allowed(methods: Collection[str]) -> str:
    """Return the Allow header: the methods, OPTIONS, and HEAD if GET is allowed."""
    return ", ".join(sorted({*methods, "OPTIONS"} | ({"HEAD"} if "GET" in methods else set())))


def options(handlers: Iterable[HTTPRouteHandler]) -> list[HTTPRouteHandler]:
    """Create an OPTIONS handler for every path of these handlers."""
    by_path: defaultdict[str, set[str]] = defaultdict(set)
    for handler in handlers:
        for path in handler.paths:
            by_path[path] |= {*handler.http_methods}
    return [_options_handler(path, allowed(methods)) for path, methods in by_path.items()]


def _options_handler(path: str, allow: str) -> HTTPRouteHandler:
    async def respond(request: ApiRequest) -> ASGIApp:
        return responses.empty(204, {"allow": allow})

    return HTTPRouteHandler(path, http_method="OPTIONS", status_code=200)(respond)
