"""`bellcast replay` and `job`: retries of failures by filter or by id."""

import threading
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from bellcast.cli import console, objects, options
from bellcast.cli.console import CommandError
from bellcast.cli.objects import OwnerOption

# Poll interval: a server retries about 1,000 failures in this time, which is frequent enough for a progress bar.
POLL_INTERVAL_SECONDS = 0.25
ALL = "--all"
FILTERS = ("kind", "channel", "provider", "workflow", "job", "webhook", "cause", "since", "until")

IdsArgument = Annotated[list[str] | None, options.argument("[ID]...", "Ids of messages, runs and dead jobs.")]


app = typer.Typer()


@options.command(app, rich_help_panel="Send and follow")
def replay(
    client: "options.Bellcast",
    ids: IdsArgument = None,
    kind: Annotated[str | None, options.option("KIND", "Only of this kind: message, run or job.")] = None,
    channel: Annotated[str | None, options.option("CHANNEL", "Only messages of this channel.")] = None,
    provider: Annotated[str | None, options.option("KEY", "Only messages that this provider refused.")] = None,
    workflow: Annotated[str | None, options.option("KEY", "Only runs of this workflow.")] = None,
    job: Annotated[str | None, options.option("KIND", "Only dead jobs of this kind.")] = None,
    webhook: Annotated[str | None, options.option("ID", "Only deliveries to this webhook.")] = None,
    cause: Annotated[str | None, options.option("TEXT", "Only failures with this cause.")] = None,
    since: Annotated[str | None, options.option("TIME", "Only failures created since this time.")] = None,
    until: Annotated[str | None, options.option("TIME", "Only failures created before this time.")] = None,
    all: Annotated[bool, typer.Option(ALL, help="All failures.")] = False,
    tenant: OwnerOption = None,
    dry_run: console.DryRunOption = False,
) -> Iterator[Any]:
    """Retry failed and bounced messages, failed runs and dead jobs, and wait until all are retried."""
    values = (kind, channel, provider, workflow, job, webhook, cause, since, until)
    given: Any = {name: value for name, value in zip(FILTERS, values, strict=True) if value is not None}
    if [bool(ids), bool(given), all].count(True) != 1:
        raise CommandError(f"expected ids, filters, or {ALL}", "see `bellcast replay --help`", 2)
    result = client.replays.start(ids or None, all=all, tenant=tenant, dry_run=dry_run, **given)
    if not dry_run:
        id = result["id"]
        try:
            with console.progress("Replaying") as update:
                while (result := client.replays.get(id, tenant=tenant))["state"] == "running":
                    update(result["examined"], result["matched"])
                    threading.Event().wait(POLL_INTERVAL_SECONDS)
        except KeyboardInterrupt:
            console.note(f"The replay {id} continues; cancel it in the console, or with DELETE /v1/replays/{id}.")
            raise
    yield result
    if dry_run:
        matched = f"{result['matched']}" if result["exact"] else f"more than {result['matched']}"
        console.done(f"Would retry {matched} failures")
        for one in result["effects"]:
            subject = one["channel"] or one["workflow"] or one["job"]
            console.out().print(console.plain(f"{one['count']}  {one['kind']}  {subject}"), markup=False)
    else:
        console.done(
            f"Retried {result['retried']} of {result['examined']}", "" if result["state"] == "done" else result["state"]
        )


job = options.group(app, "job", "List, retry and delete jobs that failed several times in a row.")
jobs = objects.CommandGroup(commands=job, plural="jobs", key="The job's id.", key_name="ID")
jobs.add_list(
    lambda one: f"{one['id']}  {one['kind']}  {one['error'] or ''}".rstrip(),
    "List the dead jobs, with their last error.",
)
jobs.add_act("retry", "Retry a dead job, and reset its failure count.", "retry", "Would retry", "Retried")
jobs.add_delete("Delete a job. It never runs again.")
