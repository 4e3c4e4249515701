"""`bellcast replay` and `job`: retries of failures by filter or by id."""

import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bellcast.cli import console, objects, options
from bellcast.cli.console import CommandError
from bellcast.cli.objects import OwnerOption

if TYPE_CHECKING:
    from bellcast.client import Bellcast

# Poll interval: a server retries about 1,000 failures in this time, which is frequent enough for a progress bar.
POLL_INTERVAL_SECONDS = 0.25
ALL = "--all"

IdsArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[ID]...", help="Ids of messages, runs and dead jobs.", show_default=False)
]


def _filter(help: str, metavar: str) -> Any:
    return typer.Option(metavar=metavar, help=help, show_default=False)


app = typer.Typer()


@options.command(app, rich_help_panel="Send and follow")
def replay(
    client: "Bellcast",
    ids: IdsArgument = None,
    kind: Annotated[str | None, _filter("Only of this kind: message, run or job.", "KIND")] = None,
    channel: Annotated[str | None, _filter("Only messages of this channel.", "CHANNEL")] = None,
    provider: Annotated[str | None, _filter("Only messages that this provider refused.", "KEY")] = None,
    workflow: Annotated[str | None, _filter("Only runs of this workflow.", "KEY")] = None,
    job: Annotated[str | None, _filter("Only dead jobs of this kind.", "KIND")] = None,
    webhook: Annotated[str | None, _filter("Only deliveries to this webhook.", "ID")] = None,
    cause: Annotated[str | None, _filter("Only failures with this cause.", "TEXT")] = None,
    since: Annotated[str | None, _filter("Only failures created since this time.", "TIME")] = None,
    until: Annotated[str | None, _filter("Only failures created before this time.", "TIME")] = None,
    all: Annotated[bool, typer.Option(ALL, help="All failures.")] = False,
    tenant: OwnerOption = None,
    dry_run: console.DryRunOption = False,
) -> Iterator[Any]:
    """Retry failed and bounced messages, failed runs and dead jobs, and wait until all are retried."""
    fields = {
        "kind": kind,
        "channel": channel,
        "provider": provider,
        "workflow": workflow,
        "job": job,
        "webhook": webhook,
        "cause": cause,
        "since": since,
        "until": until,
    }
    given: Any = {name: value for name, value in fields.items() if value is not None}
    if [bool(ids), bool(given), all].count(True) != 1:
        raise CommandError(f"expected ids, filters, or {ALL}", "see `bellcast replay --help`", 2)
    started = client.replays.start(ids or None, all=all, tenant=tenant, dry_run=dry_run, **given)
    result = started if dry_run else _finished(client, started, tenant)
    yield result
    if dry_run:
        matched = f"{started['matched']}" if started["exact"] else f"more than {started['matched']}"
        console.done(f"Would retry {matched} failures")
        for one in started["effects"]:
            subject = one["channel"] or one["workflow"] or one["job"]
            console.out().print(console.plain(f"{one['count']}  {one['kind']}  {subject}"), markup=False)
    else:
        console.done(
            f"Retried {result['retried']} of {result['examined']}", "" if result["state"] == "done" else result["state"]
        )


def _finished(client: "Bellcast", started: dict[str, Any], tenant: str | None) -> dict[str, Any]:
    """Wait for the end of a replay and show its progress."""
    id = started["id"]
    try:
        with console.progress("Replaying") as update:
            while (replay := client.replays.get(id, tenant=tenant))["state"] == "running":
                update(replay["examined"], replay["matched"])
                threading.Event().wait(POLL_INTERVAL_SECONDS)
    except KeyboardInterrupt:
        console.note(f"The replay {id} continues; cancel it in the console, or with DELETE /v1/replays/{id}.")
        raise
    return replay


job = options.group(app, "job", "List, retry and delete jobs that failed several times in a row.")
jobs = objects.CommandGroup(commands=job, plural="jobs", key="The job's id.", key_name="ID")
jobs.add_list(
    lambda one: f"{one['id']}  {one['kind']}  {one['error'] or ''}".rstrip(),
    "List the dead jobs, with their last error.",
)
jobs.add_act("retry", "Retry a dead job, and reset its failure count.", "retry", "Would retry", "Retried")
jobs.add_delete("Delete a job. It never runs again.")
