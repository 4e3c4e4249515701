"""`bellcast trigger`: starts a workflow."""

from typing import Annotated

import typer

from bellcast.cli import console, options

EPILOG = """\
[dim]Examples[/]

  bellcast trigger booking-created alice --data '{"client": "Bob"}'
  bellcast trigger maintenance --to-topic admins
  bellcast trigger booking-created alice --dry-run

[dim]The secret is[/] BELLCAST_SECRET[dim], or that of the data folder[/] BELLCAST_DATA[dim].[/]
"""

app = typer.Typer()


@app.command(cls=options.with_settings("URL"), rich_help_panel="Send and follow", epilog=EPILOG)
def trigger(
    ctx: typer.Context,
    workflow: Annotated[str, typer.Argument(metavar="WORKFLOW", help="The workflow's key.")],
    to: Annotated[
        str | None, typer.Argument(metavar="[TO]", help="Your app's user id, unless an option names the audience.")
    ] = None,
    to_topic: Annotated[str | None, typer.Option(metavar="TOPIC", help="All subscribers of a topic.")] = None,
    data: Annotated[str | None, typer.Option(metavar="JSON", help="The `data` of the trigger.")] = None,
    cancel_key: Annotated[
        str | None, typer.Option(metavar="KEY", help="A key by which the runs can be cancelled.")
    ] = None,
    idempotency_key: Annotated[
        str | None, typer.Option(metavar="KEY", help="Repeating the key within 24 hours starts nothing again.")
    ] = None,
    tenant: Annotated[str | None, typer.Option(metavar="TENANT", help="The recipient's tenant.")] = None,
    dry_run: console.DryRunOption = False,
    json: console.JsonFlag = False,
) -> None:
    """Start a workflow."""
    from bellcast.cli import rest
    from bellcast.client import workflows

    if (to is None) == (to_topic is None):
        raise typer.BadParameter("expected either a recipient or --to-topic", param_hint="TO")
    request = workflows.trigger(
        workflow,
        {"topic": to_topic} if to_topic is not None else to or "",
        console.parsed_json(data, "--data"),
        cancel_key=cancel_key,
        idempotency_key=idempotency_key,
        tenant=tenant,
    )
    if dry_run:
        rest.show_plan(ctx, request, json=json)
        return
    with options.server(ctx) as client:
        started = client.sender.send(request)
    console.json(started) if json else console.done(f"Triggered {workflow}", started.run)
