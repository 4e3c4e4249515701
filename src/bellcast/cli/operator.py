"""`bellcast operator` and `audit`: operators of the console of a running server, and the log of their actions."""

from collections.abc import Callable
from typing import Annotated, Any

import typer

from bellcast.cli import console, options
from bellcast.cli.console import CommandError
from bellcast.cli.objects import every, request

EPILOG = """\
[dim]Operators sign in to the console at[/] /console[dim]. Owners can do everything. Developers can do everything except manage \
operators, read the audit log, erase data and create keys and tokens that open inboxes. Support can read content, which is recorded, and send, \
retry and close one at a time. Viewers see metrics, and lists without content.[/]
"""

app = typer.Typer()
operator = options.group(app, "operator", "Set up the console, and manage its operators.", EPILOG, "Server")

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The operator's name, such as an e-mail address.")]

RoleOption = Annotated[
    str, typer.Option("--role", metavar="owner|developer|support|viewer", help="The operator's role.")
]


@operator.command("setup-code", cls=options.RequestCommand)
def setup_code(ctx: typer.Context, json: console.JsonFlag = False) -> None:
    """Print a one-time link that creates the first owner. It is valid for a day."""
    from bellcast.settings import credentials

    created, settings = request(ctx, "POST", "/v1/setup-codes"), options.settings(ctx)
    url = credentials.setup_link(settings, credentials.url(settings), created["code"])
    console.json({"url": url}) if json else print(url, flush=True)


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
    console.report(created, f"Operator {name} was created with the role {role}.", as_json=json)


@operator.command(cls=options.RequestCommand)
def passwd(ctx: typer.Context, name: NameArgument, json: console.JsonFlag = False) -> None:
    """Change an operator's password and end its sessions. The command prompts for the password."""
    id = _of_operator(ctx, "PATCH", name, body=lambda: {"password": _prompt()})
    console.report({"changed": id}, f"The password of {name} was changed.", as_json=json)


@operator.command("reset-mfa", cls=options.RequestCommand)
def reset_mfa(ctx: typer.Context, name: NameArgument, json: console.JsonFlag = False) -> None:
    """Remove an operator's authenticator app, recovery codes and passkeys, for example after a lost phone."""
    id = _of_operator(ctx, "DELETE", name, "/mfa")
    done = f"{name} signs in without a code. The next sign-in may require a new authenticator app."
    console.report({"reset": id}, done, as_json=json)


@operator.command("end-sessions", cls=options.RequestCommand)
def end_sessions(ctx: typer.Context, name: NameArgument, json: console.JsonFlag = False) -> None:
    """End all sessions of an operator. The operator can sign in again."""
    id = _of_operator(ctx, "DELETE", name, "/sessions")
    console.report({"ended": id}, f"All sessions of {name} have ended.", as_json=json)


def _of_operator(
    ctx: typer.Context, method: str, name: str, suffix: str = "", body: Callable[[], Any] = lambda: None
) -> str:
    """Send a request about the operator with a name, and return its id."""
    from bellcast.client.request import path

    operators = every(ctx, "/v1/operators", "operators")
    id: str | None = next((one["id"] for one in operators if one["name"] == name), None)
    if id is None:
        raise CommandError(f"no operator has the name {name}", "`bellcast operator list` lists them")
    request(ctx, method, path("operators", id) + suffix, body())
    return id


def _prompt() -> str:
    # Not an option: arguments are visible to other users of the machine, and stay in the shell's history.
    result: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return result


audit = options.group(app, "audit", "List and verify the audit log.", panel="Server")


@audit.command("list", cls=options.RequestCommand)
def list_entries(
    ctx: typer.Context,
    limit: console.LimitOption = 50,
    tenant: Annotated[str | None, typer.Option(metavar="TENANT", help="Entries about this tenant only.")] = None,
    json: console.JsonFlag = False,
) -> None:
    """List the newest entries."""
    entries = request(ctx, "GET", "/v1/audit", limit=limit, tenant=tenant)["entries"]
    if json:
        console.json(entries)
        return
    for one in entries:
        print(f"{one['at']}\t{one['actor']}\t{one['action']}\t{one['target']}\t{one['outcome']}", flush=True)


@audit.command(cls=options.RequestCommand)
def verify(
    ctx: typer.Context,
    head: Annotated[
        str | None,
        typer.Option(metavar="NUMBER:MAC", help="An entry from an `audit_head` log line, which must be unchanged."),
    ] = None,
    json: console.JsonFlag = False,
) -> None:
    """Verify that no entry was changed, inserted or removed.

    Removal of the newest entries is only detected if --head names one of them."""
    checked, last, found = 0, None, None
    number, mac = (None, None) if head is None else _parse(head)
    while True:
        part = _verify(ctx, 0 if last is None else last["number"])
        checked += part["checked"]
        if part["broken"] is not None:
            raise CommandError(
                f"the audit log was changed: entry {part['broken']['number']} of {part['broken']['at']} is not genuine, or "
                "the entries before it were removed",
                "restore an earlier backup, and compare",
            )
        last = part["last"] or last
        if number is not None and found is None and last is not None and last["number"] >= number:
            found = _verify(ctx, number - 1, 1)["last"]
        if part["is_complete"]:
            break
    if number is not None and (found is None or (found["number"], found["mac"]) != (number, mac)):
        raise CommandError(f"the audit log was changed: entry {number} is missing or different", "restore a backup")
    done = f"All {checked} entries of the audit log are genuine."
    console.report({"checked": checked, "last": last}, done, as_json=json)


def _verify(ctx: typer.Context, after: int, limit: int = 5_000) -> Any:
    return request(ctx, "GET", "/v1/audit/verification", after=after, limit=limit)


def _parse(head: str) -> tuple[int, str]:
    number, _, mac = head.partition(":")
    if not number.isdecimal() or int(number) < 1 or not mac:
        raise typer.BadParameter("expected NUMBER:MAC, such as 41:9f86d0…", param_hint="--head")
    return int(number), mac
