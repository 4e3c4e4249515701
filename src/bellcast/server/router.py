"""Finds the endpoint of a request, and turns its errors into responses."""

from collections.abc import Collection, Iterable
from typing import TypeAlias

import structlog
from msgspec import Struct

from bellcast.console.pages import error_pages
from bellcast.kernel.errors import BadRequest, BellcastError, MethodNotAllowed
from bellcast.kernel.http import ASGIApp, Receive, Scope, Send, responses
from bellcast.kernel.http.request_body import ApiRequest, Disconnected
from bellcast.live.dialects import DIALECTS
from bellcast.rest.operations import ApiEndpoint, Handler

log = structlog.get_logger("bellcast.api")

DIALECT_APIS = [one.api() for one in DIALECTS]
# Key of the request's state: True once the head of the response or the accept of a WebSocket has been sent.
HAS_STARTED = "has_started"


class PathNode(Struct, eq=False):
    """The paths that continue from here: with a fixed segment, with a parameter, or with a parameter that matches the
    rest. A path that ends here has a template, the names of its parameters in order, and handlers by method."""

    fixed: "dict[str, PathNode]" = {}
    parameter: "PathNode | None" = None
    rest: "PathNode | None" = None
    template: str = ""
    names: list[str] = []
    handlers: dict[str, Handler] = {}

    def find(self, segments: list[str], start: int, values: list[str], method: str) -> "PathMatch | None":
        """Return the first path that has the method, fixed segments first, with the values of its parameters. If none has,
        return the first one."""
        if start == len(segments):
            return (self, values) if self.handlers else None
        fixed, first = self.fixed.get(segments[start]), None
        if fixed is not None:
            first = fixed.find(segments, start + 1, values, method)
        if self.parameter is not None and (first is None or method not in first[0].handlers):
            found = self.parameter.find(segments, start + 1, [*values, segments[start]], method)
            first = found if first is None or (found is not None and method in found[0].handlers) else first
        if first is None and self.rest is not None:
            first = self.rest.find(segments, len(segments), [*values, "/".join(segments[start:])], method)
        return first


PathMatch: TypeAlias = tuple[PathNode, list[str]]


class ApiRouter:
    """Finds the endpoint of a request by path and method, and turns its errors into responses.

    Paths are matched as sent, so that a percent-encoded slash does not separate segments. A fixed segment takes precedence over
    a parameter, as in OpenAPI, unless only the path with the parameter has the method: a recipient may have the key `bulk`."""

    def __init__(self, endpoints: Iterable[ApiEndpoint]) -> None:
        self._root = PathNode()
        self._methods: set[str] = set()
        for endpoint in endpoints:
            node, names = self._root, []
            for segment in _segments(endpoint.path):
                if not segment.startswith("{"):
                    node = node.fixed.setdefault(segment, PathNode())
                    continue
                name, _, kind = segment.strip("{}").partition(":")
                names.append(name)
                if kind == "path":
                    node.rest = node.rest or PathNode()
                    node = node.rest
                else:
                    node.parameter = node.parameter or PathNode()
                    node = node.parameter
            if not node.handlers:
                node.template, node.names = endpoint.template, names
            node.handlers[endpoint.method] = endpoint.respond
            self._methods.add(endpoint.method)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = ApiRequest(scope, receive)
        try:
            response = await self._response(request)
            await response(scope, receive, send)
        except Exception as failure:
            state = scope["state"]
            if HAS_STARTED in state:
                raise
            # Details of unexpected exceptions are only logged.
            refused, which = BellcastError(), {"path": state["logged_path"], "request_id": state["request_id"]}
            if isinstance(failure, Disconnected):
                refused = BadRequest("The request ended early.")
            elif not isinstance(failure, BellcastError):
                log.exception("request_failed", **which)
            else:
                refused = failure
                if failure.status >= 500:
                    log.warning("request_refused", code=failure.code, detail=failure.detail, **which)
            await responses.problem(refused)(scope, receive, send)

    async def _response(self, request: ApiRequest) -> ASGIApp:
        scope = request.scope
        if scope["path"] == "*" and scope["method"] == "OPTIONS":  # the server itself (RFC 9110, 9.3.7)
            return responses.empty(204, {"allow": _allow(self._methods)})
        method: str = scope["method"]
        segments = _segments(scope["path"])
        match = self._root.find(segments, 0, [], method)
        if match is None:
            if served := next((api.serve for api in DIALECT_APIS if scope["path"].startswith(api.prefixes)), None):
                return served  # the HTTP API of a dialect
            versioned = self._root.find(["v1", *segments], 0, [], method)
            return error_pages.unknown_path(request, "" if versioned is None else versioned[0].template)
        found, values = match
        scope["path_template"] = found.template
        handler = found.handlers.get(method)
        if handler is not None:
            scope["path_params"] = dict(zip(found.names, values, strict=True))
            return await handler(request)
        headers = {"allow": _allow(found.handlers)}
        if method == "OPTIONS":
            return responses.empty(204, headers)
        refusal = MethodNotAllowed(f"This path exists, but not with the method {method[:20]}: use {headers['allow']}.")
        return responses.problem(refusal, headers)


def _segments(path: str) -> list[str]:
    """Return the segments of a path. A trailing slash makes no difference."""
    return path.strip("/").split("/")


def _allow(methods: Collection[str]) -> str:
    """Return the Allow header: the methods, OPTIONS, and HEAD if GET is allowed."""
    return ", ".join(sorted({*methods, "OPTIONS"} | ({"HEAD"} if "GET" in methods else set())))
