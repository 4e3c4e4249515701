"""The API as one ASGI application: what it does with every request (undecoded path, HEAD as GET, CORS, security
headers, rate limit, metrics), the endpoint of the request, and its errors as responses."""

import functools
import random
import re
import time
from collections.abc import Collection, Iterable, Mapping
from types import ModuleType
from typing import Any, TypeAlias
from urllib.parse import quote, unquote

import msgspec
import structlog
from msgspec import Struct

from bellcast import explanations
from bellcast.agents import http as agents
from bellcast.audit import http as audit
from bellcast.auth import http as auth
from bellcast.auth import link_tokens, origins
from bellcast.channels import http as channels
from bellcast.channels.http import link_pages, mailbox, notification_types, suppressions
from bellcast.console import pages
from bellcast.console.http import live_feed, monitoring, settings
from bellcast.console.pages import check, console, error_pages, landing
from bellcast.documents import http as documents
from bellcast.exports import http as exports
from bellcast.inbox import http as inbox
from bellcast.inbox.http import bulk, notifications
from bellcast.kernel.clock import BEGAN_AT
from bellcast.kernel.errors import BadRequest, BellcastError, MethodNotAllowed, NotFound, TooMany
from bellcast.kernel.events import SEPARATOR
from bellcast.kernel.http import HEADER_VALUES, ASGIApp, AsgiMessage, Receive, Scope, Send, responses
from bellcast.kernel.http.request_body import ApiRequest, Disconnected
from bellcast.kernel.http.responses import compressing
from bellcast.kernel.ip_addresses import is_server
from bellcast.kernel.limits import Limits
from bellcast.live.dialects import DIALECTS
from bellcast.live_feed import STATE
from bellcast.operators import http as operators_http
from bellcast.operators.http import operators, passwordless
from bellcast.preferences import http as preferences
from bellcast.preferences.http import preferences_page
from bellcast.providers import http as providers
from bellcast.recipients import http as recipients
from bellcast.replays import http as replays
from bellcast.rest import bundles
from bellcast.rest.context import ApiContext
from bellcast.rest.guards import HAS_SESSION
from bellcast.rest.operations import ApiEndpoint, Handler
from bellcast.server import health, metrics, openapi
from bellcast.server.metrics import RequestMetrics
from bellcast.templates import http as templates
from bellcast.templates.http import editor_tokens
from bellcast.tenants import http as tenants
from bellcast.topics import http as topics
from bellcast.webhooks import http as webhooks
from bellcast.workflows import http as workflows
from bellcast.workflows.http import runs, schedules, schemas, sources

log = structlog.get_logger("bellcast.api")

# The kinds of objects that files in git describe.
BUNDLES = bundles.operations(
    [
        bundles.of(notification_types.KIND),
        bundles.of(templates.KIND),
        workflows.BUNDLE,
        bundles.of(sources.KIND),
        providers.BUNDLE,
        preferences.BUNDLE,
    ]
)
DIALECT_APIS = [one.api() for one in DIALECTS]
# Those with operations, in the order of the documentation.
MODULES = (
    *(notifications, bulk, topics, recipients, exports, tenants, auth, monitoring, inbox),
    *(explanations, replays, workflows, runs, schedules, sources, schemas),
    *(channels, suppressions, mailbox, notification_types, templates, editor_tokens, preferences),
    *(link_pages, providers, webhooks, preferences_page),
    *(operators_http, passwordless, operators, audit, live_feed, documents, settings, agents),
    *(console, check, health, metrics, error_pages, pages, landing),
)


def endpoints_of(modules: Iterable[ModuleType]) -> list[ApiEndpoint]:
    """Return the operations of modules: their attributes, and the elements of their lists."""
    found: dict[int, ApiEndpoint] = {}
    for value in (one for module in modules for one in vars(module).values()):
        listed = value if isinstance(value, list | tuple) else [value]
        found |= {id(one): one for one in listed if isinstance(one, ApiEndpoint)}
    return list(found.values())


HANDLERS = [*endpoints_of(MODULES), *BUNDLES, *(handler for api in DIALECT_APIS for handler in api.operations)]


# --- the endpoint of a request

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


# --- every request

