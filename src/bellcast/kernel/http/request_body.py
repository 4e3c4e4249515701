"""Read request bodies: check size, media type and JSON, and report all invalid fields together. Bulk bodies are split into items that
are not decoded."""

import re
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import lru_cache, partial
from typing import Any, Generic, NamedTuple, TypeVar, cast, get_origin
from urllib.parse import parse_qs, parse_qsl, unquote

import msgspec
from msgspec import Struct, structs

from bellcast.kernel import field_limits, validation
from bellcast.kernel.concurrency import Scheduler
from bellcast.kernel.errors import BadRequest, BellcastError, FieldError, Invalid, TooLarge, UnsupportedMediaType
from bellcast.kernel.http import HEADER_VALUES, validation_errors
from bellcast.kernel.http.validation_errors import Suggestions
from bellcast.kernel.limits import MAX_ITEM_BYTES, Limits
from bellcast.kernel.validation import MAX_DEPTH

T = TypeVar("T")

JSON_TYPE = re.compile(r"application/(?:json|[a-z0-9.+-]+\+json)|text/json", re.IGNORECASE)
NDJSON_TYPES = ("application/x-ndjson", "application/ndjson", "application/jsonl")
FORM = "application/x-www-form-urlencoded"
# Vendors' receipts have up to 30 fields.
MAX_FORM_FIELDS = 200
YAML_TYPES = frozenset({"application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml"})
TENANT = "tenant"
# Key in a request's state: the check of its body, if the caller is restricted to tenants.
CHECK_BODY = "check_body"
# Key in a request's state: the function that authorizes the request again.
AUTHORIZE = "authorize"
# After a slower body, the request is authorized again. A body can take half an hour, in which its key may be revoked.
SLOW_SECONDS = 1.0
NOT_STRUCTURE = bytes(set(range(256)) - set(b'[]{}"'))

# The escape of a surrogate within the last bytes, after which msgspec awaits the other half.
HALF_PAIR = re.compile(rb"(?<!\\)\\u[dD][89abAB][0-9a-fA-F]{2}.{0,5}\Z", re.DOTALL)
BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2}).{0,2}")


class ApiRequest(NamedTuple):
    """A handler's request: the ASGI scope, and the function that receives the body."""

    scope: Any
    receive: Any

    @property
    def limits(self) -> Limits:
        """The limits on input."""
        limits: Limits = self.context.limits
        return limits

    @property
    def context(self) -> Any:
        """What the server provides to all requests, as passed to the rules of a shape."""
        return self.scope["state"]["api_context"]


class Disconnected(Exception):
    """The client disconnected before its request was read, so no response can be sent."""


def header(request: ApiRequest, name: bytes) -> str | None:
    """Return a header as sent."""
    value: bytes | None = request.scope["state"][HEADER_VALUES].get(name)
    return None if value is None else value.decode("latin-1")


def accepts_html(request: ApiRequest) -> bool:
    """Return whether a browser opens the URL as a page."""
    return "text/html" in (header(request, b"accept") or "")


async def raw(request: ApiRequest, limit: int) -> bytes:
    """Read the body. Raises TooLarge as soon as the Content-Length or the data received exceed the limit, and
    Unauthenticated or Forbidden if the caller's authorization ends during the upload. A compressed body is rejected, since a small one may expand to
    any size."""
    encoding = header(request, b"content-encoding")
    if encoding and encoding.lower() != "identity":
        raise UnsupportedMediaType("Send the body without Content-Encoding: compressed bodies are not accepted.")
    announced = header(request, b"content-length") or ""
    size = float(announced) if announced.isascii() and announced.isdigit() else 0  # `int` refuses long ones
    started, received = time.monotonic(), bytearray()
    message: Any = {"more_body": True}
    while message.get("more_body") or size > limit > 0:
        if size > limit > 0:
            raise TooLarge(f"The request body may have at most {limit} bytes.")
        message = await request.receive()
        if message["type"] != "http.request":
            raise Disconnected
        received += message.get("body", b"")
        size = max(size, len(received))
    body = bytes(received)
    state = request.scope.get("state", {})
    if time.monotonic() - started > SLOW_SECONDS and AUTHORIZE in state:
        await state[AUTHORIZE](request)
    if CHECK_BODY in state:
        await state[CHECK_BODY](body)
    return body


def media_type(request: ApiRequest) -> str:
    """Return the content type without its parameters, in lower case; JSON if the header is absent."""
    content_type = header(request, b"content-type") or ""
    return content_type.partition(";")[0].strip().lower() or "application/json"


