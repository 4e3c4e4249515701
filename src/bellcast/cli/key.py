"""`bellcast key`: API keys of a running server."""

from typing import Annotated, Any

import typer

from bellcast.cli import console, options

EPILOG = """\
[dim]A key opens the server's paths as the project secret does, within its scopes:[/] send [dim]notifications and \
events,[/] read [dim]what was sent and who is there,[/] manage [dim]everything else, session tokens for any recipient included.[/]
"""
EXAMPLES = """\
[dim]Examples[/]

  bellcast key create "booking service" --scope send
  bellcast key create backoffice --scope read,manage
  BELLCAST_SECRET=$(bellcast key create ci --scope send --json | jq -r .key)
"""

app = typer.Typer(cls=options.Group)
key = typer.Typer(cls=options.Group, epilog=EPILOG, help="Create, list and revoke API keys.")
app.add_typer(key, name="key", rich_help_panel="Send and follow")

asks = options.with_settings("DATA", "URL")


@key.callback(invoke_without_command=True)
def alone(ctx: typer.Context) -> None:
    """Help, when it is not said what to do."""
    if ctx.invoked_subcommand is None:
        ctx.get_help()  # rich prints it


@key.command(cls=asks, epilog=EXAMPLES)
def create(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who will use it, for the list.")],
    scope: Annotated[list[str], typer.Option(metavar="send|read|manage", help="What it may do. Several: repeat it.")],
    json: console.Json = False,
) -> None:
    """Make a key. Its text is printed this once."""
    from bellcast.auth.keys import SCOPES

    scopes = [part.strip() for given in scope for part in given.split(",") if part.strip()]
    unknown = [one for one in scopes if one not in SCOPES]
    if unknown or not scopes:
        got = unknown[0] if unknown else "nothing"
        raise typer.BadParameter(f"expected one or more of {', '.join(SCOPES)}, got {got}", param_hint="--scope")
    made = _ask(ctx, "POST", "/v1/keys", {"name": name, "scopes": scopes})
    if json:
        console.json(made)
        return
    print(made["key"], flush=True)
    console.note(f"Key {made['id']} may {', '.join(made['scopes'])}. Keep it now: it is not shown again.")


@key.command("list", cls=asks)
def list_(ctx: typer.Context, json: console.Json = False) -> None:
    """List the keys, revoked ones too."""
    found = _ask(ctx, "GET", "/v1/keys")
    if json:
        console.json(found["keys"])
    elif not found["keys"]:
        console.note("No keys yet: make one with `bellcast key create NAME --scope send`.")
    else:
        _show(found["keys"])


@key.command(cls=asks)
def revoke(
    ctx: typer.Context,
    id: Annotated[str, typer.Argument(metavar="ID", help="The id of `bellcast key list`.")],
    json: console.Json = False,
) -> None:
    """Revoke a key: it is refused from now on."""
    from bellcast.client.request import path

    _ask(ctx, "DELETE", path("keys", id))
    if json:
        console.json({"revoked": id})
    else:
        console.done(f"Key {id} is revoked.")


def _ask(ctx: typer.Context, method: str, where: str, body: dict[str, Any] | None = None) -> Any:
    """The server's answer; None if it has nothing to say."""
    import msgspec

    from bellcast.cli import remote
    from bellcast.client.request import HttpRequest, HttpResponse

    def decode(answer: HttpResponse) -> Any:
        return msgspec.json.decode(answer.content) if answer.content else None

    content = None if body is None else msgspec.json.encode(body)
    headers = {"Content-Type": "application/json"}
    with remote.server(options.settings(ctx)) as bell:
        return bell.sender.send(HttpRequest(method, where, decode, headers=headers, content=content))


def _show(keys: list[dict[str, Any]]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    for heading in ("ID", "NAME", "SCOPES", "CREATED", ""):
        table.add_column(heading, no_wrap=heading != "NAME")
    for one in keys:
        state = f"revoked {one['revoked_at'][:10]}" if one.get("revoked_at") else ""
        row = (one["id"], Text(console.plain(one["name"])), ",".join(one["scopes"]), one["created_at"][:10], state)
        table.add_row(*row, style="dim strike" if state else None)
    console.out.print(table)
