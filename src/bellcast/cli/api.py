"""`bellcast api`: a request to the REST API, for operations without a separate command."""

import sys
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import parse_qs

import typer

from bellcast.cli import console, objects, options

EPILOG = """\
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


@app.command(cls=options.RequestCommand, rich_help_panel="Server", epilog=EPILOG)
def api(
    ctx: typer.Context,
    method: Annotated[str, typer.Argument(metavar="METHOD", help="GET, POST, PUT, PATCH or DELETE.")],
    path: Annotated[str, typer.Argument(metavar="PATH", help="A path of the server, with its query.")],
    body: Annotated[
        str | None,
        typer.Option(metavar="JSON", help="The body: JSON, or @FILE. @- reads standard input.", show_default=False),
    ] = None,
    accept: Annotated[str, typer.Option(metavar="TYPE", help="The format of the response.")] = JSON,
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