class Shape(Struct, Generic[T], frozen=True):
    """Type of a body and its validation rules. Fields `added` by a read are ignored. `bulk` is the operation that accepts a list
    of such values."""

    type: type[T]
    rules: Callable[[T, Any], None] | None = None  # the value and the context of the request
    added: frozenset[str] = frozenset()
    ruled_later: bool = False  # the operation validates it later
    bulk: str = ""

    def check(self, value: T, ctx: Any) -> None:
        """Raise Invalid with the errors of the limits of the type's fields, and of the rules."""
        errors = field_limits.errors(value, ctx.limits)
        try:
            if self.rules is not None:
                self.rules(value, ctx)
        except Invalid as refusal:
            if not errors:
                raise
            errors += refusal.errors
        if errors:
            raise Invalid.fields(errors)


async def body(request: ApiRequest, shape: Shape[T] | type[T], *, is_optional: bool = False) -> T:
    """Read and validate the JSON body, of a type or, with rules, of a shape."""
    return json(await json_text(request, is_optional=is_optional), shape, request.context)


async def json_text(request: ApiRequest, *, is_optional: bool = False) -> bytes:
    """Read a JSON body without decoding it. An optional one can be empty: that is `{}`, and needs no content type."""
    text = await raw(request, request.limits.request) if is_optional else b""
    if (text or not is_optional) and not JSON_TYPE.fullmatch(media_type(request)):
        raise UnsupportedMediaType
    return text or b"{}" if is_optional else await raw(request, request.limits.request)


async def json_or_form_text(request: ApiRequest) -> bytes:
    """Read a JSON body, or that in the field `request` of a form, without decoding it."""
    if media_type(request) != FORM:
        return await json_text(request)
    sent = form_fields(await raw(request, request.limits.request))
    return sent.get("request", "").encode()


def form_fields(text: bytes) -> dict[str, str]:
    """Decode the fields of a form. Raises TooLarge if there are too many."""
    return {name: values[-1] for name, values in form_values(text, MAX_FORM_FIELDS).items()}


def form_values(text: bytes, max_fields: int) -> dict[str, list[str]]:
    """Decode a form with repeated fields. Raises TooLarge if there are too many."""
    if text.count(b"&") >= max_fields:
        raise TooLarge(f"A form has at most {max_fields} fields.")
    return parse_qs(text.decode(errors="replace"), keep_blank_values=True)


def json(text: bytes, shape: Shape[T] | type[T], ctx: Any, suggestions: Suggestions | None = None) -> T:
    """Decode and validate JSON. Raises BadRequest if the text is not JSON, Invalid with all invalid fields."""
    shape = shape if isinstance(shape, Shape) else Shape(shape)
    if text.count(b"[") + text.count(b"{") > MAX_DEPTH:
        check_depth(text)
    try:
        value = decoder(shape.type).decode(text)
    except msgspec.ValidationError:
        sent = anything(text)
        if isinstance(sent, dict) and not shape.added.isdisjoint(sent):
            own = {name: inner for name, inner in sent.items() if name not in shape.added}
            return json(msgspec.json.encode(own), structs.replace(shape, added=frozenset()), ctx, suggestions)
        is_ruled = shape.rules is not None or field_limits.of(cast("Any", shape.type))
        rules = partial(shape.check, ctx=ctx) if is_ruled else None
        if shape.bulk and isinstance(sent, list):
            raise Invalid.of("", f"must be an object, got a list; send a list to {shape.bulk}") from None
        errors = validation_errors.validation_errors(sent, shape.type, rules, suggestions=suggestions)
        raise Invalid.fields(errors) from None
    except (msgspec.DecodeError, ValueError, RecursionError) as broken:
        raise unreadable(text, broken) from None
    if not shape.ruled_later:
        shape.check(value, ctx)
    return value


