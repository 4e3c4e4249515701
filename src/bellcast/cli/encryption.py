"""`bellcast encryption` and `secrets`: the key that encrypts secrets in the store, and the secrets of a running server."""

from collections.abc import Iterator
from typing import Any

import typer

from bellcast.cli import console, options
from bellcast.cli.console import CommandError
from bellcast.cli.objects import request

KEY_EPILOG = """\
[dim]The key is in[/] encryption.json [dim]in the data folder, unless BELLCAST_ENCRYPTION_KEY or BELLCAST_PROJECT is set. Keep a copy of \
the file: without it, providers and webhooks of a restored backup cannot be used.[/]
"""

app = typer.Typer()
encryption = options.group(
    app, "encryption", "Rotate the key that encrypts secrets in the store.", KEY_EPILOG, "Maintenance"
)


@encryption.command("rotate", cls=options.with_settings("DATA", "ENCRYPTION_KEY"), epilog=KEY_EPILOG)
def replace_key(ctx: typer.Context, json: console.JsonFlag = False) -> None:
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


SECRETS_EPILOG = """\
[dim]To replace a key: append the new one to BELLCAST_ENCRYPTION_KEY on all servers (old:…,new:…) and restart them; put it first and \
restart them; run this command; remove the old one when no secret uses it. Keep old keys for old backups.[/]
"""

secrets = options.group(app, "secrets", "Encrypt stored secrets with the first key.", SECRETS_EPILOG, "Maintenance")


@secrets.command(cls=options.RequestCommand, epilog=SECRETS_EPILOG)
def rotate(ctx: typer.Context, json: console.JsonFlag = False) -> None:
    """Encrypt all stored secrets with the first key of the server. Safe to interrupt and to repeat."""
    changed: dict[str, int] = {}
    with (console.err() if json else console.out()).status("Reading the secrets") as status:
        for one in _progress(ctx):
            changed[one["kind"]] = one["changed"]
            status.update(f"{one['kind']}: {one['checked']} read, {one['changed']} re-encrypted")
    usage = request(ctx, "GET", "/v1/secrets")
    if json:
        console.json({"changed": sum(changed.values()), **usage})
        return
    console.done(f"Re-encrypted {sum(changed.values())} objects")
    show_usage(usage)


@secrets.command(cls=options.RequestCommand, epilog=SECRETS_EPILOG)
def keys(ctx: typer.Context, json: console.JsonFlag = False) -> None:
    """List the keys, and the number of secrets that each has encrypted."""
    usage = request(ctx, "GET", "/v1/secrets")
    if json:
        console.json(usage)
    else:
        show_usage(usage)


def show_usage(usage: dict[str, Any]) -> None:
    for one in usage["keys"]:
        use = "encrypts" if one["is_current"] else "in use" if one["secrets"] else "not in use"
        print(f"{one['id']}\t{one['secrets']} {'secret' if one['secrets'] == 1 else 'secrets'}\t{use}", flush=True)
    if usage["unreadable"]:
        console.note(
            f"{usage['unreadable']} secrets cannot be decrypted with these keys: add the key that encrypted them."
        )


def _progress(ctx: typer.Context) -> Iterator[dict[str, Any]]:
    import httpx
    import msgspec

    from bellcast.cli.sse_follower import error_of

    with options.server(ctx) as client:
        credentials = client.sender.peer.credentials
        headers = {} if credentials is None else {"Authorization": f"Bearer {credentials.secret}"}
        try:
            with client.sender.http.stream("POST", "/v1/secrets/rotation", headers=headers) as response:
                if response.status_code != httpx.codes.OK:
                    raise error_of(response)
                for line in response.iter_lines():
                    yield msgspec.json.decode(line)
        except httpx.TransportError as error:
            raise console.CommandError(f"the connection was lost: {error}", "run the command again") from error
