"""`bellcast encryption`: the key that encrypts secrets in the store."""

import typer

from bellcast.cli import console, options
from bellcast.cli.console import CommandError

EPILOG = """\
[dim]The key is in[/] encryption.json [dim]in the data folder, unless BELLCAST_ENCRYPTION_KEY or BELLCAST_PROJECT is set. Keep a copy of \
the file: without it, providers and webhooks of a restored backup cannot be used.[/]
"""

encryption, app = options.group(
    "encryption", "Rotate the key that encrypts secrets in the store.", EPILOG, "Maintenance"
)


@encryption.command(cls=options.with_settings("DATA", "ENCRYPTION_KEY"), epilog=EPILOG)
def rotate(ctx: typer.Context, json: console.JsonFlag = False) -> None:
    """Generate a new key. At its next start, the server re-encrypts all stored secrets with it."""
    from bellcast.settings import encryption_keys, existing_project

    settings = options.settings(ctx)
    if existing_project(settings) is None:
        raise CommandError(
            f"{settings.store.data} is not the data folder of a server", "pass the server's folder with --data"
        )
    file = encryption_keys.rotate(settings)
    if json:
        console.json({"file": str(file)})
    else:
        console.done(f"Wrote a new key to {file};", "restart the server to use it, and keep a copy of the file")