def anything(text: bytes) -> Any:
    """Decode any JSON into plain values."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError) as broken:
        raise unreadable(text, broken) from None


def plain_json(text: bytes) -> Any:
    """Decode any JSON into plain values, within MAX_DEPTH levels."""
    if text.count(b"[") + text.count(b"{") > MAX_DEPTH:
        check_depth(text)
    return anything(text)


def check_depth(text: bytes) -> None:
    """Reject JSON nested deeper than MAX_DEPTH levels, by counting brackets outside of strings. Takes linear time."""
    structure = text.replace(b"\\\\", b"").replace(b'\\"', b"").translate(None, NOT_STRUCTURE)
    # Two adjacent quotes are either an empty string or the gap between two strings. Removing them does not change
    # whether the other quotes open or close a string.
    outside_strings = structure.replace(b'""', b"").split(b'"')[::2]
    depth = 0
    for bracket in b"".join(outside_strings):
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_DEPTH:
            raise BadRequest(f"The JSON is nested deeper than {MAX_DEPTH} levels.")


def unreadable(text: bytes, broken: Exception) -> BellcastError:
    if not text.strip():
        return BadRequest("The body is empty; send JSON.")
    if isinstance(broken, UnicodeDecodeError):
        return BadRequest(f"The JSON is not UTF-8: {broken.reason}.")
    if "surrogate" in str(broken) or HALF_PAIR.search(text[-12:]):
        return BadRequest(
            "The body is not JSON: it has half of a surrogate pair (\\ud800 to \\udfff), which is no character."
        )
    return BadRequest(f"The body is not JSON: {broken}.")


_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}


def decoder(type: type[T]) -> msgspec.json.Decoder[T]:
    """Return the cached decoder of a type."""
    result = _decoders.get(type)
    if result is None:
        result = _decoders[type] = msgspec.json.Decoder(type)
    return result


def query(request: ApiRequest, type: type[T]) -> T:
    """Decode the query string as a `type`. Unknown parameters are ignored here, because `check_query` has rejected
    them."""
    text, shape = request.scope["query_string"], cast("Any", type)
    allowed: dict[str, Any] = {}
    if text:  # as few requests have
        given, lists = pairs(text), _repeatable(shape)
        for name in shape.__struct_encode_fields__:
            if name in given:
                allowed[name] = given[name] if name in lists else single(name, given[name])
    try:
        result = msgspec.convert(allowed, type, strict=False)
    except msgspec.ValidationError:
        errors = validation_errors.validation_errors(allowed, type, strict=False)
        # Errors of a repeated parameter name the parameter, without the number of the value.
        raise Invalid.fields([FieldError(one.field.partition(".")[0], one.message) for one in errors]) from None
    # The conversion treats the text "null" as absent, and a filter without its value would widen the request. It also
    # reads a number as a time in seconds, which is undocumented; a client that sends milliseconds would get another
    # time. The names are of the type itself: msgspec's list of fields takes 5 µs and allocates.
    for name, attribute in zip(shape.__struct_encode_fields__, shape.__struct_fields__, strict=True) if allowed else ():
        if name in allowed:
            value = getattr(result, attribute)
            if value is None:
                raise Invalid.of(name, 'must not be "null": leave it out')
            if isinstance(value, datetime) and ":" not in allowed[name]:
                raise Invalid.of(name, "must be a time such as 2030-01-31T12:00:00Z")
    return result


def check_query(request: ApiRequest, allowed: frozenset[str]) -> None:
    """Raise Invalid for query parameters that are not `allowed`, since an ignored filter would widen the request, and
    for an invalid tenant. An empty tenant is the default tenant."""
    given = pairs(request.scope["query_string"])
    unknown = [name for name in given if name not in allowed]
    if unknown:
        suggestions = Suggestions()
        messages = [validation_errors.unknown(name, allowed, suggestions, "query parameter") for name in unknown]
        places = map(validation_errors.shortened, unknown)
        raise Invalid.fields([FieldError(*error) for error in zip(places, messages, strict=True)])
    for tenant in given.get(TENANT, ()):
        if tenant:
            validation.check(validation.key(TENANT, tenant, request.limits))


@lru_cache(maxsize=100)
def _repeatable(type: Any) -> frozenset[str]:
    """Return the parameters that may be given several times: the fields that are lists."""
    return frozenset(
        field.encode_name
        for field in structs.fields(type)
        if any(get_origin(part) is list for part in validation_errors.parts(field.type))
    )


def single(name: str, values: list[str]) -> str:
    """Return the value of a parameter. Raises Invalid if it is given twice with different values."""
    if any(value != values[0] for value in values):
        raise Invalid.of(name, "must not be given twice")
    return values[0]


def query_items(text: bytes) -> list[tuple[str, str]]:
    """Decode a query string."""
    try:
        return parse_qsl(text.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=100)
    except ValueError:
        raise BadRequest("The query string is not valid percent-encoded UTF-8.") from None


def pairs(text: bytes) -> dict[str, list[str]]:
    """Return the values of each parameter in a query string."""
    given: dict[str, list[str]] = {}
    for name, value in query_items(text):
        given.setdefault(name, []).append(value)
        if "\x00" in value:
            raise Invalid.of(name, "must not contain the NUL character")
    return given


def path(request: ApiRequest, name: str) -> str:
    """Return a path parameter, decoded. Routing uses the path as sent, so a key may contain a slash."""
    sent: str = request.scope["path_params"][name]
    broken = BROKEN_ESCAPE.search(sent)
    if broken is not None:
        raise _unreadable_part(
            name, f"contains {broken[0]!r}, which is not valid percent-encoding: send a percent sign as %25"
        )
    try:
        return unquote(sent, errors="strict")
    except UnicodeDecodeError:
        raise _unreadable_part(name, "is not percent-encoded UTF-8") from None


def _unreadable_part(name: str, reason: str) -> BadRequest:
    return BadRequest(f"The {name} in the path {reason}.", errors=(FieldError(name, reason),))


class DryRunFlag(Struct, frozen=True, kw_only=True):
    """`dry_run` only validates."""

    dry_run: bool = False


def is_dry_run(request: ApiRequest) -> bool:
    """Return whether the request changes nothing. A handler checks this after every check that can refuse the request
    and before its first write. The response has the body of a real request and status 200."""
    return query(request, DryRunFlag).dry_run


# --- items of bulk requests, split without creating more objects than the limit allows: 16 MB can have eight million elements, which
# take 80 bytes each

# A line with more than white space, from its first other character.
LINE = re.compile(rb"[^\s][^\r\n]*")
LINE_END = re.compile(rb"[\r\n]")
# Maximum commas of a JSON array that has a limit: an element takes about 80 bytes.
MAX_COMMAS = 2_000_000
# Bytes split into lines without a pause: at most 4 ms, and 16 MB take 60 ms.
LINES_BYTES = 1_048_576


async def bulk_items(
    request: ApiRequest, limit: int, pace: Scheduler, noun: str = "notifications"
) -> Sequence[bytes | msgspec.Raw]:
    """Return the items of a body, not decoded: a JSON array, or one JSON object per line. Raises UnsupportedMediaType, and
    TooLarge for more than `limit` (0: any number)."""
    kind = media_type(request)
    has_lines = kind in NDJSON_TYPES
    if not has_lines and not JSON_TYPE.fullmatch(kind):
        raise UnsupportedMediaType("Send a JSON array, or one JSON object per line as application/x-ndjson.")
    text = await raw(request, request.limits.bulk)
    return await item_lines(text, limit, pace) if has_lines else item_elements(text, limit, noun)


async def item_lines(text: bytes, limit: int, pace: Scheduler) -> list[bytes]:
    """Return the lines that are not blank. Raises TooLarge for more than `limit` (0: any number)."""
    items: list[bytes] = []
    start = 0
    while start < len(text):
        line_end = LINE_END.search(text, start + LINES_BYTES)
        end = line_end.end() if line_end else len(text)
        for line in LINE.finditer(text, start, end):
            items.append(line[0])
            if limit and len(items) > limit:
                raise _too_many_items(limit)
        start = end
        if start < len(text):
            await pace.wait()
    return items


def item_elements(text: bytes, limit: int, noun: str = "notifications") -> list[msgspec.Raw]:
    """Split a JSON array into elements without decoding them. Raises TooLarge for more than `limit` (0: any number)."""
    if limit and text.count(b",") > MAX_COMMAS:
        raise TooLarge(f"A bulk request may have at most {MAX_COMMAS} commas; send it in several parts.")
    try:
        items = decoder(list[msgspec.Raw]).decode(text)
    except msgspec.ValidationError:
        anything(text)  # invalid JSON gets a different error
        raise Invalid.of("", f"must be a list of {noun}") from None
    except (msgspec.DecodeError, ValueError, RecursionError) as broken:
        raise unreadable(text, broken) from None
    if limit and len(items) > limit:
        raise _too_many_items(limit)
    return items


def check_item_size(item: bytes | msgspec.Raw) -> None:
    """Raise TooLarge for an item of more than MAX_ITEM_BYTES."""
    if len(item) > MAX_ITEM_BYTES:
        raise TooLarge(f"An item may have at most {MAX_ITEM_BYTES} bytes, got {len(item)}.")


def _too_many_items(limit: int) -> TooLarge:
    """Return the error for a request with more items than `limit`."""
    return TooLarge(f"A bulk request may have at most {limit} items.")
