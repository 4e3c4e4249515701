"""`bellcast pusher-app`: Pusher apps of a running server."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import NoneType
from typing import Annotated, Any

import typer

from bellcast.cli import options, output
from bellcast.cli.objects import every, request
from bellcast.cli.output import CommandError

EPILOG = """\
[dim]The project's own app always exists. Create more for apps with other credentials, or for tenants. Pusher's clients \
and SDKs use them unchanged.[/]
"""
EXAMPLES = """\
[dim]Examples[/]

  bellcast pusher-app create "Lead market" --origin https://leads.example.com
  bellcast pusher-app create Moved --id 1234567 --key 0a1b2c3d --secret-file -
  bellcast pusher-app test 1234567
"""

app = typer.Typer()
pusher_app = options.group(app, "pusher-app", "Create, rotate and disable Pusher apps.", EPILOG, "Server")

AppIdArgument = Annotated[str, options.argument("ID", "The app's id.")]
OptionalId = Annotated[str | None, options.argument("ID", "The app's id. Default: the project's app.")]
OriginOption = Annotated[
    list[str] | None,
    options.option("ORIGIN", "An origin whose pages may connect. Repeatable. Default: BELLCAST_ORIGINS.", "--origin"),
]


@options.command(pusher_app, "list")
def list_(client: "options.Bellcast") -> Iterator[Any]:
    """List the apps."""
    apps = every(client, "/v1/pusher-apps", "apps")
    yield apps
    for one in apps:
        name = one["name"] or ("(the project)" if one["source"] == "project" else "")
        output.show([(one["id"], one["key"], one["state"], name)])


@options.command(pusher_app)
def show(client: "options.Bellcast", id: AppIdArgument) -> None:
    """Show an app as JSON, without its secret."""
    output.json(request(client, "GET", _path(id)))


@options.command(pusher_app, epilog=EXAMPLES)
def create(
    client: "options.Bellcast",
    name: Annotated[str, options.argument("NAME", "A name to show in lists.")],
    id: Annotated[str | None, options.option("ID", "The id. Default: a random one.", "--id")] = None,
    key: Annotated[str | None, options.option("KEY", "The public key. Default: a random one.")] = None,
    secret_file: Annotated[
        Path | None, options.option("FILE", "A file with the secret, `-` for standard input. Default: a random one.")
    ] = None,
    tenant: Annotated[
        str | None, options.option("TENANT", "The tenant that its connections and events belong to.")
    ] = None,
    origin: OriginOption = None,
) -> Iterator[Any]:
    """Create an app and print its credentials. The secret cannot be shown again."""
    secret = None
    if secret_file is not None:
        try:
            secret = (sys.stdin.read() if str(secret_file) == "-" else secret_file.read_text()).strip()
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"{secret_file} cannot be read: {error}", "name a file with the secret alone") from None
    given = {"id": id, "key": key, "tenant": tenant, "secret": secret}
    body = {"name": name, "origins": origin or []} | {field: value for field, value in given.items() if value}
    yield from _show_secret(request(client, "POST", "/v1/pusher-apps", body))


@options.command(pusher_app)
def rotate(client: "options.Bellcast", id: AppIdArgument) -> Iterator[Any]:
    """Replace the secret and print the new one. The previous secret stays valid for a day."""
    yield from _show_secret(request(client, "POST", f"{_path(id)}/rotate"))


@options.command(pusher_app)
def enable(client: "options.Bellcast", id: AppIdArgument) -> None:
    """Accept connections and requests of an app again."""
    request(client, "PATCH", _path(id), {"enabled": True})
    output.done(f"Enabled {id}")


@options.command(pusher_app)
def disable(client: "options.Bellcast", id: AppIdArgument) -> None:
    """Close the connections of an app, and refuse its requests."""
    request(client, "PATCH", _path(id), {"enabled": False})
    output.done(f"Disabled {id}")


@options.command(pusher_app)
def delete(client: "options.Bellcast", id: AppIdArgument) -> None:
    """Delete an app and close its connections."""
    request(client, "DELETE", _path(id), kind=NoneType)
    output.done(f"Deleted {id}")


@options.command(pusher_app, "test")
def run_test(client: "options.Bellcast", id: OptionalId = None) -> Iterator[Any]:
    """Test an app on the public URL: a signed call, a WebSocket, a subscription, and an event back."""
    report = request(client, "POST", "/v1/settings/test", {"target": "pusher", "app": id})
    yield report
    output.show((one["state"], one["step"].replace("_", " "), one["detail"]) for one in report["steps"])
    failed = next((one for one in report["steps"] if one["state"] == "failed"), None)
    if failed is not None:
        raise CommandError(f"the step {failed['step']} failed", failed["fix"])
    output.done("Pusher connected")


def _show_secret(created: dict[str, Any]) -> Iterator[Any]:
    yield created
    # The variables of Laravel, which other frameworks follow.
    for name in ("id", "key", "secret"):
        print(f"PUSHER_APP_{name.upper()}={created[name]}", flush=True)
    output.note("The secret cannot be shown again.")


def _path(id: str) -> str:
    from bellcast.client.request import path

    return path("pusher-apps", id)
