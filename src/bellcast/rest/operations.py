"""Declarations of operations: path, required scope, request and response types. Routing, guards and the OpenAPI
document are derived from the same declaration, so they cannot disagree. `server/api_app.py` lists the modules with operations.
Lists are also exported as CSV or NDJSON, chosen by `Accept`: their handlers are called for each page, and the rows are streamed."""

import contextlib
import csv
import functools
import io
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal, get_args, get_origin
from urllib.parse import quote, urlencode

import msgspec
from msgspec import Struct

from bellcast.kernel import errors
from bellcast.kernel.errors import BellcastError, Forbidden
from bellcast.kernel.http import MAX_PAGE_ROWS, ASGIApp, request_body, responses
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.kernel.identities import KeyScope
from bellcast.operators.types import Role
from bellcast.rest import audit, guards
from bellcast.rest.tenants import TenantRule

Tag = Literal[
    "Sending",
    "Live",
    "Recipients",
    "Topics",
    "Tenants",
    "Access",
    "Inbox",
    "Messages",
    "Objects",
    "Preferences",
    "Workflows",
    "Server",
    "Console",
]
Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
PARAMETER_KIND = re.compile(r"(?<=\w):\w+(?=\})")
Handler = Callable[..., Awaitable[ASGIApp]]
TOKEN = "token"  # noqa: S105 - the name of the query parameter that carries a session token


class Operation(Struct, frozen=True, kw_only=True):
    """Contract of a path. A response type is None without a body, or the media type of a body that is not JSON."""

    tag: Tag
    # In the OpenAPI document, and public. None: the name of the module or room, and of the function.
    id: str | None = None
    required_scope: guards.RequiredScope | None
    # Keys with this scope may use it too.
    other_scope: KeyScope | None = None
    # Roles of operators that may use it, if they differ from the roles with the scope.
    roles: tuple[Role, ...] | None = None
    response_types: Mapping[int, Any]
    query: Any = None
    body: Any = None
    body_types: tuple[str, ...] = ("application/json",)
    is_body_optional: bool = False
    example: Any = None
    headers: tuple[str, ...] = ()
    required_headers: tuple[str, ...] = ()
    response_headers: tuple[str, ...] = ()
    # Without those that its scope, its parameters and its body imply (`refusals` below).
    refusals: tuple[type[BellcastError], ...] = ()
    # Also recorded in the audit log for API keys and the project secret. Operations of `configure` and `admin` always
    # are.
    is_audited: bool = False
    # False: the requests of operators, which a page sends by itself, are not recorded in the audit log.
    is_recorded: bool = True
    # Operators must have typed their password in the last 10 minutes.
    is_sensitive: bool = False
    # How the operation limits callers that are restricted to tenants, if its query does not name the tenant.
    bound_by: TenantRule | None = None
    # A list that can also be exported as CSV or NDJSON, chosen by `Accept`.
    is_exported: bool = False
    # A list that can also be streamed as NDJSON, chosen by `Accept`: each item is sent as soon as it is ready.
    is_streamed: bool = False
    # Pages append a version to a script's URL (`?v=3`). Everywhere else an unknown parameter is rejected.
    any_query: bool = False

    @property
    def tenant_rule(self) -> TenantRule | None:
        """How the operation limits callers that are restricted to tenants. None: they are refused."""
        return self.bound_by or ("query" if request_body.TENANT in (self.query_names or ()) else None)

    @property
    def query_names(self) -> frozenset[str] | None:
        """The query parameters this operation accepts; None for any."""
        if self.any_query:
            return None
        names = frozenset(() if self.query is None else self.query.__struct_encode_fields__)
        return names | {TOKEN} if self.required_scope == "recipient" else names


class ApiEndpoint(Struct, frozen=True):
    """A method of a path, and the function that serves it. Paths have parameters `{key:str}`; `{name:path}` matches the
    rest of the path."""

    method: Method
    path: str
    respond: Handler
    operation: Operation

    @property
    def template(self) -> str:
        """The path with the names of its parameters, as OpenAPI writes it."""
        return PARAMETER_KIND.sub("", self.path)


