"""`bellcast job`: lists, retries and deletes dead jobs."""

from typing import Annotated

import typer

from bellcast.cli import console, objects, options
from bellcast.cli.objects import OwnerOption

JobId = Annotated[str, typer.Argument(metavar="ID", help="The job's id.")]

job, app = options.group("job", "List, retry and delete jobs that failed several times in a row.")


@job.command("list", cls=options.RequestCommand)
def list_(ctx: typer.Context, tenant: OwnerOption = None, json: console.JsonFlag = False) -> None:
    """List the dead jobs, with their last error."""
    from bellcast.cli import remote

    with remote.server(options.settings(ctx)) as client:
        found = objects.every_page(client.jobs.list, "jobs", tenant)
    objects.show_list(found, lambda one: f"{one['id']}  {one['kind']}  {one['error'] or ''}".rstrip(), json=json)


@job.command(cls=options.RequestCommand)
def retry(ctx: typer.Context, id: JobId, tenant: OwnerOption = None, dry_run: console.DryRunOption = False) -> None:
    """Retry a dead job, and reset its failure count."""
    from bellcast.cli import remote

    with remote.server(options.settings(ctx)) as client:
        client.jobs.retry(id, tenant=tenant, dry_run=dry_run)
    console.done(f"{'Would retry' if dry_run else 'Retried'} {id}")


@job.command(cls=options.RequestCommand)
def delete(ctx: typer.Context, id: JobId, tenant: OwnerOption = None) -> None:
    """Delete a job. It never runs again."""
    from bellcast.cli import remote

    with remote.server(options.settings(ctx)) as client:
        client.jobs.delete(id, tenant=tenant)
    console.done(f"Deleted {id}")
