"""Requests as values, and which failed requests of a plan are retried, and when.

This module sends nothing: pure functions build requests, and an `exchange` yields the next step (send a request, pause) and
receives its outcome."""

import random
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from types import NoneType, UnionType
from typing import Any, Generic, Protocol, TypeVar, Union, get_args, get_origin
from urllib.parse import quote

import msgspec

from bellcast.client import arguments
from bellcast.client.credentials import Credentials
from bellcast.client.errors import (
    BellcastError,
    Forbidden,
    NotFound,
    RequestRefused,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    Unreadable,
    WrongProject,
)
from bellcast.client.responses import Problem, ServerHealth

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

# What msgspec raises for JSON of a server that is not Bellcast.
UNDECODABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
# It reads the annotations of a type each time.
_fields = cache(msgspec.structs.fields)
# Methods that are idempotent in this API, PATCH included.
_REPEATABLE = frozenset({"GET", "PUT", "PATCH", "DELETE"})


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """An HTTP response."""

    status: int
    content: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HttpRequest(Generic[T]):
    """An HTTP request and the decoder of its response."""

    method: str
    path: str
    decode: Callable[[HttpResponse], T]
    params: Mapping[str, str | int] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None
    harmless: bool = False
    """The request may be repeated although its method is not idempotent, for example because it has idempotency keys."""
    local: Callable[[Credentials], T | None] | None = None
    """Returns the result without a request where these credentials allow it, else None."""
    timeout: float | None = None
    """Seconds for a response, if more than other requests need."""

    @property
    def repeatable(self) -> bool:
        return self.harmless or self.method in _REPEATABLE

    def __iter__(self) -> Generator["HttpRequest[Any]", Any, T]:
        """Yield the request: a single request is a plan, and longer plans `yield from` it."""
        result: T = yield self
        return result


class Plan(Protocol[T_co]):
    """A sequence of requests that ends in a result."""

    def __iter__(self) -> Generator[HttpRequest[Any], Any, T_co]: ...


def path(*segments: str, **names: arguments.Text) -> str:
    """Return `/v1/…` with the segments and then these arguments, every one quoted, since keys may contain any character. Raises
    InvalidArgument."""
    checked = [arguments.name(argument, value) for argument, value in names.items()]
    quoted = [quote(segment, safe="") for segment in (*segments, *checked)]
    # Clients remove dot segments from URLs, which would change the path.
    return "/".join(["/v1", *(one.replace(".", "%2E") if one in (".", "..") else one for one in quoted)])


def drop_none(**values: Any) -> dict[str, Any]:
    """Drop arguments that are None: the server treats them like absent ones."""
    return {name: value for name, value in values.items() if value is not None}


def query(**values: Any) -> dict[str, str | int]:
    """Return validated query parameters. `limit` and `count` are numbers, `dry_run` a flag that is absent if False, `since`, `from`
    and `to` are times; all others are texts."""
    given = drop_none(**values)
    if given.get("dry_run") is False:
        del given["dry_run"]
    return {name: _PARAMETERS.get(name, arguments.text)(name, value) for name, value in given.items()}


def _time(argument: str, value: object) -> str:
    moment = arguments.past_moment(argument, value)
    return moment if isinstance(moment, str) else moment.isoformat()


_PARAMETERS: dict[str, Callable[[str, Any], str | int]] = {
    **dict.fromkeys(("limit", "count"), arguments.whole),
    **dict.fromkeys(("since", "from", "to"), _time),
    "dry_run": lambda argument, value: str(arguments.flag(argument, value)).lower(),
}


def json(body: Any) -> dict[str, Any]:
    """Return the content and headers of a JSON request; times become RFC 3339."""
    return {"content": arguments.json(body), "headers": {"Content-Type": "application/json"}}


def reads(kind: type[T]) -> Callable[[HttpResponse], T]:
    """Return a decoder for responses of this type. That of NoneType ignores the content."""
    decoder = msgspec.json.Decoder(kind)

    def decode(response: HttpResponse) -> T:
        content = b"null" if kind is NoneType else response.content
        try:
            return decoder.decode(content)
        except msgspec.ValidationError as error:
            # The response of a newer or older server may have new states, and may lack fields.
            value = msgspec.json.decode(content)
            known = getattr(kind, "__struct_encode_fields__", ())
            if not isinstance(value, dict) or value.keys().isdisjoint(known):
                raise Unreadable(response.status, kind.__name__) from error
            fitted: T = _fit(kind, value)
            return fitted
        except UNDECODABLE as error:
            raise Unreadable(response.status, kind.__name__) from error

    return decode


