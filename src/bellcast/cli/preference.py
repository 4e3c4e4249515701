"""`bellcast type` and `preference`: notification types, and preferences of recipients."""

from typing import Annotated

import typer

from bellcast.cli import console, objects, options
from bellcast.cli.objects import OwnerOption

RecipientArgument = Annotated[str, typer.Argument(metavar="RECIPIENT", help="The recipient: your app's user id.")]

app = typer.Typer()
preference = options.group(app, "preference", "Show, write and delete preferences of recipients; link to their page.")


preferences = objects.CommandGroup(
    commands=preference, plural="preferences", key="The recipient: your app's user id.", key_name="RECIPIENT"
)
preferences.add_show("Show a recipient's preferences as JSON, with the effective ones.")
preferences.add_put(
    "Replace a recipient's preferences. The recipient is KEY, else the file's `key`, else its name.",
    of="the preferences of ",
)


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


types = options.group(app, "type", "List, show, write and delete notification types.")
objects.add_commands(types, "types", "notification type")
