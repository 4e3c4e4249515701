"""`bellcast operator`: operators of the console of a running server."""

from typing import Annotated

import typer

from bellcast.cli import console, options
from bellcast.cli.rest import every, request

EPILOG = """\
[dim]Operators sign in to the console at[/] /console[dim]. Owners can do everything. Developers can do everything except manage \
operators, read the audit log, erase data and create keys and tokens that open inboxes. Support can read content, which is recorded, and send, \
retry and close one at a time. Viewers see metrics, and lists without content.[/]
"""

operator, app = options.group("operator", "Set up the console, and manage its operators.", EPILOG, "Server")

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The operator's name, such as an e-mail address.")]

RoleOption = Annotated[
    str, typer.Option("--role", metavar="owner|developer|support|viewer", help="The operator's role.")
]


@operator.command("setup-code", cls=options.RequestCommand)
def setup_code(ctx: typer.Context, json: console.JsonFlag = False) -> None:
    """Print a one-time link that creates the first owner. It is valid for a day."""
    from bellcast.settings import address

    created, settings = request(ctx, "POST", "/v1/setup-codes"), options.settings(ctx)
    url = address.setup_link(settings, address.url(settings), created["code"])
    if json:
        console.json({"url": url})
    else:
        print(url, flush=True)


@operator.command("list", cls=options.RequestCommand)
def list_(ctx: typer.Context, json: console.JsonFlag = False) -> None:
    """List the operators with their roles."""
    operators = every(ctx, "/v1/operators", "operators")
    if json:
        console.json(operators)
    elif not operators:
        console.note(
            "The console has no operator: `bellcast operator setup-code` prints a link that creates the first."
        )
    else:
        for one in operators:
            print(f"{one['name']}\t{one['role']}\t{','.join(one['tenants'] or ['*'])}", flush=True)


@operator.command(cls=options.RequestCommand)
def create(
    ctx: typer.Context,
    name: NameArgument,
    role: RoleOption = "viewer",
    tenant: options.TenantsOption = None,
    json: console.JsonFlag = False,
) -> None:
    """Create an operator. The command prompts for the first password."""
    body = {"name": name, "role": role, "tenants": tenant or None, "password": _prompt()}
    created = request(ctx, "POST", "/v1/operators", body)
    if json:
        console.json(created)
    else:
        console.done(f"Operator {name} was created with the role {role}.")


@operator.command(cls=options.RequestCommand)
def passwd(ctx: typer.Context, name: NameArgument, json: console.JsonFlag = False) -> None:
    """Change an operator's password and end its sessions. The command prompts for the password."""
    from bellcast.client.request import path

    id = _id_of(ctx, name)
    request(ctx, "PATCH", path("operators", id), {"password": _prompt()})
    if json:
        console.json({"changed": id})
    else:
        console.done(f"The password of {name} was changed.")


@operator.command("reset-mfa", cls=options.RequestCommand)
def reset_mfa(ctx: typer.Context, name: NameArgument, json: console.JsonFlag = False) -> None:
    """Remove an operator's authenticator app, recovery codes and passkeys, for example after a lost phone."""
    from bellcast.client.request import path

    id = _id_of(ctx, name)
    request(ctx, "DELETE", path("operators", id) + "/mfa")
    if json:
        console.json({"reset": id})
    else:
        console.done(f"{name} signs in without a code. The next sign-in may require a new authenticator app.")


@operator.command("end-sessions", cls=options.RequestCommand)
def end_sessions(ctx: typer.Context, name: NameArgument, json: console.JsonFlag = False) -> None:
    """End all sessions of an operator. The operator can sign in again."""
    from bellcast.client.request import path

    id = _id_of(ctx, name)
    request(ctx, "DELETE", path("operators", id) + "/sessions")
    if json:
        console.json({"ended": id})
    else:
        console.done(f"All sessions of {name} have ended.")


def _id_of(ctx: typer.Context, name: str) -> str:
    from bellcast.cli.console import CommandError

    operators = every(ctx, "/v1/operators", "operators")
    id: str | None = next((one["id"] for one in operators if one["name"] == name), None)
    if id is None:
        raise CommandError(f"no operator has the name {name}", "`bellcast operator list` lists them")
    return id


def _prompt() -> str:
    # Not an option: arguments are visible to other users of the machine, and stay in the shell's history.
    result: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return result
