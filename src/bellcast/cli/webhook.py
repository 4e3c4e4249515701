"""`bellcast webhook`: URLs of the app to which events are sent."""

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from bellcast.cli import objects, options, output

IdArgument = Annotated[str, options.argument("ID", "The id of the webhook.")]
EventOption = Annotated[
    list[str], options.option("TYPE", "A type such as message.bounced or message.*; repeatable.", "--event")
]
ListenerOption = Annotated[
    str | None, options.option("TENANT", "The tenant; * receives all events. Default: the project's own.")
]

app = typer.Typer()
webhook = options.group(app, "webhook", "List, add, change and remove webhooks: URLs that receive events.")


group = objects.CommandGroup(
    commands=webhook,
    plural="webhooks",
    key="The id of the webhook.",
    key_name="ID",
    owner="The tenant; * receives all events. Default: the project's own.",
)
group.add_list(
    lambda one: (
        f"{one['id']}  {one['url']}  {','.join(one['events'])}"
        + ("" if one["active"] else ", not active")
        + (f": {one['last_error']}" if one["last_error"] and not one["active"] else "")
    ),
    "List the webhooks.",
)
group.add_show("Show a webhook as JSON, without its secret.")


@options.command(webhook)
def create(
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


@options.command(webhook)
def change(
    client: "options.Bellcast",
    id: IdArgument,
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


@options.command(webhook)
def rotate(
    client: "options.Bellcast", id: IdArgument, tenant: ListenerOption = None, dry_run: output.DryRunOption = False
) -> Iterator[Any]:
    """Replace the secret and print the new one. Both sign for 24 hours."""
    rotated = client.webhooks.rotate(id, tenant=tenant, dry_run=dry_run)
    yield rotated
    output.done(f"Would rotate {id}") if dry_run else _print_secret(rotated, id)


@options.command(webhook)
def replay(
    client: "options.Bellcast",
    id: IdArgument,
    since: Annotated[str, options.argument("TIME", "RFC 3339, such as 2030-01-31T08:00:00Z.")],
    tenant: ListenerOption = None,
    dry_run: output.DryRunOption = False,
) -> Iterator[Any]:
    """Deliver the events since a time again, with the same ids."""
    result = client.webhooks.replay(id, since, tenant=tenant, dry_run=dry_run)
    yield result
    output.done(f"{'Would replay' if dry_run else 'Replayed'} {output.counted(result['replayed'], 'event')}")


group.add_delete("Remove a webhook.", "Removed")


def _print_secret(result: dict[str, Any], id: str) -> None:
    print(result["secret"], flush=True)
    output.note(f"Webhook {id} signs with this secret. Store it now: it is not shown again.")
