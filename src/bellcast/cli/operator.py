"""`bellcast operator` and `audit`: operators of the console of a running server, and the log of their actions."""

from collections.abc import Callable, Iterator
from types import NoneType
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

NameArgument = Annotated[str, options.argument("NAME", "The operator's name, such as an e-mail address.")]

RoleOption = Annotated[str, options.option("owner|developer|support|viewer", "The operator's role.", "--role")]


@options.command(operator, "setup-code")
def setup_code(ctx: typer.Context) -> Iterator[Any]:
    """Print a one-time link that creates the first owner. It is valid for a day."""
    from bellcast.settings import credentials

    settings = options.settings(ctx)
    with options.server(ctx) as client:
        created = request(client, "POST", "/v1/setup-codes")
    url = credentials.setup_link(settings, credentials.url(settings), created["code"])
    yield {"url": url}
    print(url, flush=True)


@options.command(operator, "list")
def list_(client: "options.Bellcast") -> Iterator[Any]:
    """List the operators with their roles."""
    operators = every(client, "/v1/operators", "operators")
    yield operators
    if not operators:
        console.note(
            "The console has no operator: `bellcast operator setup-code` prints a link that creates the first."
        )
    console.show((one["name"], one["role"], ",".join(one["tenants"] or ["*"])) for one in operators)


@options.command(operator)
def create(
    client: "options.Bellcast", name: NameArgument, role: RoleOption = "viewer", tenant: options.TenantsOption = None
) -> Iterator[Any]:
    """Create an operator. The command prompts for the first password."""
    body = {"name": name, "role": role, "tenants": tenant or None, "password": _prompt()}
    yield request(client, "POST", "/v1/operators", body)
    console.done(f"Operator {name} was created with the role {role}.")


@options.command(operator)
def passwd(client: "options.Bellcast", name: NameArgument) -> Iterator[Any]:
    """Change an operator's password and end its sessions. The command prompts for the password."""
    yield {"changed": _of_operator(client, "PATCH", name, body=lambda: {"password": _prompt()})}
    console.done(f"The password of {name} was changed.")


@options.command(operator, "reset-mfa")
def reset_mfa(client: "options.Bellcast", name: NameArgument) -> Iterator[Any]:
    """Remove an operator's authenticator app, recovery codes and passkeys, for example after a lost phone."""
    yield {"reset": _of_operator(client, "DELETE", name, "/mfa")}
    console.done(f"{name} signs in without a code. The next sign-in may require a new authenticator app.")


@options.command(operator, "end-sessions")
def end_sessions(client: "options.Bellcast", name: NameArgument) -> Iterator[Any]:
    """End all sessions of an operator. The operator can sign in again."""
    yield {"ended": _of_operator(client, "DELETE", name, "/sessions")}
    console.done(f"All sessions of {name} have ended.")


def _of_operator(
    client: "options.Bellcast", method: str, name: str, suffix: str = "", body: Callable[[], Any] = lambda: None
) -> str:
    """Send a request about the operator with a name, and return its id."""
    from bellcast.client.request import path

    operators = every(client, "/v1/operators", "operators")
    id: str | None = next((one["id"] for one in operators if one["name"] == name), None)
    if id is None:
        raise CommandError(f"no operator has the name {name}", "`bellcast operator list` lists them")
    request(client, method, path("operators", id) + suffix, body(), kind=NoneType)
    return id


def _prompt() -> str:
    # Not an option: arguments are visible to other users of the machine, and stay in the shell's history.
    result: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return result


audit = options.group(app, "audit", "List and verify the audit log.", panel="Server")


@options.command(audit, "list")
def list_entries(
    client: "options.Bellcast",
    limit: console.LimitOption = 50,
    tenant: Annotated[str | None, options.option("TENANT", "Entries about this tenant only.")] = None,
    actor: Annotated[str | None, options.option("NAME", "Entries of this operator or key:<id> only.")] = None,
    outcome: Annotated[
        str | None, options.option("ok|refused|password_required", "Entries with this outcome only.")
    ] = None,
    text: Annotated[str | None, options.option("TEXT", "Entries with this part of the actor or the path only.")] = None,
) -> Iterator[Any]:
    """List the newest entries."""
    page = request(client, "GET", "/v1/audit", limit=limit, tenant=tenant, actor=actor, outcome=outcome, text=text)
    if page["scanned_until"] is not None:
        console.note("Only the newest entries were searched: there may be older ones that match.")
    yield page["entries"]
    columns = ("at", "actor", "action", "target", "outcome")
    console.show(tuple(str(one[name]) for name in columns) for one in page["entries"])


@options.command(audit)
def verify(
    client: "options.Bellcast",
    head: Annotated[
        str | None, options.option("NUMBER:MAC", "An entry from an `audit_head` log line, which must be unchanged.")
    ] = None,
) -> Iterator[Any]:
    """Verify that no entry was changed, inserted or removed.

    Removal of the newest entries is only detected if --head names one of them."""
    checked, last, found = 0, None, None
    number, mac = None, ""
    if head is not None:
        text, _, mac = head.partition(":")
        if not text.isdecimal() or int(text) < 1 or not mac:
            raise typer.BadParameter("expected NUMBER:MAC, such as 41:9f86d0…", param_hint="--head")
        number = int(text)
    while True:
        part = _verify(client, 0 if last is None else last["number"])
        checked += part["checked"]
        if part["broken"] is not None:
            raise CommandError(
                f"the audit log was changed: entry {part['broken']['number']} of {part['broken']['at']} is not genuine, or "
                "the entries before it were removed",
                "restore an earlier backup, and compare",
            )
        last = part["last"] or last
        if number is not None and found is None and last is not None and last["number"] >= number:
            found = _verify(client, number - 1, 1)["last"]
        if part["is_complete"]:
            break
    if number is not None and (found is None or (found["number"], found["mac"]) != (number, mac)):
        raise CommandError(f"the audit log was changed: entry {number} is missing or different", "restore a backup")
    yield {"checked": checked, "last": last}
    console.done(f"All {checked} entries of the audit log are genuine.")


def _verify(client: "options.Bellcast", after: int, limit: int = 5_000) -> Any:
    return request(client, "GET", "/v1/audit/verification", after=after, limit=limit)
