"""`bellcast message`: lists, shows and retries messages."""

from typing import Annotated, Any

import typer

from bellcast.cli import console, objects, options
from bellcast.cli.objects import OwnerOption

MessageFilter = Annotated[
    str | None, typer.Option(metavar="VALUE", help="Only messages with this value.", show_default=False)
]

message, app = options.group("message", "List, show and retry e-mails and other messages.")


@message.command("list", cls=options.RequestCommand)
def list_(
    ctx: typer.Context,
    channel: MessageFilter = None,
    state: MessageFilter = None,
    recipient: MessageFilter = None,
    notification: MessageFilter = None,
    workflow: MessageFilter = None,
    limit: console.AppLimitOption = 50,
    tenant: OwnerOption = None,
    json: console.JsonFlag = False,
) -> None:
    """List messages, the newest first."""
    import msgspec

    with options.server(ctx) as client:
        page = client.messages.list(
            channel=channel,
            state=state,
            recipient=recipient,
            notification=notification,
            workflow=workflow,
            limit=limit,
            tenant=tenant,
        )
    found: list[dict[str, Any]] = [msgspec.to_builtins(one) for one in page.messages]
    objects.show_list(found, _line, json=json, is_of_tenant=True)


def _line(one: dict[str, Any]) -> str:
    title = next((text for name in ("subject", "title", "text") if (text := one["content"].get(name))), "")
    first_line = str(title).partition("\n")[0][:60]
    return f"{one['id']}  {one['created_at'][:16]}  {one['channel']}  {one['state']}  {one['to']}  {first_line}"


objects.CommandGroup(commands=message, plural="messages", key="The message's id.", key_name="ID").add_show(
    "Show a message with its content and its attempts as JSON."
)


@message.command(cls=options.RequestCommand)
def release(
    ctx: typer.Context,
    id: Annotated[str, typer.Argument(metavar="ID", help="The message's id.")],
    tenant: OwnerOption = None,
    dry_run: console.DryRunOption = False,
    json: console.JsonFlag = False,
) -> None:
    """Send a simulated message for real."""
    with options.server(ctx) as client:
        done = client.messages.release(id, tenant=tenant, dry_run=dry_run)
    console.json(done) if json else console.done(f"{'Would release' if dry_run else 'Released'} {id}")


@message.command(cls=options.RequestCommand)
def retry(
    ctx: typer.Context,
    id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="The message's id. Default: all failed messages.")
    ] = None,
    channel: Annotated[
        str | None, typer.Option(metavar="CHANNEL", help="Without ID: only messages of this channel.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Without ID: only messages created since this time.")
    ] = None,
    tenant: OwnerOption = None,
    dry_run: console.DryRunOption = False,
    json: console.JsonFlag = False,
) -> None:
    """Retry messages that failed or bounced."""
    from bellcast.client.messages import RetryFilter

    of: RetryFilter = {}
    if channel is not None:
        of["channel"] = channel
    if since is not None:
        of["since"] = since
    with options.server(ctx) as client:
        if id is not None:
            if of:
                raise console.CommandError(
                    "--channel and --since select among all messages", "leave out ID, or both options", 2
                )
            done = client.messages.retry(id, tenant=tenant, dry_run=dry_run)
        else:
            done = client.messages.retry_all(tenant=tenant, dry_run=dry_run, **of)
    verb = "Would queue" if dry_run else "Queued"
    console.json(done) if json else console.done(f"{verb} {done.retried} again")
