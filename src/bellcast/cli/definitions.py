"""`bellcast workflow`, `trigger`, `run`, `schedule`, `source`, `template`, `type` and `webhook`: what the app defines, and the starts and
runs of workflows."""

import json as json_text
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from bellcast.cli import objects, options, output
from bellcast.cli.objects import DataOption, OwnerOption

WorkflowKey = Annotated[str, options.argument("KEY", "The workflow's key.")]
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

app = typer.Typer()
workflow = options.group(app, "workflow", "List, show, write, simulate and delete workflows.")


workflows = objects.CommandGroup(
    commands=workflow,
    plural="workflows",
    key="The workflow's key.",
    owner="The tenant's override. Default: the project's own.",
)
workflows.add_list(
    lambda one: (
        f"{one['key']}  version {one['version']}, {'active' if one['active'] else 'not active'}, {output.counted(len(one['steps']), 'step')}"
    ),
    "List the workflows.",
)
workflows.add_show("Show a workflow as JSON.")
workflows.add_put(
    "Write a workflow. Its key is KEY, else that of the file, else its name.",
    detail=lambda written: f"version {written['version']}",
)
workflows.add_delete("Delete a workflow. Its current runs finish.")


@options.command(workflow, epilog=CANCEL_EPILOG)
def cancel(
    client: "options.Bellcast",
    key: WorkflowKey,
    cancel_key: Annotated[str, options.argument("CANCEL_KEY", "The `cancel_key` of the triggers.")],
    to: Annotated[list[str] | None, options.option("RECIPIENT", "Only the runs of this recipient; repeatable.")] = None,
    tenant: Annotated[str | None, options.option("TENANT", "The recipients' tenant.")] = None,
    dry_run: output.DryRunOption = False,
) -> Iterator[Any]:
    """Cancel the runs that were triggered with a cancel key. Their queued messages are not sent."""
    of: Any = {"to": to} if to else {}
    done = client.cancel(key, cancel_key, **of, tenant=tenant, dry_run=dry_run)
    yield done
    output.done(f"{'Would cancel' if dry_run else 'Cancelled'} {output.counted(done.cancelled, 'run')}")


@options.command(workflow, cls=options.with_settings("URL"), epilog=SIMULATE_EPILOG)
def simulate(
    client: "options.Bellcast",
    key: WorkflowKey,
    to: Annotated[list[str], options.argument("RECIPIENT...", "Up to 10 of your app's user ids.")],
    data: Annotated[str | None, options.option("JSON", "The `data` of the trigger.")] = None,
    event: Annotated[
        list[str] | None,
        options.option(
            "STEP:EVENT[:AFTER]", "What happens to the item or the message of a step, after its start; repeatable."
        ),
    ] = None,
    at: Annotated[str | None, options.option("TIME", "The time of the trigger. Default: now.")] = None,
    file: Annotated[
        Path | None,
        options.option("FILE", "A definition as JSON or YAML. Default: the draft, else the current version."),
    ] = None,
    fields: Annotated[
        str | None, options.option("JSON", "Other fields of the request: results, digest, throttled, preferences.")
    ] = None,
    tenant: Annotated[str | None, options.option("TENANT", "The recipients' tenant.")] = None,
) -> Iterator[Any]:
    """Show what a workflow would do, and why. Nothing is sent or stored."""
    more = {} if fields is None else output.parsed_json(fields, "--fields")
    if not isinstance(more, dict) or not more.keys() <= MORE_FIELDS:
        raise typer.BadParameter(f"expected an object with {', '.join(sorted(MORE_FIELDS))}", param_hint="--fields")
    events = [*more.pop("events", ())]
    for text in event or ():
        step, _, rest = text.partition(":")
        name, _, after = rest.partition(":")
        if not step or not name:
            raise typer.BadParameter(f"expected STEP:EVENT or STEP:EVENT:AFTER, got {text}", param_hint="--event")
        events.append({"step": step, "event": name, **({"after": after} if after else {})})
    definition = None if file is None else objects.read_object(file)[1]
    found = client.workflows.simulate(
        key,
        to,
        output.parsed_json(data, "--data"),
        values=definition,
        at=at,
        events=events or None,
        tenant=tenant,
        **more,
    )
    yield found
    output.show(_simulated(found))


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
            parts = [f"{step['state']}{': ' + step['reason'] if step['reason'] else ''}"]
            if step["until"]:
                parts.append(f"until {local(step['until'])}")
            if step["branch"] is not None:
                parts.append("the branch else" if step["branch"] == "else" else f"branch {step['branch'] + 1}")
            if step["assumed"]:
                parts.append("not called: its result is assumed to be {}")
            if step["decision"]:
                parts.append(step["decision"]["text"])
            yield f"  {local(step['at'])}  {step['step']}  {step['type']}".ljust(25 + width) + ", ".join(parts)
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


