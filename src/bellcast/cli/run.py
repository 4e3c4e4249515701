"""`bellcast run`: lists, shows, cancels and retries runs of workflows."""

from typing import Annotated, Any

import typer

from bellcast.cli import console, objects, options
from bellcast.cli.objects import OwnerOption

RunFilter = Annotated[str | None, typer.Option(metavar="VALUE", help="Only runs with this value.", show_default=False)]

EPILOG = """\
[dim]Examples[/]

  bellcast run list --workflow booking-created --state failed
  bellcast run list --workflow booking --step mail --step-state skipped
  bellcast run list --trigger 01890a5d-ac96-774b-bcce-b302099a8057 --json
"""

run, app = options.group("run", "List, show, cancel and retry runs of workflows.")


@run.command("list", cls=options.RequestCommand, epilog=EPILOG)
def list_(
    ctx: typer.Context,
    workflow: RunFilter = None,
    recipient: RunFilter = None,
    state: RunFilter = None,
    trigger: RunFilter = None,
    channel: RunFilter = None,
    provider: RunFilter = None,
    step: Annotated[
        str | None, typer.Option(metavar="KEY", help="Only runs that reached this step.", show_default=False)
    ] = None,
    step_state: Annotated[
        str | None,
        typer.Option(
            metavar="STATE", help="Only runs in which the step is done, waiting, skipped or failed.", show_default=False
        ),
    ] = None,
    limit: console.AppLimitOption = 50,
    tenant: OwnerOption = None,
    json: console.JsonFlag = False,
) -> None:
    """List runs, the newest first."""
    import msgspec

    with options.server(ctx) as client:
        page = client.runs.list(
            workflow=workflow,
            recipient=recipient,
            state=state,
            trigger=trigger,
            channel=channel,
            provider=provider,
            step=step,
            step_state=step_state,
            limit=limit,
            tenant=tenant,
        )
    found: list[dict[str, Any]] = [msgspec.to_builtins(one) for one in page.runs]
    objects.show_list(found, _line, json=json, is_of_tenant=True)


group = objects.CommandGroup(commands=run, plural="runs", key="The run's id.", key_name="ID")
group.add_show("Show a run with its steps as JSON.")


@run.command(cls=options.RequestCommand)
def cancel(
    ctx: typer.Context,
    id: Annotated[str, typer.Argument(metavar="ID", help="The id of a run, or of a trigger: all its runs.")],
    tenant: OwnerOption = None,
) -> None:
    """Cancel a run, or all runs of a trigger. Their queued messages are not sent."""
    with options.server(ctx) as client:
        client.runs.cancel(id, tenant=tenant)
    console.done(f"Cancelled {id}")


group.add_retry("Retry a failed run from the step that failed.")


def _line(one: dict[str, Any]) -> str:
    reason = f", {one['reason']}" if one["reason"] else ""
    return f"{one['id']}  {one['workflow']}  {one['recipient']}  {one['state']}{reason}"
