"""`bellcast webhook`: URLs of the app to which events are sent."""

from typing import Annotated, Any

import typer

from bellcast.cli import console, objects, options

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The id of the webhook.")]
EventOption = Annotated[
    list[str], typer.Option("--event", metavar="TYPE", help="A type such as message.bounced or message.*; repeatable.")
]
ListenerOption = Annotated[
    str | None, typer.Option(metavar="TENANT", help="The tenant; * receives all events. Default: the project's own.")
]

app = typer.Typer()
webhook = options.group(app, "webhook", "List, add, change and remove webhooks: URLs that receive events.")


def _line(one: dict[str, Any]) -> str:
    state = "" if one["active"] else f", not active: {one['last_error']}" if one["last_error"] else ", not active"
    return f"{one['id']}  {one['url']}  {','.join(one['events'])}{state}"


group = objects.CommandGroup(
    commands=webhook,
    plural="webhooks",
    key="The id of the webhook.",
    key_name="ID",
    owner="The tenant; * receives all events. Default: the project's own.",
)
group.add_list(_line, "List the webhooks.")
group.add_show("Show a webhook as JSON, without its secret.")


@webhook.command(cls=options.RequestCommand)
def create(
    ctx: typer.Context,
    endpoint: Annotated[str, typer.Argument(metavar="ENDPOINT", help="The URL that receives the events.")],
    event: EventOption,
    tenant: ListenerOption = None,
    dry_run: console.DryRunOption = False,
    json: console.JsonFlag = False,
) -> None:
    """Add a webhook and print its secret. It cannot be shown again."""
    with options.server(ctx) as client:
        created = client.webhooks.create(endpoint, event, tenant=tenant, dry_run=dry_run)
    if dry_run and not json:
        console.done(f"Would add {endpoint}")
        return
    _print_secret(created, created["id"], json=json)


@webhook.command(cls=options.RequestCommand)
def change(
    ctx: typer.Context,
    id: IdArgument,
    endpoint: Annotated[str | None, typer.Option(metavar="URL", help="The new URL that receives the events.")] = None,
    event: Annotated[
        list[str] | None, typer.Option("--event", metavar="TYPE", help="The new types; repeatable.")
    ] = None,
    active: Annotated[bool | None, typer.Option("--active/--inactive", help="Whether it receives events.")] = None,
    tenant: ListenerOption = None,
    json: console.JsonFlag = False,
) -> None:
    """Change a webhook. --active switches it back on after failures."""
    if endpoint is None and not event and active is None:
        raise typer.BadParameter("expected --endpoint, --event, --active or --inactive", param_hint="ID")
    with options.server(ctx) as client:
        changed = client.webhooks.change(id, url=endpoint, events=event or None, active=active, tenant=tenant)
    console.report(changed, f"Changed {id}", as_json=json)


@webhook.command(cls=options.RequestCommand)
def rotate(
    ctx: typer.Context,
    id: IdArgument,
    tenant: ListenerOption = None,
    dry_run: console.DryRunOption = False,
    json: console.JsonFlag = False,
) -> None:
    """Replace the secret and print the new one. Both sign for 24 hours."""
    with options.server(ctx) as client:
        rotated = client.webhooks.rotate(id, tenant=tenant, dry_run=dry_run)
    if dry_run and not json:
        console.done(f"Would rotate {id}")
        return
    _print_secret(rotated, id, json=json)


@webhook.command(cls=options.RequestCommand)
def replay(
    ctx: typer.Context,
    id: IdArgument,
    since: Annotated[str, typer.Argument(metavar="TIME", help="RFC 3339, such as 2030-01-31T08:00:00Z.")],
    tenant: ListenerOption = None,
    dry_run: console.DryRunOption = False,
    json: console.JsonFlag = False,
) -> None:
    """Deliver the events since a time again, with the same ids."""
    with options.server(ctx) as client:
        result = client.webhooks.replay(id, since, tenant=tenant, dry_run=dry_run)
    verb = "Would replay" if dry_run else "Replayed"
    console.report(result, f"{verb} {console.counted(result['replayed'], 'event')}", as_json=json)


group.add_delete("Remove a webhook.", "Removed")


def _print_secret(result: dict[str, Any], id: str, *, json: bool) -> None:
    if json:
        console.json(result)
        return
    print(result["secret"], flush=True)
    console.note(f"Webhook {id} signs with this secret. Store it now: it is not shown again.")
