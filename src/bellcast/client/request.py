"""Requests as values. This module sends nothing: pure functions build requests, and an `Exchange` executes them."""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from functools import cache
from types import NoneType, UnionType
from typing import Any, Generic, Protocol, TypedDict, TypeVar, Union, get_args, get_origin
from urllib.parse import quote

import msgspec

from bellcast.client import arguments
from bellcast.client.credentials import Credentials
from bellcast.client.errors import Unreadable

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


class Body(TypedDict):
    """The content and headers of a request."""

    content: bytes
    headers: dict[str, str]


def json(body: Any) -> Body:
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
    content: Any = {} if body is None else json(body)
    return HttpRequest(method, where, reads(kind), query(**params), harmless=harmless, timeout=timeout, **content)
