"""`bellcast schedule`: lists, shows, writes, fires and deletes schedules."""

from typing import Annotated

import typer

from bellcast.cli import console, objects, options
from bellcast.cli.objects import OwnerOption

ScheduleKey = Annotated[str, typer.Argument(metavar="KEY", help="The schedule's key.")]

schedule, app = options.group("schedule", "List, show, write, fire and delete schedules.")
objects.add_commands(schedule, "schedules", "schedule")


@schedule.command(cls=options.RequestCommand)
def run(
    ctx: typer.Context,
    key: ScheduleKey,
    tenant: OwnerOption = None,
    dry_run: console.DryRunOption = False,
    json: console.JsonFlag = False,
) -> None:
    """Fire a schedule now, in addition to its times."""
    with options.server(ctx) as client:
        response = client.schedules.run(key, tenant=tenant, dry_run=dry_run)
    console.json(response) if json else console.done(f"{'Would fire' if dry_run else 'Fired'} {key}")


@schedule.command("next", cls=options.RequestCommand)
def following(
    ctx: typer.Context,
    key: ScheduleKey,
    count: Annotated[int, typer.Option(metavar="NUMBER", min=1, max=100, help="How many times.")] = 10,
    tenant: OwnerOption = None,
    json: console.JsonFlag = False,
) -> None:
    """Print the next times of a schedule, in UTC."""
    with options.server(ctx) as client:
        times = client.schedules.next(key, count=count, tenant=tenant)["times"]
    if json:
        console.json(times)
        return
    for moment in times:
        console.out().print(moment, markup=False)
