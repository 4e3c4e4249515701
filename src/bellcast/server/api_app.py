"""The API as one ASGI application, and what it does with every request: undecoded path, HEAD as GET, CORS, security headers, rate limit,
and metrics."""

import functools
import random
import re
import time
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any
from urllib.parse import quote, unquote

import msgspec
from msgspec import Struct

from bellcast import explanations
from bellcast.agents import http as agents
from bellcast.audit import http as audit
from bellcast.auth import http as auth
from bellcast.auth import link_tokens, origins
from bellcast.channels import http as channels
from bellcast.channels.http import link_pages, mailbox, notification_types, suppressions
from bellcast.console import http as console_http
from bellcast.console import pages
from bellcast.console.http import live_feed, settings
from bellcast.console.pages import check, console, error_pages, landing
from bellcast.documents import http as documents
from bellcast.exports import http as exports
from bellcast.inbox import http as inbox
from bellcast.inbox.http import bulk, notifications
from bellcast.kernel.clock import BEGAN_AT
from bellcast.kernel.errors import BadRequest, BellcastError, NotFound, TooMany
from bellcast.kernel.events import SEPARATOR
from bellcast.kernel.http import HEADER_VALUES, ASGIApp, AsgiMessage, Send, responses
from bellcast.kernel.http.responses import compressing
from bellcast.kernel.ip_addresses import is_server
from bellcast.kernel.limits import Limits
from bellcast.live.hub.survey import ConnectionSurvey
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
from bellcast.rest.operations import ApiEndpoint
from bellcast.server import health, openapi
from bellcast.server.health import RequestMetrics
from bellcast.server.router import DIALECT_APIS, HAS_STARTED, ApiRouter
from bellcast.templates import http as templates
from bellcast.templates.http import editor_tokens
from bellcast.tenants import http as tenants
from bellcast.topics import http as topics
from bellcast.webhooks import http as webhooks
from bellcast.workflows import http as workflows
from bellcast.workflows.http import runs, schedules, schemas, sources

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
# Those with operations, in the order of the documentation.
MODULES = (
    *(notifications, bulk, topics, recipients, exports, tenants, auth, console_http, inbox),
    *(explanations, replays, workflows, runs, schedules, sources, schemas),
    *(channels, suppressions, mailbox, notification_types, templates, editor_tokens, preferences),
    *(link_pages, providers, webhooks, preferences_page),
    *(operators_http, passwordless, operators, audit, live_feed, documents, settings, agents),
    *(console, check, health, error_pages, pages, landing),
)


def endpoints_of(modules: Iterable[ModuleType]) -> list[ApiEndpoint]:
    """Return the operations of modules: their attributes, and the elements of their lists."""
    found: dict[int, ApiEndpoint] = {}
    for value in (one for module in modules for one in vars(module).values()):
        listed = value if isinstance(value, list | tuple) else [value]
        found |= {id(one): one for one in listed if isinstance(one, ApiEndpoint)}
    return list(found.values())


HANDLERS = [*endpoints_of(MODULES), *BUNDLES, *(handler for api in DIALECT_APIS for handler in api.operations)]


# --- credentials in paths

PARAMETER = "{token}"
HIDDEN = "hidden"
SESSION_TOKEN, API_KEY = r"eyJ[\w-]+\.[\w-]+\.[\w-]+", r"bc_[0-9a-f]+_[0-9a-f]{16,}"
# A path is decoded until it stays the same, at most this often.
MAX_DECODINGS = 5


class TokenPaths:
    """Hides credentials in paths, for logs: a path parameter named `token`, of the templates of all routes, and tokens, keys and the
    secrets of the project wherever they stand."""

    def __init__(self, templates: Iterable[str], secrets: Iterable[str] = ()) -> None:
        self._credential = re.compile("|".join([SESSION_TOKEN, API_KEY, *map(re.escape, secrets)]), re.ASCII)
        paths = list(templates)
        self._without_parameters = frozenset(path for path in paths if "{" not in path)
        before = sorted({template.partition(PARAMETER)[0] for template in paths if PARAMETER in template})
        # Requests with repeated slashes are refused, but logged.
        heads = (re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(head)).replace("/", "/+") for head in before)
        self._with_token = re.compile(f"^({'|'.join(heads) or '(?!)'})[^/]+", re.IGNORECASE)

    def hide(self, path: str) -> str:
        """Replace the credential in a path below the mount. Scanners and proxies write paths in other forms, which match no
        route: in upper case, escaped, escaped again, or below another path."""
        if path in self._without_parameters:
            return path
        text, is_hidden = path, False
        for _ in range(MAX_DECODINGS):
            before = text
            text = self._with_token.sub(rf"\g<1>{HIDDEN}", text)
            # The rest of a path with a token may contain another, as in `/u/../preferences/{token}`.
            text = link_tokens.hide(text.encode(errors="surrogatepass")).decode(errors="surrogatepass")
            text = self._credential.sub(HIDDEN, text)
            is_hidden |= text != before
            decoded = unquote(text)
            if decoded == text:
                break
            text = decoded
        return text if is_hidden else path


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
    """One ASGI layer around the whole API. `state` is added to that of each request, and `counts` are the metrics for other workers
    on this port."""

    app: ASGIApp
    context: ApiContext
    state: Mapping[str, Any]
    requests: RequestMetrics
    counts: Callable[[], bytes]
    token_paths: TokenPaths

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
    requests = health.RequestMetrics()
    exporter = health.MetricsExporter(requests, context[ConnectionSurvey], context.process_counts)
    state = {
        "api_context": context,
        "exporter": exporter,
        # Generated by the first request for it: this takes 0.2 s. To encode and compress it for each request would take 15 ms,
        # and anyone may send them.
        "document": functools.cache(
            lambda: responses.served_file(
                msgspec.json.encode(openapi.document(HANDLERS, context.limits)), responses.JSON
            )
        ),
    }
    token_paths = TokenPaths((one.template for one in HANDLERS), [one.secret for one in context.project.accepted])
    return ApiMiddleware(ApiRouter(HANDLERS), context, state, requests, exporter.own, token_paths)


def described(limits: Limits) -> dict[str, Any]:
    """Return the OpenAPI document without a server."""
    return openapi.document(HANDLERS, limits)
