"""`bellcast workflow`: lists, shows, writes, simulates and deletes workflows, and cancels their runs."""

import json as json_text
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from bellcast.cli import console, objects, options

WorkflowKey = Annotated[str, typer.Argument(metavar="KEY", help="The workflow's key.")]
TenantOption = Annotated[
    str | None, typer.Option(metavar="TENANT", help="The tenant's override. Default: the project's own.")
]
CANCEL_EPILOG = """\
[dim]Examples[/]

  bellcast workflow cancel booking-created booking-7
  bellcast workflow cancel booking-created booking-7 --to alice --dry-run
"""

# Fields of a simulation that no other option sets.
MORE_FIELDS = frozenset({"actor", "events", "results", "digest", "throttled", "preferences"})
SIMULATE_EPILOG = """\
[dim]Examples[/]

  bellcast workflow simulate booking alice --data '{"client": "Bob"}'
  bellcast workflow simulate booking alice --event bell:seen:10m
  bellcast workflow simulate booking alice bob --at 2026-06-10T22:00:00Z
  bellcast workflow simulate booking alice --file booking.yaml
  bellcast workflow simulate order alice --fields '{"results":{"tax":9}}'
"""

workflow, app = options.group("workflow", "List, show, write, simulate and delete workflows.")


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
    named: objects.FileArgument,
    tenant: TenantOption = None,
    dry_run: console.DryRunOption = False,
    json: console.JsonFlag = False,
) -> None:
    """Write a workflow. Its key is KEY, else that of the file, else its name."""
    key, body = objects.read_named(named)
    with options.server(ctx, named[-1]) as client:
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


@workflow.command(cls=options.with_settings("URL"), epilog=SIMULATE_EPILOG)
def simulate(
    ctx: typer.Context,
    key: WorkflowKey,
    to: Annotated[list[str], typer.Argument(metavar="RECIPIENT...", help="Up to 10 of your app's user ids.")],
    data: Annotated[str | None, typer.Option(metavar="JSON", help="The `data` of the trigger.")] = None,
    event: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STEP:EVENT[:AFTER]",
            help="What happens to the item or the message of a step, after its start; repeatable.",
            show_default=False,
        ),
    ] = None,
    at: Annotated[str | None, typer.Option(metavar="TIME", help="The time of the trigger. Default: now.")] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="A definition as JSON or YAML. Default: the draft, else the current version."
        ),
    ] = None,
    fields: Annotated[
        str | None,
        typer.Option(metavar="JSON", help="Other fields of the request: results, digest, throttled, preferences."),
    ] = None,
    tenant: Annotated[str | None, typer.Option(metavar="TENANT", help="The recipients' tenant.")] = None,
    json: console.JsonFlag = False,
) -> None:
    """Show what a workflow would do, and why. Nothing is sent or stored."""
    more = {} if fields is None else console.parsed_json(fields, "--fields")
    if not isinstance(more, dict) or not more.keys() <= MORE_FIELDS:
        raise typer.BadParameter(f"expected an object with {', '.join(sorted(MORE_FIELDS))}", param_hint="--fields")
    events = [*more.pop("events", ()), *map(_event, event or ())]
    definition = None if file is None else objects.read_object(file)[1]
    with options.server(ctx, *([] if file is None else [file])) as client:
        found = client.workflows.simulate(
            key,
            to,
            console.parsed_json(data, "--data"),
            values=definition,
            at=at,
            events=events or None,
            tenant=tenant,
            **more,
        )
    if json:
        console.json(found)
        return
    for text in _simulated(found):
        console.out().print(console.plain(text), markup=False, soft_wrap=True)


def _event(text: str) -> dict[str, Any]:
    step, _, rest = text.partition(":")
    name, _, after = rest.partition(":")
    if not step or not name:
        raise typer.BadParameter(f"expected STEP:EVENT or STEP:EVENT:AFTER, got {text}", param_hint="--event")
    return {"step": step, "event": name, **({"after": after} if after else {})}


def _simulated(simulation: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of a simulation: for each recipient, its steps with their times in its zone, and why."""
    for number, run in enumerate(simulation["recipients"]):
        zone = ZoneInfo(run["timezone"])

        def local(text: str, zone: ZoneInfo = zone) -> str:
            return f"{datetime.fromisoformat(text).astimezone(zone):%Y-%m-%d %H:%M:%S}"

        if number:
            yield ""
        end = f" at {local(run['ends_at'])}" if run["ends_at"] else ""
        yield f"{run['recipient']}: {run['state'].replace('_', ' ')}{end} ({run['timezone']})"
        width = max((len(f"{step['step']}  {step['type']}") for step in run["path"]), default=0)
        for step in run["path"]:
            yield f"  {local(step['at'])}  {step['step']}  {step['type']}".ljust(25 + width) + _outcome(step, local)
            indent = " " * (25 + width)
            for one in step["conditions"]:
                values = ", ".join(f"{path} is {json_text.dumps(value)}" for path, value in one["values"].items())
                yield f"{indent}{'holds' if one['result'] else 'does not hold'}: {values}"
            content = step["content"] or {}
            if title := next((content[name] for name in ("subject", "title", "text") if content.get(name)), None):
                yield f"{indent}“{title}”"
            if step["missing"]:
                yield f"{indent}without a value: {', '.join(step['missing'])}"
    if simulation["truncated"]:
        yield "The simulation ended at its limit of time, CPU time or size: later steps are missing."


def _outcome(step: dict[str, Any], local: Callable[[str], str]) -> str:
    """Return what a step did."""
    parts = [f"{step['state']}{': ' + step['reason'] if step['reason'] else ''}"]
    if step["until"]:
        parts.append(f"until {local(step['until'])}")
    if step["branch"] is not None:
        parts.append("the branch else" if step["branch"] == "else" else f"branch {step['branch'] + 1}")
    if step["assumed"]:
        parts.append("not called: its result is assumed to be {}")
    if step["decision"]:
        parts.append(step["decision"]["text"])
    return ", ".join(parts)
