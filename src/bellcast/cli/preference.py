"""`bellcast preference`: shows and writes preferences of recipients, and links to their page."""

from typing import Annotated

import typer

from bellcast.cli import console, objects, options
from bellcast.cli.objects import FileArgument, OwnerOption

RecipientArgument = Annotated[str, typer.Argument(metavar="RECIPIENT", help="The recipient: your app's user id.")]

preference, app = options.group("preference", "Show, write and delete preferences of recipients; link to their page.")


@preference.command(cls=options.RequestCommand)
def show(ctx: typer.Context, recipient: RecipientArgument, tenant: OwnerOption = None) -> None:
    """Show a recipient's preferences as JSON, with the effective ones."""
    with options.server(ctx) as client:
        console.json(client.preferences.get(recipient, tenant=tenant))


@preference.command(cls=options.RequestCommand)
def put(
    ctx: typer.Context,
    named: FileArgument,
    tenant: OwnerOption = None,
    dry_run: console.DryRunOption = False,
    json: console.JsonFlag = False,
) -> None:
    """Replace a recipient's preferences. The recipient is KEY, else the file's `key`, else its name."""
    objects.write(ctx, named, "preferences", tenant, dry_run=dry_run, json=json, of="the preferences of ")


@preference.command(cls=options.RequestCommand)
def delete(ctx: typer.Context, recipient: RecipientArgument, tenant: OwnerOption = None) -> None:
    """Delete a recipient's own preferences: the defaults apply."""
    with options.server(ctx) as client:
        client.preferences.put(recipient, {}, tenant=tenant)
    console.done(f"Deleted the preferences of {recipient}")


@preference.command(cls=options.RequestCommand)
def link(
    ctx: typer.Context,
    recipient: RecipientArgument,
    ttl: Annotated[str, typer.Option(metavar="DURATION", help="How long the link is valid.")] = "30d",
    tenant: OwnerOption = None,
) -> None:
    """Print a link to a page on which the recipient changes preferences without a login."""
    with options.server(ctx) as client:
        console.out().print(
            client.preferences.link(recipient, ttl=ttl, tenant=tenant)["url"], markup=False, soft_wrap=True
        )