TRIGGER_EPILOG = """\
[dim]Examples[/]

  bellcast trigger booking-created alice --data '{"client": "Bob"}'
  bellcast trigger maintenance --to-topic admins
  bellcast trigger booking-created alice --dry-run

[dim]The secret is[/] BELLCAST_SECRET[dim], or that of the data folder[/] BELLCAST_DATA[dim].[/]
"""


@options.command(app, cls=options.with_settings("URL"), rich_help_panel="Send and follow", epilog=TRIGGER_EPILOG)
def trigger(
    client: "options.Bellcast",
    workflow: Annotated[str, options.argument("WORKFLOW", "The workflow's key.")],
    to: Annotated[
        str | None, options.argument("[TO]", "Your app's user id, unless an option names the audience.")
    ] = None,
    to_topic: Annotated[str | None, options.option("TOPIC", "All subscribers of a topic.")] = None,
    data: Annotated[str | None, options.option("JSON", "The `data` of the trigger.")] = None,
    cancel_key: Annotated[str | None, options.option("KEY", "A key by which the runs can be cancelled.")] = None,
    idempotency_key: Annotated[
        str | None, options.option("KEY", "Repeating the key within 24 hours starts nothing again.")
    ] = None,
    tenant: Annotated[str | None, options.option("TENANT", "The recipient's tenant.")] = None,
    dry_run: output.DryRunOption = False,
) -> Iterator[Any]:
    """Start a workflow."""
    from bellcast.client import workflows

    if (to is None) == (to_topic is None):
        raise typer.BadParameter("expected either a recipient or --to-topic", param_hint="TO")
    request = workflows.trigger(
        workflow,
        {"topic": to_topic} if to_topic is not None else to or "",
        output.parsed_json(data, "--data"),
        cancel_key=cancel_key,
        idempotency_key=idempotency_key,
        tenant=tenant,
    )
    if dry_run:
        yield from objects.show_plan(client, request)
        return
    started = client.sender.send(request)
    yield started
    output.done(f"Triggered {workflow}", started.run)


RunFilter = Annotated[str | None, options.option("VALUE", "Only runs with this value.")]

RUN_EPILOG = """\
[dim]Examples[/]

  bellcast run list --workflow booking-created --state failed
  bellcast run list --workflow booking --step mail --step-state skipped
  bellcast run list --trigger 01890a5d-ac96-774b-bcce-b302099a8057 --json
"""

run = options.group(app, "run", "List, show, cancel and retry runs of workflows.")


runs = objects.CommandGroup(commands=run, plural="runs", key="The run's id.", key_name="ID")
runs.add_search(
    lambda one: (
        f"{one['id']}  {one['workflow']}  {one['recipient']}  {one['state']}"
        + (f", {one['reason']}" if one["reason"] else "")
    ),
    "List runs, the newest first.",
    {
        **dict.fromkeys(("workflow", "recipient", "state", "trigger", "channel", "provider"), RunFilter),
        "step": Annotated[str | None, options.option("KEY", "Only runs that reached this step.")],
        "step_state": Annotated[
            str | None, options.option("STATE", "Only runs in which the step is done, waiting, skipped or failed.")
        ],
    },
    RUN_EPILOG,
)
runs.add_show("Show a run with its steps as JSON.")


