"""`bellcast api`, `requests` and `feed`: requests to the REST API, and what the server has recently done."""

import contextlib
import sys
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import parse_qs

import typer

from bellcast.cli import console, objects, options

API_EPILOG = """\
[dim]Examples[/]

  bellcast api GET "/v1/connections?tenant=*&state=closed"
  bellcast api DELETE /v1/recipients/alice/sessions
  bellcast api PUT /v1/tenants/acme --body '{"name": "Acme"}'
  bellcast api POST /v1/events --body @event.json
  bellcast api GET /v1/messages --accept text/csv > messages.csv

[dim]The paths are in the REST reference, and at[/] /docs [dim]of the server.[/]
"""
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
JSON = "application/json"
# An export has up to 100,000 rows.
TIMEOUT_SECONDS = 60.0

app = typer.Typer()
OnlyTenant = Annotated[str | None, options.option("TENANT", "Only this tenant.")]


@app.command(cls=options.RequestCommand, rich_help_panel="Server", epilog=API_EPILOG)
def api(
    ctx: typer.Context,
    method: Annotated[str, options.argument("METHOD", "GET, POST, PUT, PATCH or DELETE.")],
    path: Annotated[str, options.argument("PATH", "A path of the server, with its query.")],
    body: Annotated[str | None, options.option("JSON", "The body: JSON, or @FILE. @- reads standard input.")] = None,
    accept: Annotated[str, options.option("TYPE", "The format of the response.")] = JSON,
) -> None:
    """Send a request to the REST API, for operations without a separate command."""
    import msgspec

    from bellcast.client.request import HttpRequest

    if method.upper() not in METHODS:
        raise typer.BadParameter(f"expected {', '.join(METHODS)}, got {method}", param_hint="METHOD")
    if not path.startswith("/") or path.startswith("//"):
        raise typer.BadParameter(f"expected a path such as /v1/connections, got {path}", param_hint="PATH")
    route, _, query = path.partition("?")
    params: dict[str, Any] = parse_qs(query, keep_blank_values=True)
    headers = {"Accept": accept} | ({} if body is None else {"Content-Type": JSON})
    content = None
    if body is not None:
        text = objects.read_text(Path(body[1:]), "--body") if body.startswith("@") else body
        console.parsed_json(text, "--body")
        content = text.encode()
    with options.server(ctx) as client:
        # The response itself is the result.
        request = HttpRequest(method.upper(), route, lambda one: one, params, headers, content, timeout=TIMEOUT_SECONDS)
        response = client.sender.send(request)
        if not response.content:
            console.note(f"The response is {response.status}, without a body.")
        elif response.headers.get("content-type", "").partition(";")[0] == JSON:
            print(msgspec.json.format(response.content, indent=2).decode())
        elif sys.stdout.isatty():
            for line in response.content.decode(errors="replace").splitlines():
                print(console.plain(line))
        else:
            sys.stdout.buffer.write(response.content)


FEED_EPILOG = """\
[dim]Examples[/]

  bellcast feed
  bellcast feed --kind refused --last 50
  bellcast feed --recipient alice --json | jq .detail

[dim]With --json, each line is one event. Secrets are redacted. Ctrl-C stops it.[/]
"""
REQUESTS_EPILOG = """\
[dim]Examples[/]

  bellcast requests --status 4xx
  bellcast requests --route "POST /v1/notifications" --json
"""


@app.command(cls=options.RequestCommand, rich_help_panel="Server", epilog=FEED_EPILOG)
def feed(
    ctx: typer.Context,
    kind: Annotated[
        list[str] | None, options.option("KIND", "Only this kind, such as refused or publish. Repeatable.")
    ] = None,
    tenant: OnlyTenant = None,
    recipient: Annotated[str | None, options.option("KEY", "Only this recipient.")] = None,
    topic: Annotated[str | None, options.option("TOPIC", "Only this topic.")] = None,
    connection: Annotated[str | None, options.option("ID", "Only this connection.")] = None,
    text: Annotated[str | None, options.option("TEXT", "Only events that contain this text.")] = None,
    last: Annotated[int, options.option("NUMBER", "Start with recent events.", "--last", "-n", min=0, max=200)] = 20,
    json: console.JsonFlag = False,
) -> None:
    """Watch requests, sends, events and connections of the server live."""
    import msgspec

    from bellcast.cli import sse_follower
    from bellcast.client.request import drop_none

    params = drop_none(tenant=tenant, recipient=recipient, topic=topic, connection=connection, text=text, last=last)
    params["kind"] = kind or []
    with (
        contextlib.suppress(KeyboardInterrupt),
        options.server(ctx) as client,
        sse_follower.stream(client, "GET", "/v1/feed", params) as response,
    ):
        for name, fields, _ in sse_follower.frames(response.iter_raw()):
            if json:
                print(msgspec.json.encode({"event": name, **fields}).decode(), flush=True)
            elif name == "skipped":
                console.note(f"{fields['count']} events were omitted: there were too many.")
            elif name == "end":
                raise console.CommandError(f"the server ended the feed: {fields['detail']}", "run the command again")
            else:
                who = " ".join(filter(None, (fields["tenant"], fields.get("recipient"), fields.get("topic"))))
                parts = (fields["at"][11:19], f"{name:<10}", fields["text"], f"({who})" if who else "")
                console.show(["  ".join(filter(None, parts))])


@options.command(app, rich_help_panel="Server", epilog=REQUESTS_EPILOG)
def requests(
    client: "options.Bellcast",
    status: Annotated[str | None, options.option("STATUS", "Only this status, or a class such as 4xx.")] = None,
    route: Annotated[str | None, options.option("ROUTE", "Only this route, such as /v1/notifications.")] = None,
    key: Annotated[str | None, options.option("KEY", "Only requests with this API key.")] = None,
    id: Annotated[str | None, options.option("ID", "Only the request with this X-Request-Id.")] = None,
    tenant: OnlyTenant = None,
    limit: console.LimitOption = 50,
    json: console.JsonFlag = False,
) -> None:
    """List recent requests of the server, with the reasons of refusals."""
    import msgspec

    wanted: dict[str, Any] = {"status": status, "route": route, "key": key, "id": id, "tenant": tenant, "limit": limit}
    listed = objects.request(client, "GET", "/v1/requests", **wanted)
    if json:
        for one in listed["requests"]:
            print(msgspec.json.encode(one).decode(), flush=True)
        return
    if not listed["requests"]:
        console.note("No recent request matches. Each node lists its own, from memory.")
    for one in listed["requests"]:
        errors = "; ".join(f"{error['field']} {error['message']}" for error in one["errors"])
        reason = errors or one["detail"] or one["code"] or ""
        line = f"{one['at'][11:19]}  {one['status']}  {one['ms']:>7} ms  {one['method']} {one['path']}  {reason}"
        console.show([line.rstrip()])
