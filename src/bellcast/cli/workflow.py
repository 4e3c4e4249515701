"""`bellcast workflow`: lists, shows, writes and deletes workflows, and cancels their runs."""

from pathlib import Path
from typing import Annotated, Any

import typer

from bellcast.cli import console, objects, options
from bellcast.cli.console import CommandError

WorkflowKey = Annotated[str, typer.Argument(metavar="KEY", help="The workflow's key.")]
TenantOption = Annotated[
    str | None, typer.Option(metavar="TENANT", help="The tenant's override. Default: the project's own.")
]
CANCEL_EPILOG = """\
[dim]Examples[/]

  bellcast workflow cancel booking-created booking-7
  bellcast workflow cancel booking-created booking-7 --to alice --dry-run
"""

workflow, app = options.group("workflow", "List, show, write and delete workflows.")


def _line(one: dict[str, Any]) -> str:
    state = "active" if one["active"] else "not active"
    return f"{one['key']}  version {one['version']}, {state}, {len(one['steps'])} steps"


group = objects.CommandGroup(
    commands=workflow,
    plural="workflows",
    key="The workflow's key.",
    owner="The tenant's override. Default: the project's own.",
)
group.add_list(_line, "List the workflows.")
group.add_show("Show a workflow as JSON.")


@workflow.command(cls=options.RequestCommand)
def put(
    ctx: typer.Context,
    named: Annotated[
        list[Path], typer.Argument(metavar="[KEY] FILE", help="A definition as JSON or YAML, after its key.")
    ],
    tenant: TenantOption = None,
    dry_run: console.DryRunOption = False,
    json: console.JsonFlag = False,
) -> None:
    """Write a workflow. Its key is KEY, else the file's `key`, else the file's name."""
    *keys, file = named
    if len(keys) > 1:
        raise CommandError(f"expected a key and one file, got {len(named)} arguments", "write the files one by one")
    body = _definition(file)
    own = body.pop("key", None)
    key = str(keys[0] if keys else own or file.stem)
    with options.server(ctx, file) as client:
        written = client.workflows.put(key, body, tenant=tenant, dry_run=dry_run)
    done = f"{objects.wrote(dry_run=dry_run)} {key}"
    console.json(written) if json else console.done(done, f"version {written['version']}")


group.add_delete("Delete a workflow. Its current runs finish.")


@workflow.command(cls=options.RequestCommand, epilog=CANCEL_EPILOG)
def cancel(
    ctx: typer.Context,
    key: WorkflowKey,
    cancel_key: Annotated[str, typer.Argument(metavar="CANCEL_KEY", help="The `cancel_key` of the triggers.")],
    to: Annotated[
        list[str] | None,
        typer.Option(metavar="RECIPIENT", help="Only the runs of this recipient; repeatable.", show_default=False),
    ] = None,
    tenant: Annotated[str | None, typer.Option(metavar="TENANT", help="The recipients' tenant.")] = None,
    dry_run: console.DryRunOption = False,
    json: console.JsonFlag = False,
) -> None:
    """Cancel the runs that were triggered with a cancel key. Their queued messages are not sent."""
    of: Any = {"to": to} if to else {}
    with options.server(ctx) as client:
        done = client.cancel(key, cancel_key, **of, tenant=tenant, dry_run=dry_run)
    verb = "Would cancel" if dry_run else "Cancelled"
    console.json(done) if json else console.done(f"{verb} {done.cancelled} runs")


def _definition(file: Path) -> dict[str, Any]:
    """Read a definition. JSON is YAML too."""
    from bellcast.kernel.errors import BadRequest
    from bellcast.kernel.yaml_text import YamlText

    try:
        value = YamlText(file.read_bytes()).value
    except OSError as error:
        raise typer.BadParameter(f"{file} cannot be read: {error.strerror}", param_hint="FILE") from None
    except BadRequest as error:
        raise CommandError(f"{file}: {error.detail}", "correct the file") from None
    if not isinstance(value, dict):
        raise CommandError(f"{file} has no steps", "write an object with steps")
    return value