def operation(method: Method, path: str, **declaration: Any) -> Callable[[Handler], ApiEndpoint]:
    """Make a function the handler of an operation, with authorization and the check of query parameters."""
    declared = Operation(**declaration)
    required_scope, allowed = declared.required_scope, declared.query_names
    is_audited = declared.is_audited or required_scope in ("configure", "admin")

    authorize = None
    if required_scope is not None:
        authorize = functools.partial(
            guards.authorize,
            required_scope=required_scope,
            roles=declared.roles,
            other_scope=declared.other_scope,
            is_sensitive=declared.is_sensitive,
            tenant_rule=declared.tenant_rule,
        )

    def declare(handler: Handler) -> ApiEndpoint:
        @functools.wraps(handler)
        async def guarded(request: request_body.ApiRequest) -> ASGIApp:
            if authorize is not None:
                request.scope["state"][request_body.AUTHORIZE] = authorize
                try:
                    await authorize(request)
                except Forbidden as refusal:
                    await audit.record_refusal(request, refusal)
                    raise
            if allowed is not None and request.scope["query_string"]:
                request_body.check_query(request, allowed)
            format = export_format(request) if declared.is_exported else None
            if format is not None:
                export = functools.partial(
                    respond_export, handler=handler, page_type=declared.response_types[200], format=format
                )
                return guards.response_for(request, await audit.recorded(request, export, is_export=True))
            return guards.response_for(
                request, await audit.recorded(request, handler, is_audited=is_audited, is_recorded=declared.is_recorded)
            )

        return ApiEndpoint(method, path, guarded, declared)

    return declare


def public_file(
    path: str,
    media_type: str,
    *refusals: type[BellcastError],
    is_cached: bool = True,
    any_query: bool = True,
    id: str | None = None,
) -> Callable[[Handler], ApiEndpoint]:
    """Make a function the handler of a file or page that needs no authentication. A browser may have a cached one (304)."""
    types = {200: media_type, 304: None} if is_cached else {200: media_type}
    declared = {"any_query": any_query, "response_types": types, "refusals": refusals, "id": id}
    return operation("GET", path, tag="Server", required_scope=None, **declared)


def refusals(endpoint: ApiEndpoint) -> list[type[BellcastError]]:
    """Return every error of an operation: the declared ones, and those that its parameters and body imply."""
    operation = endpoint.operation
    implied: list[type[BellcastError]] = [*operation.refusals, errors.TooMany]
    if operation.required_scope:
        implied += [errors.Unauthenticated, errors.Forbidden, errors.Unavailable]
    if operation.is_sensitive:
        implied.append(errors.PasswordRequired)
    if operation.required_scope and endpoint.method != "GET":
        implied.append(errors.DiskFull)
    if operation.body is not None:
        implied += [errors.BadRequest, errors.TooLarge, errors.UnsupportedMediaType, errors.Invalid]
    if not operation.any_query or "{" in endpoint.path:
        implied += [errors.BadRequest, errors.Invalid]
    return list(dict.fromkeys(implied))


# --- exports of lists

ExportFormat = Literal["csv", "ndjson"]
JSON_TYPES = frozenset({"application/json", "application/*", "*/*"})
FORMATS: Mapping[str, ExportFormat] = {
    "text/csv": "csv",
    "application/x-ndjson": "ndjson",
    "application/ndjson": "ndjson",
    "application/jsonl": "ndjson",
}
MEDIA_TYPES: Mapping[ExportFormat, str] = {"csv": "text/csv; charset=utf-8", "ndjson": request_body.NDJSON_TYPES[0]}
# Maximum rows: a spreadsheet opens as many in a few seconds.
MAX_EXPORT_ROWS = 100_000
# Roles that may export whole lists.
EXPORTERS: tuple[Role, ...] = ("owner", "developer")
# Spreadsheets interpret cells that begin with these characters as formulas, including the full-width forms of East
# Asian input.
FORMULA_STARTS = frozenset("=+-@\uff1d\uff0b\uff0d\uff20")
CONTROL_STARTS = frozenset("\t\r\n")
ListHandler = Callable[..., Awaitable[ASGIApp]]