# No MIME sniffing, and no referrer (the URL may contain a token) to other sites.
SAFETY = [(b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer")]
REQUESTS = "requests" + SEPARATOR
REQUEST_ID = b"x-request-id"
# An id from a proxy or an app is reused, so that one id finds the request in every log. A UUID has 36 characters, a
# trace id of a large cloud provider up to 80. Anything else is rejected to prevent log injection.
GIVEN_ID = re.compile(r"[A-Za-z0-9._:=+/@-]{1,128}")
ID_BITS = 64
PATH_CHARACTERS = "/:@!$&'()*+,;="  # beside letters, digits and -._~ (RFC 3986, 3.3)


class ApiMiddleware(Struct, eq=False):
    """One ASGI layer around the whole API. `state` is added to that of each request."""

    app: ASGIApp
    context: ApiContext
    state: Mapping[str, Any]
    requests: RequestMetrics
    token_paths: link_tokens.TokenPaths

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve an HTTP request. Other scopes are passed through."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        method, path, state = scope["method"], path_as_sent(scope) or "/", scope.get(STATE, {})
        if "logged_path" not in state:
            state["logged_path"] = self.token_paths.hide(path)
        if HEADER_VALUES not in state:
            state[HEADER_VALUES] = dict(scope["headers"])
        values = state[HEADER_VALUES]
        if method == "OPTIONS" and b"access-control-request-method" in values:
            id = state.get("request_id") or request_id(values)
            headers = [
                *origins.preflight_headers(_cors_origin(values, path), self.context.access.origins),
                (REQUEST_ID, id.encode()),
            ]
            await send({"type": "http.response.start", "status": 204, "headers": headers})
            await send({"type": "http.response.body", "body": b""})
            return
        inner = {
            **scope,
            "path": path,
            "root_path": "",
            "method": "GET" if method == "HEAD" else method,
            "state": state,
        }
        state.update(self.state)
        state["is_head"] = method == "HEAD"
        state["root_path"] = quote(scope.get("root_path", ""), safe=PATH_CHARACTERS)  # as in URLs, also in Location
        responses.INCOMPLETE.set(set())
        id = state["request_id"] = state.get("request_id") or request_id(values)
        client, host = scope.get("client"), _text(values.get(b"host"))
        rate, rates, now = (
            self.context.limits.requests_per_second,
            self.context.engines.rates,
            self.context.token_clock.now,
        )
        refusal: BellcastError | None = None
        if rate and client is not None and rates.take(f"{REQUESTS}{client[0]}", rate, now()):
            refusal = TooMany("Too many requests per second from this IP address.", retry_after=1)
        elif host and not is_server(host):
            refusal = BadRequest("The Host header is not a host name or an IP address with an optional port.")
        elif "//" in path:  # an empty key must not match another route: `/v1/recipients//` is not `/v1/recipients/`
            refusal = NotFound("A segment of the path is empty.")
        app = self.app if refusal is None else responses.problem(refusal)
        began = BEGAN_AT.set(self.context.engines.clock.now())
        try:
            await app(inner, receive, compressing(inner, self._with_headers(inner, method, id, send)))
        finally:
            BEGAN_AT.reset(began)

    def _with_headers(self, scope: dict[str, Any], method: str, id: str, send: Send) -> Send:
        """Wrap `send` to add the common headers and to drop the body of a response to HEAD."""
        started = time.perf_counter()
        state = scope["state"]

        async def send_with_headers(message: AsgiMessage) -> None:
            if message["type"] == "http.response.start":
                state[HAS_STARTED] = True
                route = state["route"] = scope.get("path_template", "")
                self.requests.count(method, route, message["status"], time.perf_counter() - started)
                is_public = route in pages.PUBLIC_PATHS
                origin = None if state.get(HAS_SESSION) else _cors_origin(state[HEADER_VALUES], scope["path"])
                cors = origins.cors_headers(origin, self.context.access.origins, message["status"], is_public=is_public)
                missing = len(responses.INCOMPLETE.get(()))
                incomplete = [(b"bellcast-incomplete", b"%d" % missing)] if missing else []
                message["headers"] = [*message["headers"], *SAFETY, (REQUEST_ID, id.encode()), *cors, *incomplete]
            elif message["type"] == "websocket.accept":
                state[HAS_STARTED] = True
                state["route"] = scope.get("path_template", "")
                message["headers"] = [(REQUEST_ID, id.encode())]
            elif method == "HEAD" and message["type"] == "http.response.body":
                message["body"] = b""
            await send(message)

        return send_with_headers


def request_id(values: Mapping[bytes, bytes]) -> str:
    """Return the `X-Request-Id` of a request with these headers if it is valid, else a new id."""
    given = values.get(REQUEST_ID)
    if given is not None and GIVEN_ID.fullmatch(text := given.decode("latin-1")):
        return text
    return f"{random.getrandbits(ID_BITS):016x}"  # not a secret, and without a system call


def path_as_sent(scope: dict[str, Any]) -> str:
    """Return the path still percent-encoded, without the mount prefix.

    Keys may contain a slash (`%2F`). In the decoded path it would be indistinguishable from a separator."""
    path: str = scope["path"]
    raw = scope.get("raw_path")
    sent = None if raw is None else raw.decode("latin-1")
    if sent is None or (sent != path and unquote(sent) != path):  # absent, or rewritten by a proxy
        sent = quote(path, safe=PATH_CHARACTERS)
    root: str = scope.get("root_path", "")
    prefix = "/".join(sent.split("/")[: root.count("/") + 1])  # of which several encodings are valid
    return sent[len(prefix) :] if unquote(prefix) == root else sent


def _cors_origin(values: Mapping[bytes, bytes], path: str) -> str | None:
    """Return the origin of the page; None on paths whose responses no cross-origin page may read."""
    return None if origins.CONSOLE_PATH.fullmatch(path) else _text(values.get(b"origin"))


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")


def build(context: ApiContext) -> ApiMiddleware:
    """Build the application that serves every REST path."""
    requests = metrics.RequestMetrics()
    state = {
        "api_context": context,
        "requests": requests,
        # Generated by the first request for it: this takes 0.2 s. To encode and compress it for each request would take 15 ms,
        # and anyone may send them.
        "document": functools.cache(
            lambda: pages.served_file(msgspec.json.encode(openapi.document(HANDLERS, context.limits)), responses.JSON)
        ),
    }
    token_paths = link_tokens.TokenPaths(
        (one.template for one in HANDLERS), [one.secret for one in context.project.accepted]
    )
    return ApiMiddleware(ApiRouter(HANDLERS), context, state, requests, token_paths)


def described(limits: Limits) -> dict[str, Any]:
    """Return the OpenAPI document without a server."""
    return openapi.document(HANDLERS, limits)
