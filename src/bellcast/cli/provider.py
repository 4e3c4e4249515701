"""`bellcast provider`: lists, shows, writes, tests and deletes providers."""

import json as json_text
from pathlib import Path
from typing import Annotated, Any

import typer

from bellcast.cli import console, options
from bellcast.cli.console import CommandError

ProviderKey = Annotated[str, typer.Argument(metavar="KEY", help="The provider's key.")]
ProviderTenantOption = Annotated[
    str | None, typer.Option(metavar="TENANT", help="The tenant's own provider. Default: the project's.")
]
SETTINGS = options.with_settings("DATA", "URL")

provider = typer.Typer(cls=options.CliGroup, no_args_is_help=True)
app = typer.Typer()
app.add_typer(
    provider,
    name="provider",
    help="List, show, write, test and delete providers.",
    rich_help_panel="Send and follow",
)


@provider.command("list", cls=SETTINGS)
def list_(ctx: typer.Context, tenant: ProviderTenantOption = None, json: console.JsonFlag = False) -> None:
    """List the providers."""
    from bellcast.cli import remote

    with remote.server(options.settings(ctx)) as client:
        found: list[dict[str, Any]] = []
        after: str | None = None
        while True:
            page = client.providers.list(after=after, tenant=tenant)
            found += page["providers"]
            after = page["next"]
            if after is None:
                break
    if json:
        console.json(found)
        return
    for one in found:
        state = "" if one["active"] else ", not active"
        text = f"{one['key']}  {one['channel']}, {one['url']}, priority {one['priority']}{state}"
        console.out.print(console.plain(text), markup=False, soft_wrap=True)


@provider.command(cls=SETTINGS)
def show(ctx: typer.Context, key: ProviderKey, tenant: ProviderTenantOption = None) -> None:
    """Show a provider as JSON, with a masked URL."""
    from bellcast.cli import remote

    with remote.server(options.settings(ctx)) as client:
        console.json(client.providers.get(key, tenant=tenant))


@provider.command(cls=SETTINGS)
def put(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A provider as JSON.")],
    tenant: ProviderTenantOption = None,
    json: console.JsonFlag = False,
) -> None:
    """Write a provider. Its key is the file's `key`, else the file's name."""
    from bellcast.cli import remote

    body = _object(file)
    key = str(body.pop("key", None) or file.stem)
    with remote.server(options.settings(ctx)) as client:
        written = client.providers.put(key, body, tenant=tenant)
    console.json(written) if json else console.done(f"Wrote {key}", f"{written['channel']}, {written['url']}")


@provider.command(cls=SETTINGS)
def test(
    ctx: typer.Context,
    key: ProviderKey,
    to: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Send a test message to this address.")] = None,  # noqa: PT028  a command, not a test
    tenant: ProviderTenantOption = None,  # noqa: PT028  a command, not a test
) -> None:
    """Test a provider: check its credentials, or send a message."""
    from bellcast.cli import remote

    with remote.server(options.settings(ctx)) as client:
        result = client.providers.test(key, to=to, tenant=tenant)
    if not result["ok"]:
        raise CommandError(f"{key} does not work: {result['error']}", "correct its URL with `bellcast provider put`")
    console.done(f"{key} works")


@provider.command(cls=SETTINGS)
def delete(ctx: typer.Context, key: ProviderKey, tenant: ProviderTenantOption = None) -> None:
    """Delete a provider."""
    from bellcast.cli import remote

    with remote.server(options.settings(ctx)) as client:
        client.providers.delete(key, tenant=tenant)
    console.done(f"Deleted {key}")


def _object(file: Path) -> dict[str, Any]:
    try:
        value = json_text.loads(file.read_bytes())
    except OSError as error:
        raise typer.BadParameter(f"cannot be read: {error.strerror}", param_hint="FILE") from None
    except ValueError as error:
        raise CommandError(f"{file} is not JSON: {error}", "correct the file") from None
    if not isinstance(value, dict):
        raise CommandError(f"{file} is no object", 'write an object such as {"channel": "sms", "url": "twilio://…"}')
    return value
