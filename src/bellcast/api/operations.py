"""One operation of the surface: its path, who may use it, what it reads and answers. Routing, guards and the OpenAPI
document all come from here, so they cannot disagree."""

import functools
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal

from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp, Method
from msgspec import Struct

from bellcast import errors
from bellcast.api import doors
from bellcast.errors import BellcastError

Tag = Literal["Sending", "Live", "Recipients", "Topics", "Tenants", "Access", "Inbox", "Server"]
Handler = Callable[..., Awaitable[ASGIApp]]


class Operation(Struct, frozen=True, kw_only=True):
    """What a path promises. An answer's type is None when it has no body, or a media type when it is not JSON."""

    tag: Tag
    door: doors.Door | None
    answers: Mapping[int, Any]
    query: Any = None
    body: Any = None
    body_types: tuple[str, ...] = ("application/json",)
    example: Any = None
    headers: tuple[str, ...] = ()
    answer_headers: tuple[str, ...] = ()
    refusals: tuple[type[BellcastError], ...] = ()


def operation(method: Method, path: str, **promise: Any) -> Callable[[Handler], HTTPRouteHandler]:
    """Make a function the handler of an operation."""
    promised = Operation(**promise)
    routed = HTTPRouteHandler(path, http_method=method, opt={"operation": promised}, status_code=200)
    return lambda handler: routed(handler if promised.door is None else _guarded(handler, promised.door))


def _guarded(handler: Handler, door: doors.Door) -> Handler:
    """The handler behind its door. (The framework's guards copy the route for each request: 15 µs.)"""

    @functools.wraps(handler)
    async def guarded(request: doors.Asked) -> ASGIApp:
        await doors.enter(request, door)
        return await handler(request)

    return guarded


def refusals(operation: Operation, method: str, path: str) -> list[type[BellcastError]]:
    """Every refusal an operation may answer with: its own, and those its shape implies."""
    implied: list[type[BellcastError]] = [*operation.refusals, errors.TooMany]
    if operation.door:
        implied += [errors.Unauthenticated, errors.Forbidden, errors.Unavailable]
    if operation.door and method != "get":
        implied.append(errors.DiskFull)
    if operation.body is not None:
        implied += [errors.BadRequest, errors.TooLarge, errors.UnsupportedMediaType, errors.Invalid]
    if operation.query is not None or "{" in path:
        implied += [errors.BadRequest, errors.Invalid]
    return list(dict.fromkeys(implied))
