"""`bellcast key`: API keys of a running server."""

from typing import Annotated, Any

import typer

from bellcast.cli import console, options
from bellcast.cli.objects import every, request

EPILOG = """\
[dim]A key grants access to the server's paths like the project secret, within its scopes:[/] send [dim]notifications and \
events,[/] read [dim]sent notifications and presence,[/] manage [dim]everything else of the app, including session tokens for any \
recipient,[/] observe [dim]metrics and the live feed,[/] configure [dim]settings,[/] admin [dim]operators and the audit log,[/] agent [dim]the tools of agents.[/]
"""
EXAMPLES = """\
[dim]Examples[/]

  bellcast key create "booking service" --scope send
  bellcast key create backoffice --scope read,manage
  bellcast key create helper --agent
  BELLCAST_SECRET=$(bellcast key create ci --scope send --json | jq -r .key)
"""

# What an agent may do by default: read.
AGENT_SCOPES = ("agent", "read", "observe")
AGENT_TTL = "90d"

app = typer.Typer()
key = options.group(app, "key", "Create, list and revoke API keys.", EPILOG)


@key.command(cls=options.RequestCommand, epilog=EXAMPLES)
def create(
    ctx: typer.Context,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A name to show in lists, such as the app that uses the key.")
    ],
    scope: Annotated[
        list[str] | None,
        typer.Option(metavar="send|read|manage|…", help="A permission of the key. Repeatable.", show_default=False),
    ] = None,
    agent: Annotated[
        bool, typer.Option("--agent", help="A key for an agent: the scopes agent, read and observe, for 90 days.")
    ] = False,
    ttl: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="When the key ends. Default: when it is revoked.", show_default=False),
    ] = None,
    tenant: options.TenantsOption = None,
    json: console.JsonFlag = False,
) -> None:
    """Create a key and print it. It cannot be shown again."""
    from bellcast.auth.keys import SCOPES

    scopes = [
        part.strip()
        for value in [*(scope or ()), *(AGENT_SCOPES if agent else ())]
        for part in value.split(",")
        if part.strip()
    ]
    unknown = [name for name in scopes if name not in SCOPES]
    if unknown or not scopes:
        got = unknown[0] if unknown else "nothing"
        raise typer.BadParameter(f"expected one or more of {', '.join(SCOPES)}, got {got}", param_hint="--scope")
    body = {"name": name, "scopes": scopes, "tenants": tenant or None, "ttl": ttl or (AGENT_TTL if agent else None)}
    created = request(ctx, "POST", "/v1/keys", body)
    if json:
        console.json(created)
        return
    print(created["key"], flush=True)
    console.note(
        f"Key {created['id']} has the scopes {', '.join(created['scopes'])}{_bound(created)}{_until(created)}. Store it now: it is not "
        "shown again."
    )


@key.command("list", cls=options.RequestCommand)
def list_(ctx: typer.Context, json: console.JsonFlag = False) -> None:
    """List all keys, including revoked ones."""
    keys = every(ctx, "/v1/keys", "keys")
    if json:
        console.json(keys)
    elif not keys:
        console.note("No keys exist: create one with `bellcast key create NAME --scope send`.")
    else:
        _show(keys)


@key.command(cls=options.RequestCommand)
def revoke(
    ctx: typer.Context,
    id: Annotated[str, typer.Argument(metavar="ID", help="The key's id from `bellcast key list`.")],
    json: console.JsonFlag = False,
) -> None:
    """Revoke a key. It is rejected from now on."""
    from bellcast.client.request import path

    request(ctx, "DELETE", path("keys", id))
    if json:
        console.json({"revoked": id})
    else:
        console.done(f"Key {id} was revoked.")


def _bound(key: dict[str, Any]) -> str:
    return f" in {', '.join(key['tenants'])}" if key.get("tenants") else ""


def _until(key: dict[str, Any]) -> str:
    return f" until {key['expires_at'][:10]}" if key.get("expires_at") else ""


def _state(key: dict[str, Any]) -> str:
    if key.get("revoked_at"):
        return f"revoked {key['revoked_at'][:10]}"
    return f"used {key['used_at'][:10]}" if key.get("used_at") else "not used"


def _show(keys: list[dict[str, Any]]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    for heading in ("ID", "NAME", "SCOPES", "CREATED", ""):
        table.add_column(heading, no_wrap=heading != "NAME")
    for key in keys:
        row = (
            key["id"],
            Text(console.plain(key["name"])),
            ",".join(key["scopes"]) + _bound(key),
            key["created_at"][:10],
            _state(key),
        )
        table.add_row(*row, style="dim strike" if key.get("revoked_at") else None)
    console.out().print(table)
