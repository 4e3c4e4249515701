"""`bellcast token`: a session token, signed here."""

from typing import Annotated

import typer

from bellcast.cli import console, options
from bellcast.cli.console import CommandError

EPILOG = """\
[dim]Examples[/]

  bellcast token alice
  bellcast token alice --ttl 8h --topic 'project.*' --role admin
  curl -H "Authorization: Bearer $(bellcast token alice)" \\
    http://127.0.0.1:8787/v1/inbox

[dim]No server is asked: the token is signed with the secret of the data folder, or of[/] BELLCAST_PROJECT[dim].
A pattern's * matches any characters.[/]
"""
# Longer than a working day is the app's to renew; a token cannot be taken back one by one.
HOUR = "1h"

app = typer.Typer()


@app.command(cls=options.with_settings("DATA"), rich_help_panel="Send and follow", epilog=EPILOG)
def token(
    ctx: typer.Context,
    recipient: Annotated[str, typer.Argument(metavar="RECIPIENT", help="Whose session it is: your app's own user id.")],
    tenant: Annotated[str, typer.Option(metavar="TENANT", help="The tenant they belong to.")] = "",
    ttl: Annotated[str, typer.Option(metavar="DURATION", help="How long it is good for: 90, 15m, 1h, 7d.")] = HOUR,
    topic: Annotated[list[str] | None, typer.Option(metavar="PATTERN", help="Topics it may follow.")] = None,
    publish: Annotated[list[str] | None, typer.Option(metavar="PATTERN", help="Topics it may publish to.")] = None,
    role: Annotated[list[str] | None, typer.Option(metavar="ROLE", help="A role they have; kept.")] = None,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="Their name; kept.")] = None,
    json: console.Json = False,
) -> None:
    """Print a session token for somebody's browser."""
    import time

    from bellcast.auth import tokens
    from bellcast.model import times
    from bellcast.settings import existing_project

    settings = options.settings(ctx)
    project = existing_project(settings)
    if project is None:
        raise CommandError(
            f"{settings.store.data} has no credentials to sign with",
            "start `bellcast serve` there once, name its folder with --data, or set BELLCAST_PROJECT",
        )
    now = time.time_ns() // 1_000_000
    expires_at = now + _milliseconds(ttl)
    signed = tokens.sign(
        project,
        recipient,
        now=now,
        expires_at=expires_at,
        tenant=tenant,
        topics=topic or (),
        publish=publish or (),
        roles=role,
        name=name,
    )
    # Whatever no server would take is told now, not when the page does not connect.
    tokens.verify(project, signed, now, settings.limits)
    told = {
        "token": signed,
        "recipient": recipient,
        "tenant": tenant or None,
        "expires_at": times.to_rfc3339(expires_at),
    }
    console.json(told) if json else print(signed)


def _milliseconds(ttl: str) -> int:
    from bellcast.model import times

    try:
        seconds = times.seconds(ttl)
    except ValueError as expected:
        raise typer.BadParameter(str(expected), param_hint="--ttl") from None
    if seconds < 1:
        raise typer.BadParameter("expected at least a second", param_hint="--ttl")
    return round(seconds * 1000)