@options.command(run, "cancel")
def cancel_run(
    client: "options.Bellcast",
    id: Annotated[str, options.argument("ID", "The id of a run, or of a trigger: all its runs.")],
    tenant: OwnerOption = None,
) -> None:
    """Cancel a run, or all runs of a trigger. Their queued messages are not sent."""
    client.runs.cancel(id, tenant=tenant)
    output.done(f"Cancelled {id}")


runs.add_act("retry", "Retry a failed run from the step that failed.", "retry", "Would retry", "Retried")


schedule = options.group(app, "schedule", "List, show, write, fire and delete schedules.")
schedules = objects.add_commands(schedule, "schedules", "schedule")
schedules.add_act("run", "Fire a schedule now, in addition to its times.", "run", "Would fire", "Fired")


@options.command(schedule, "next")
def following(
    client: "options.Bellcast",
    key: Annotated[str, options.argument("KEY", "The schedule's key.")],
    count: Annotated[int, options.option("NUMBER", "How many times.", min=1, max=100)] = 10,
    tenant: OwnerOption = None,
) -> Iterator[Any]:
    """Print the next times of a schedule, in UTC."""
    times = client.schedules.next(key, count=count, tenant=tenant)["times"]
    yield times
    output.show(times)


source = options.group(app, "source", "List, show, write and delete event sources.")
objects.add_commands(source, "sources", "event source")

# `--data` are the variables; the data folder is BELLCAST_DATA.
WITH_DATA = options.with_settings("URL")
TemplateKey = Annotated[str, options.argument("KEY", "The template's key.")]

template = options.group(app, "template", "List, show, write, import, preview, test and delete templates.")
objects.add_commands(template, "templates", "template")


@options.command(template, cls=WITH_DATA)
def preview(
    client: "options.Bellcast",
    key: TemplateKey,
    data: DataOption = None,
    recipient: Annotated[str | None, options.option("RECIPIENT", "Render for this recipient.")] = None,
    locale: Annotated[str | None, options.option("LOCALE", "Render in this language, such as de-AT.")] = None,
    tenant: OwnerOption = None,
) -> None:
    """Render a template as JSON, with the variables that have no value."""
    variables = output.parsed_json(data, "--data")
    output.json(client.templates.preview(key, variables, recipient=recipient, locale=locale, tenant=tenant))


@options.command(template, "import")
def import_email(
    client: "options.Bellcast",
    file: Annotated[
        Path, options.argument("FILE", "MJML or HTML, such as React Email writes; - reads standard input.")
    ],
) -> None:
    """Convert an e-mail of another tool to a template as JSON, for `put`. What was removed is on standard error; nothing is
    written."""
    source = objects.read_text(file)
    imported = client.templates.import_email(source, "mjml" if "<mjml" in source else "html")
    for one in imported["findings"]:
        line = f"line {one['line']}: " if one["line"] else ""
        output.note(f"{one['severity']}: {line}{one['message']}")
    output.json({"email": imported["part"]})


@options.command(template, "test", cls=WITH_DATA)
def send_test(
    client: "options.Bellcast",
    key: TemplateKey,
    channel: Annotated[str, options.argument("CHANNEL", "email, sms, push or chat.")],
    to: Annotated[str, options.argument("RECIPIENT", "The recipient.")],
    data: DataOption = None,
    tenant: OwnerOption = None,
) -> Iterator[Any]:
    """Send a test message to a recipient, regardless of preferences."""
    variables = output.parsed_json(data, "--data")
    sent = client.templates.test(key, channel, to, variables, tenant=tenant)
    yield sent
    done = "Sent" if sent["simulated"] is None else "Simulated, not sent"
    output.done(f"{done} to {to}", str(sent["message"]))