def export_format(request: ApiRequest) -> ExportFormat | None:
    """Return the format of an export that the client prefers to JSON; None for JSON, and for HEAD, which has no
    rows."""
    accept = request_body.header(request, b"accept")
    if accept is None or request.scope["state"]["is_head"]:
        return None
    known: list[tuple[float, str]] = []
    for part in accept.lower().split(","):
        name, *parameters = map(str.strip, part.split(";"))
        quality = 0.0  # of one that is no number
        with contextlib.suppress(ValueError):
            quality = float(next((one[2:] for one in parameters if one.startswith("q=")), "1"))
        if quality and (name in FORMATS or name in JSON_TYPES):
            known.append((quality, name))
    preferred = max(known, key=lambda one: one[0], default=(0.0, ""))  # of equals the first
    return FORMATS.get(preferred[1])


async def respond_export(request: ApiRequest, handler: ListHandler, page_type: Any, format: ExportFormat) -> ASGIApp:
    """Export the list whose pages the handler returns. With `limit`, export one page of that size. The first page is
    read before the response starts, so that errors of the request get an error status."""
    caller = request.scope["state"]["caller"]
    if caller.role is not None and caller.role not in EXPORTERS:
        raise Forbidden(f"Your role, {caller.role}, does not permit exports of lists.")
    audit.note_change(request, "export", None, format)
    listed = next(field for field in msgspec.structs.fields(page_type) if get_origin(field.type) is list)
    (item_type,) = get_args(listed.type)
    name, fields = listed.encode_name, [field.encode_name for field in msgspec.structs.fields(item_type)]
    query = request_body.pairs(request.scope["query_string"])
    is_one_page = "limit" in query
    if not is_one_page:
        query["limit"] = [str(MAX_PAGE_ROWS)]

    async def read(after: str | None) -> dict[str, Any]:
        """Read the page after a cursor with the handler."""
        given = {name: one for name, one in query.items() if name != "before"} | {"after": [after]} if after else query
        text = urlencode(given, doseq=True, quote_via=quote).encode()
        scope: Any = {**request.scope, "query_string": text}
        body = bytearray()

        async def collect(message: Any) -> None:
            body.extend(message.get("body", b""))

        await (await handler(ApiRequest(scope, request.receive)))(scope, request.receive, collect)
        page: dict[str, Any] = msgspec.json.decode(body)
        return page

    def lines(items: Sequence[dict[str, Any]]) -> bytes:
        if format == "ndjson":
            return msgspec.json.Encoder().encode_lines(items)
        return _rows([[csv_cell(item.get(field)) for field in fields] for item in items])

    first = await read(None)

    async def chunks() -> AsyncIterator[bytes]:
        page, rows = first, len(first[name])
        yield _rows([fields]) if format == "csv" else b""
        yield lines(page[name])
        while not is_one_page and rows < MAX_EXPORT_ROWS and (after := page.get("next") or page.get("scanned_until")):
            page = await read(after)
            rows += len(page[name])
            yield lines(page[name])

    headers = [
        (b"content-type", MEDIA_TYPES[format].encode()),
        (b"content-disposition", f'attachment; filename="{name}.{format}"'.encode()),
        (b"cache-control", b"no-store"),
    ]
    return responses.stream(headers, chunks())


def _rows(rows: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def csv_cell(value: Any) -> str:
    """Return a JSON value as a CSV cell: text unchanged, other values as JSON. Text that a spreadsheet would interpret
    as a formula is prefixed with an apostrophe."""
    if value is None:
        return ""
    if not isinstance(value, str):
        return msgspec.json.encode(value).decode()
    is_formula = value[:1] in CONTROL_STARTS or value.lstrip()[:1] in FORMULA_STARTS
    return f"'{value}" if is_formula and value else value
