"""Exports of lists as CSV or NDJSON, chosen by `Accept`. The list's handler is called for each page, and the rows are
streamed."""

import csv
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal, get_args, get_origin
from urllib.parse import quote, urlencode

import msgspec

from bellcast.kernel.errors import Forbidden
from bellcast.kernel.http import MAX_PAGE_ROWS, ASGIApp, request_body, responses
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.operators.types import Role
from bellcast.rest import audit

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


def format_of(request: ApiRequest) -> ExportFormat | None:
    """Return the format of an export that the client prefers to JSON; None for JSON, and for HEAD, which has no
    rows."""
    accept = request_body.header(request, b"accept")
    if accept is None or request.scope["state"]["is_head"]:
        return None
    wanted = sorted(map(_media_range, accept.split(",")), key=lambda one: -one[1])
    known = (name for name, quality in wanted if quality and (name in FORMATS or name in JSON_TYPES))
    return FORMATS.get(next(known, ""))


def _media_range(text: str) -> tuple[str, float]:
    """Return a part of an Accept header with its quality."""
    name, *parameters = (part.strip().lower() for part in text.split(";"))
    quality = next((one[2:] for one in parameters if one.startswith("q=")), "1")
    try:
        return name, float(quality)
    except ValueError:
        return name, 0.0


def columns(page_type: Any) -> tuple[str, list[str]]:
    """Return the list of a page type, and the fields of its items."""
    listed = next(field for field in msgspec.structs.fields(page_type) if get_origin(field.type) is list)
    (item,) = get_args(listed.type)
    return listed.encode_name, [field.encode_name for field in msgspec.structs.fields(item)]


async def respond(request: ApiRequest, handler: ListHandler, page_type: Any, format: ExportFormat) -> ASGIApp:
    """Export the list whose pages the handler returns. With `limit`, export one page of that size. The first page is
    read before the response starts, so that errors of the request get an error status."""
    caller = request.scope["state"]["caller"]
    if caller.role is not None and caller.role not in EXPORTERS:
        raise Forbidden(f"Your role, {caller.role}, does not permit exports of lists.")
    audit.note_change(request, "export", None, format)
    name, fields = columns(page_type)
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
        return _rows([[cell(item.get(field)) for field in fields] for item in items])

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


def cell(value: Any) -> str:
    """Return a JSON value as a CSV cell: text unchanged, other values as JSON. Text that a spreadsheet would interpret
    as a formula is prefixed with an apostrophe."""
    if value is None:
        return ""
    if not isinstance(value, str):
        return msgspec.json.encode(value).decode()
    is_formula = value[:1] in CONTROL_STARTS or value.lstrip()[:1] in FORMULA_STARTS
    return f"'{value}" if is_formula and value else value
