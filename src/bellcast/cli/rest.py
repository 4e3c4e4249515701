"""REST requests for which the Python client has no method, and dry runs of sends."""

import dataclasses
from typing import TYPE_CHECKING, Any

import typer

from bellcast.cli import console, objects, options

if TYPE_CHECKING:  # imported when a command runs, not for --help
    from bellcast.client.request import HttpRequest


def request(
    ctx: typer.Context, method: str, path: str, body: dict[str, Any] | None = None, **params: str | int | None
) -> Any:
    """Send a request with the parameters that are not None. Return the decoded response; None if it is empty."""
    import msgspec

    from bellcast.client.request import HttpRequest, HttpResponse, reads

    def decode(response: HttpResponse) -> Any:
        return reads(dict[str, Any])(response) if response.content else None

    content = None if body is None else msgspec.json.encode(body)
    headers = {"Content-Type": "application/json"}
    query = {name: value for name, value in params.items() if value is not None}
    with options.server(ctx) as client:
        return client.sender.send(HttpRequest(method, path, decode, query, headers, content))


def every(ctx: typer.Context, path: str, rows: str) -> list[dict[str, Any]]:
    """Return the items of all pages of a list."""
    page = request(ctx, "GET", path)
    found: list[dict[str, Any]] = page[rows]
    while page["next"] is not None:
        page = request(ctx, "GET", path, after=page["next"])
        found += page[rows]
    return found


def show_plan(ctx: typer.Context, send: "HttpRequest[Any]", *, json: bool) -> None:
    """Send the request as a dry run, and print what it would decide for each channel."""
    from bellcast.client.request import reads

    planned = dataclasses.replace(send, params={**send.params, "dry_run": "true"}, decode=reads(dict[str, Any]))
    with options.server(ctx) as client:
        plan = client.sender.send(planned)
    if json:
        console.json(plan)
        return
    objects.show_list(plan["plan"], _line, json=False)
    count = plan["recipients"]
    console.done("Would send to an audience" if count is None else f"Would send to {count} recipients")


def _line(one: dict[str, Any]) -> str:
    at = f" at {one['at']}" if one["at"] else ""
    rule = f", {one['rule']}" if one["rule"] else ""
    return f"{one['recipient']}  {one['channel']}  {one['outcome']}{at}{rule}"