notification_types = options.group(app, "type", "List, show, write and delete notification types.")
objects.add_commands(notification_types, "types", "notification type")


WebhookId = Annotated[str, options.argument("ID", "The id of the webhook.")]
EventOption = Annotated[
    list[str], options.option("TYPE", "A type such as message.bounced or message.*; repeatable.", "--event")
]
ListenerOption = Annotated[
    str | None, options.option("TENANT", "The tenant; * receives all events. Default: the project's own.")
]

webhook = options.group(app, "webhook", "List, add, change and remove webhooks: URLs that receive events.")


webhooks = objects.CommandGroup(
    commands=webhook,
    plural="webhooks",
    key="The id of the webhook.",
    key_name="ID",
    owner="The tenant; * receives all events. Default: the project's own.",
)
webhooks.add_list(
    lambda one: (
        f"{one['id']}  {one['url']}  {','.join(one['events'])}"
        + ("" if one["active"] else ", not active")
        + (f": {one['last_error']}" if one["last_error"] and not one["active"] else "")
    ),
    "List the webhooks.",
)
webhooks.add_show("Show a webhook as JSON, without its secret.")


@options.command(webhook, "create")
def create_webhook(
    client: "options.Bellcast",
    endpoint: Annotated[str, options.argument("ENDPOINT", "The URL that receives the events.")],
    event: EventOption,
    tenant: ListenerOption = None,
    dry_run: output.DryRunOption = False,
) -> Iterator[Any]:
    """Add a webhook and print its secret. It cannot be shown again."""
    created = client.webhooks.create(endpoint, event, tenant=tenant, dry_run=dry_run)
    yield created
    output.done(f"Would add {endpoint}") if dry_run else _print_secret(created, created["id"])


@options.command(webhook, "change")
def change_webhook(
    client: "options.Bellcast",
    id: WebhookId,
    endpoint: Annotated[str | None, options.option("URL", "The new URL that receives the events.")] = None,
    event: Annotated[list[str] | None, options.option("TYPE", "The new types; repeatable.", "--event")] = None,
    active: Annotated[bool | None, typer.Option("--active/--inactive", help="Whether it receives events.")] = None,
    tenant: ListenerOption = None,
) -> Iterator[Any]:
    """Change a webhook. --active switches it back on after failures."""
    if endpoint is None and not event and active is None:
        raise typer.BadParameter("expected --endpoint, --event, --active or --inactive", param_hint="ID")
    yield client.webhooks.change(id, url=endpoint, events=event or None, active=active, tenant=tenant)
    output.done(f"Changed {id}")


@options.command(webhook, "rotate")
def rotate_webhook(
    client: "options.Bellcast", id: WebhookId, tenant: ListenerOption = None, dry_run: output.DryRunOption = False
) -> Iterator[Any]:
    """Replace the secret and print the new one. Both sign for 24 hours."""
    rotated = client.webhooks.rotate(id, tenant=tenant, dry_run=dry_run)
    yield rotated
    output.done(f"Would rotate {id}") if dry_run else _print_secret(rotated, id)


@options.command(webhook, "replay")
def replay_events(
    client: "options.Bellcast",
    id: WebhookId,
    since: Annotated[str, options.argument("TIME", "RFC 3339, such as 2030-01-31T08:00:00Z.")],
    tenant: ListenerOption = None,
    dry_run: output.DryRunOption = False,
) -> Iterator[Any]:
    """Deliver the events since a time again, with the same ids."""
    result = client.webhooks.replay(id, since, tenant=tenant, dry_run=dry_run)
    yield result
    output.done(f"{'Would replay' if dry_run else 'Replayed'} {output.counted(result['replayed'], 'event')}")


webhooks.add_delete("Remove a webhook.", "Removed")


def _print_secret(result: dict[str, Any], id: str) -> None:
    print(result["secret"], flush=True)
    output.note(f"Webhook {id} signs with this secret. Store it now: it is not shown again.")
