"""`bellcast suppression`: lists, adds and removes addresses to which nothing is sent."""

from typing import Annotated

import typer

from bellcast.cli import console, objects, options
from bellcast.cli.objects import OwnerOption

ChannelArgument = Annotated[str, typer.Argument(metavar="CHANNEL", help="email, sms, push or chat.")]
AddressArgument = Annotated[str, typer.Argument(metavar="ADDRESS", help="The address.")]

suppression, app = options.group("suppression", "List, add and remove addresses to which nothing is sent.")


objects.CommandGroup(commands=suppression, plural="suppressions", key="The address.").add_list(
    lambda one: f"{one['channel']}  {one['address']}  {one['reason']}", "List suppressed addresses."
)


@suppression.command(cls=options.RequestCommand)
def put(
    ctx: typer.Context,
    channel: ChannelArgument,
    address: AddressArgument,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="The reason for the suppression.")] = "manual",
    tenant: OwnerOption = None,
    dry_run: console.DryRunOption = False,
    json: console.JsonFlag = False,
) -> None:
    """Suppress an address."""
    with options.server(ctx) as client:
        written = client.suppressions.put(channel, address, reason=reason, tenant=tenant, dry_run=dry_run)
    console.json(written) if json else console.done(f"{'Would suppress' if dry_run else 'Suppressed'} {address}")


@suppression.command(cls=options.RequestCommand)
def delete(ctx: typer.Context, channel: ChannelArgument, address: AddressArgument, tenant: OwnerOption = None) -> None:
    """Allow an address again."""
    with options.server(ctx) as client:
        client.suppressions.delete(channel, address, tenant=tenant)
    console.done(f"Allowed {address}")
