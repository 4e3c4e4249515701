"""`bellcast token`: signs a session token locally."""

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

[dim]The token is signed locally with the secret of the data folder or of[/] BELLCAST_PROJECT[dim], without a server.
A pattern's * matches any characters.[/]
"""
# Default lifetime. Short, since a single token cannot be revoked.
DEFAULT_TTL = "1h"

app = typer.Typer()


@app.command(cls=options.with_settings("DATA"), rich_help_panel="Send and follow", epilog=EPILOG)
def token(
    ctx: typer.Context,
    recipient: Annotated[str, typer.Argument(metavar="RECIPIENT", help="The recipient: your app's user id.")],
    tenant: Annotated[str, typer.Option(metavar="TENANT", help="The recipient's tenant.")] = "",
    ttl: Annotated[str, typer.Option(metavar="DURATION", help="Lifetime: 90, 15m, 1h, 7d.")] = DEFAULT_TTL,
    topic: Annotated[
        list[str] | None, typer.Option(metavar="PATTERN", help="Topics the recipient may follow. Repeatable.")
    ] = None,
    publish: Annotated[
        list[str] | None, typer.Option(metavar="PATTERN", help="Topics the recipient may publish to. Repeatable.")
    ] = None,
    role: Annotated[
        list[str] | None, typer.Option(metavar="ROLE", help="A role, stored in the recipient's record. Repeatable.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="The name, stored in the recipient's record.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Member of the app since: epoch seconds or RFC 3339, stored in the record."),
    ] = None,
    json: console.JsonFlag = False,
) -> None:
    """Print a session token for a browser or another client."""
    import time

    from bellcast.auth import tokens
    from bellcast.kernel import times
    from bellcast.settings import existing_project

    settings = options.settings(ctx)
    project = existing_project(settings)
    if project is None:
        raise CommandError(
            f"{settings.store.data} has no credentials to sign with",
            "start `bellcast serve` with this folder once, pass the server's folder with --data, or set BELLCAST_PROJECT",
        )
    now = time.time_ns() // 1_000_000
    try:
        seconds = times.seconds(ttl)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--ttl") from None
    if not 1 <= seconds <= tokens.MAX_TTL_SECONDS:
        raise typer.BadParameter("expected a lifetime between 1 second and 30 days", param_hint="--ttl")
    expires_at = now + round(seconds * 1000)
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
        since=None if since is None else _epoch_seconds(since),
    )
    # Reports values that a server would reject now, instead of when the page connects.
    tokens.verify(project, signed, now, settings.limits)
    result = {
        "token": signed,
        "recipient": recipient,
        "tenant": tenant or None,
        "expires_at": times.to_rfc3339(expires_at),
    }
    console.json(result) if json else print(signed)


def _epoch_seconds(time: str) -> float:
    import math
    from datetime import datetime

    try:
        seconds = float(time)
    except ValueError:
        seconds = math.nan
    if math.isfinite(seconds):
        return seconds
    try:
        moment = datetime.fromisoformat(time)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise typer.BadParameter("expected epoch seconds or a time such as 2026-01-31T12:00:00Z", param_hint="--since")
    return moment.timestamp()