def _fit(kind: Any, value: Any) -> Any:
    """Convert the parts of a JSON value that fit the type, and keep the others as they are. For None instead of a list or dict,
    return an empty one."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError:
        origin, of = get_origin(kind), [one for one in get_args(kind) if one is not NoneType]
    if origin in (Union, UnionType):
        return _fit(of[0], value)
    if origin in (list, tuple) and isinstance(value, list | None):
        return origin(_fit(of[0], one) for one in value or ())
    if origin is dict and isinstance(value, dict | None):
        return {name: _fit(of[1], one) for name, one in (value or {}).items()}
    if hasattr(kind, "__struct_fields__") and isinstance(value, dict):
        fields = [one for one in _fields(kind) if one.required or one.encode_name in value]
        return kind(**{one.name: _fit(one.type, value.get(one.encode_name)) for one in fields})
    return value


def call(
    method: str,
    where: str,
    kind: type[T],
    body: Any = None,
    /,
    *,
    harmless: bool = False,
    timeout: float | None = None,
    **params: Any,
) -> HttpRequest[T]:
    """Return a request with a response of this kind, NoneType if it has no content, with a JSON body if there is one, and with
    the parameters that are not None."""
    content = {} if body is None else json(body)
    return HttpRequest(method, where, reads(kind), query(**params), harmless=harmless, timeout=timeout, **content)


# --- retries

_REFUSALS: dict[int, type[RequestRefused]] = {401: Unauthorized, 403: Forbidden, 404: NotFound, 429: TooManyRequests}
# The server did not process the request: a retry is always safe.
_TRY_LATER = frozenset({429, 503})
# What to do about a connection that fails with this text. Numbers below 0 are errors of the name lookup.
_HINTS = {
    "refused": ". Start `bellcast serve`, or correct the port",
    "WRONG_VERSION_NUMBER": ". The server speaks http, not https: use http:// in its URL, or the address of your TLS proxy",
    "CERTIFICATE_VERIFY_FAILED": ". Its certificate must have the host in the URL and an authority known here, or in SSL_CERT_FILE",
    "timed out": ". Check the server's address, and its load",
    "[Errno -": ". Check the host name in the URL",
}
# A proxy lost its upstream connection, possibly while the request was being processed.
_GATEWAY_ERRORS = frozenset({502, 504})


@dataclass(frozen=True, slots=True)
class LostConnection:
    """The request got no response. `delivered` is True if the server may have processed it."""

    error: Exception
    delivered: bool


Outcome = HttpResponse | LostConnection
# A request to send, or the seconds to wait before the next attempt.
Step = HttpRequest[Any] | float


MAX_RETRY_AFTER = 86_400.0  # a day: a number of 400 digits would be infinite
# Timeout of a response in seconds: a working server needs milliseconds.
TIMEOUT = 5.0


@dataclass(frozen=True, slots=True)
class Peer:
    """The server's properties for an exchange. `timeout` is the number of seconds to wait for one response."""

    url: str = ""
    credentials: Credentials | None = None
    timeout: float = TIMEOUT


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """Retry limits and backoff.

    Waits double from `first` seconds up to `longest`, with jitter. All attempts and waits of one request end within
    `within` seconds, or within the timeout of one response if that is longer."""

    tries: int = 3
    first: float = 0.2
    longest: float = 20.0
    within: float = 8.0
    chance: Callable[[], float] = random.random
    clock: Callable[[], float] = time.monotonic

    def wait(self, request: HttpRequest[Any], tried: int, outcome: Outcome, left: float) -> float | None:
        """Return the seconds until the next attempt, or None if there is none. `left` is the remaining part of
        `within`."""
        if _may_have_succeeded(outcome):
            is_safe = request.repeatable
        else:
            is_safe = isinstance(outcome, LostConnection) or outcome.status in _TRY_LATER
        if tried >= self.tries or not is_safe:
            return None
        retry_after = _retry_after(outcome)
        if retry_after is None:
            # Full jitter: clients that failed together do not retry together.
            wait = self.chance() * min(self.longest, self.first * 2.0**tried)
        elif retry_after <= self.longest:
            wait = retry_after + self.chance() * self.first
        else:
            return None
        return wait if wait < left else None


