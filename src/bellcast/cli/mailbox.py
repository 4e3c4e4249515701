"""`bellcast mailbox`: a link to the page of simulated messages."""

from typing import Annotated

import typer

from bellcast.cli import console, options

app = typer.Typer()


@app.command(cls=options.RequestCommand, rich_help_panel="Send and follow")
def mailbox(
    ctx: typer.Context,
    ttl: Annotated[str, typer.Option(metavar="DURATION", help="How long the link is valid.")] = "1d",
    tenant: Annotated[str | None, typer.Option(metavar="TENANT", help="The tenant.")] = None,
    json: console.JsonFlag = False,
) -> None:
    """Print a link to a page with all messages that were stored instead of sent."""
    with options.server(ctx) as client:
        link = client.messages.mailbox(ttl=ttl, tenant=tenant)
    console.json(link) if json else console.out().print(link["url"], markup=False, soft_wrap=True)
