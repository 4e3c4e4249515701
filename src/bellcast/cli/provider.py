"""`bellcast provider`: lists, shows, writes, tests and deletes providers."""

from pathlib import Path
from typing import Annotated, Any

import typer

from bellcast.cli import console, objects, options
from bellcast.cli.console import CommandError

ProviderKey = Annotated[str, typer.Argument(metavar="KEY", help="The provider's key.")]
ProviderTenantOption = Annotated[
    str | None, typer.Option(metavar="TENANT", help="The tenant's own provider. Default: the project's.")
]

provider, app = options.group("provider", "List, show, write, test and delete providers.")


def _line(one: dict[str, Any]) -> str:
    state = "" if one["active"] else ", not active"
    return f"{one['key']}  {one['channel']}, {one['url']}, priority {one['priority']}{state}"


group = objects.CommandGroup(
    commands=provider,
    plural="providers",
    key="The provider's key.",
    owner="The tenant's own provider. Default: the project's.",
)
group.add_list(_line, "List the providers.")
group.add_show("Show a provider as JSON, with a masked URL.")


@provider.command(cls=options.RequestCommand)
def put(
    ctx: typer.Context,
    named: objects.FileArgument,
    tenant: ProviderTenantOption = None,
    dry_run: console.DryRunOption = False,
    json: console.JsonFlag = False,
) -> None:
    """Write a provider. Its key is KEY, else that of the file, else its name."""
    key, body = objects.read_named(named)
    with options.server(ctx, named[-1]) as client:
        written = client.providers.put(key, body, tenant=tenant, dry_run=dry_run)
    done = f"{objects.wrote(dry_run=dry_run)} {key}"
    console.json(written) if json else console.done(done, f"{written['channel']}, {written['url']}")


@provider.command(cls=options.RequestCommand)
def test(
    ctx: typer.Context,
    key: ProviderKey,
    to: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Send a test message to this address.")] = None,  # noqa: PT028  a command, not a test
    file: Annotated[Path | None, typer.Option(metavar="FILE", help="Test these values, which are not stored.")] = None,  # noqa: PT028  a command, not a test
    tenant: ProviderTenantOption = None,  # noqa: PT028  a command, not a test
) -> None:
    """Test a provider: check its credentials, or send a message."""
    values = None if file is None else objects.read_object(file)[1]
    with options.server(ctx, file) as client:
        result = client.providers.test(key, to=to, values=values, tenant=tenant)
    failed = next((one for one in result["steps"] if one["state"] == "failed"), None)
    if failed is not None:
        raise CommandError(f"{key} does not work: {failed['detail']}", failed["fix"][:1].lower() + failed["fix"][1:])
    console.done(f"{key} works")


group.add_delete("Delete a provider.")