def exchange(plan: Plan[T], retries: Retries, peer: Peer = Peer()) -> Generator[Step, Outcome | None, T]:
    """Execute a plan: yield its steps, each with its outcome as the result, None after a pause, and return its result. Raises
    BellcastError."""
    requests = iter(plan)
    try:
        request = next(requests)
        while True:
            try:
                value = yield from _attempt(request, retries, peer)
            except BellcastError as error:
                request = requests.throw(error)
            else:
                request = requests.send(value)
    except StopIteration as end:
        result: T = end.value
        return result


def _attempt(request: HttpRequest[T], retries: Retries, peer: Peer) -> Generator[Step, Any, T]:
    """Try one request until there is a final response, or raise the failure."""
    if request.local is not None and peer.credentials is not None:
        result = request.local(peer.credentials)
        if result is not None:
            return result
    timeout = request.timeout or peer.timeout
    within, began = max(retries.within, timeout), retries.clock()
    left = within
    tried, may_be_done = 0, False
    while True:
        outcome: Outcome = yield replace(request, timeout=min(timeout, left))
        tried += 1
        if isinstance(outcome, HttpResponse) and (
            (200 <= outcome.status < 300 or outcome.status == 304)
            # The first DELETE succeeded, and its response was lost.
            or (may_be_done and request.method == "DELETE" and outcome.status == 404)
        ):
            try:
                return request.decode(outcome)
            except Unreadable as error:
                error.url = peer.url + request.path
                raise
        may_be_done = may_be_done or _may_have_succeeded(outcome)
        left = within - (retries.clock() - began)
        wait = retries.wait(request, tried, outcome, left)
        if wait is None:
            raise (yield from _failure(request, outcome, peer))
        yield float(wait)
        left = max(within - (retries.clock() - began), 0.1)


_health = reads(ServerHealth)


def _may_have_succeeded(outcome: Outcome) -> bool:
    return outcome.delivered if isinstance(outcome, LostConnection) else outcome.status in _GATEWAY_ERRORS


def _retry_after(outcome: Outcome) -> float | None:
    """Return the seconds in Retry-After, a day at most. A date, which only proxies send, is ignored."""
    if isinstance(outcome, LostConnection):
        return None
    seconds = outcome.headers.get("retry-after", "")
    return min(float(seconds), MAX_RETRY_AFTER) if seconds.isdecimal() else None


def _failure(request: HttpRequest[Any], outcome: Outcome, peer: Peer) -> Generator[Step, Any, BellcastError]:
    """Return the error for the last outcome of a request. Whether a server that does not accept the project's secret belongs to
    another project, a request finds out."""
    url = peer.url + request.path
    if isinstance(outcome, LostConnection):
        reason = str(outcome.error) or type(outcome.error).__name__
        reason += next((hint for part, hint in _HINTS.items() if part in reason), "")
        error = Unavailable(f"no response: {reason}", None, url)
        error.__cause__ = outcome.error
        return error
    problem, retry_after = _problem(outcome), _retry_after(outcome)
    if outcome.status in _TRY_LATER - {429} or outcome.status in _GATEWAY_ERRORS:
        return Unavailable(f"{outcome.status} {problem.detail or problem.title}", retry_after, url, outcome.status)
    expected = peer.credentials.key if peer.credentials else None
    if outcome.status == 401 and expected is not None:
        health: Outcome = yield HttpRequest("GET", "/healthz", _health, timeout=peer.timeout)
        with suppress(Unreadable):
            found = _health(health).project if isinstance(health, HttpResponse) else None
            if found and found != expected:
                return WrongProject(problem, None, url, found)
    return _REFUSALS.get(outcome.status, RequestRefused)(problem, retry_after, url)


def _problem(response: HttpResponse) -> Problem:
    """Return the server's problem document; a proxy may have replaced it by its own page."""
    try:
        return msgspec.json.decode(response.content, type=Problem)
    except UNDECODABLE:
        # A redirect, such as to https, is not followed: it would send the secret elsewhere.
        redirects = 300 <= response.status < 400
        title = "redirects to another address: check the URL" if redirects else "refused without a reason"
        return Problem(status=response.status, code="unknown", title=title)
