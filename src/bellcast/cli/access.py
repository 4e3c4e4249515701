"""`bellcast operator`, `audit`, `key` and `token`: operators of the console of a running server, the log of their actions, its API
keys, and session tokens signed locally."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from types import NoneType
from typing import Annotated, Any, Literal

import typer

from bellcast.cli import options, output
from bellcast.cli.objects import every, request
from bellcast.cli.output import CommandError

EPILOG = """\
[dim]Operators sign in to the console at[/] /console[dim]. Owners can do everything. Developers can do everything except manage \
operators, read the audit log, erase data and create keys and tokens that open inboxes. Support can read content, which is recorded, and send, \
retry and close one at a time. Viewers see metrics, and lists without content.[/]
"""

app = typer.Typer()
operator = options.group(app, "operator", "Set up the console, and manage its operators.", EPILOG, "Server")

NameArgument = Annotated[str, options.argument("NAME", "The operator's name, such as an e-mail address.")]

RoleOption = Annotated[
    Literal["owner", "developer", "support", "viewer"],
    options.option("owner|developer|support|viewer", "The operator's role.", "--role"),
]

KEY_EPILOG = """\
[dim]A key grants access to the server's paths like the project secret, within its scopes:[/] send [dim]notifications and \
events,[/] read [dim]sent notifications and presence,[/] manage [dim]everything else of the app, including session tokens for any \
recipient,[/] observe [dim]metrics and the live feed,[/] configure [dim]settings,[/] admin [dim]operators and the audit log,[/] agent [dim]the tools of agents.[/]
"""
KEY_EXAMPLES = """\
[dim]Examples[/]

  bellcast key create "booking service" --scope send
  bellcast key create backoffice --scope read,manage
  bellcast key create helper --agent
  BELLCAST_SECRET=$(bellcast key create ci --scope send --json | jq -r .key)
"""

# What an agent may do by default: read.
AGENT_SCOPES = ("agent", "read", "observe")
AGENT_TTL = "90d"

key = options.group(app, "key", "Create, list and revoke API keys.", KEY_EPILOG)


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
        output.note("The console has no operator: `bellcast operator setup-code` prints a link that creates the first.")
    output.show((one["name"], one["role"], ",".join(one["tenants"] or ["*"])) for one in operators)


@options.command(operator)
def create(
    client: "options.Bellcast", name: NameArgument, role: RoleOption = "viewer", tenant: options.TenantsOption = None
) -> Iterator[Any]:
    """Create an operator. The command prompts for the first password."""
    body = {"name": name, "role": role, "tenants": tenant or None, "password": _prompt()}
    yield request(client, "POST", "/v1/operators", body)
    output.done(f"Operator {name} was created with the role {role}.")


@options.command(operator)
def passwd(client: "options.Bellcast", name: NameArgument) -> Iterator[Any]:
    """Change an operator's password and end its sessions. The command prompts for the password."""
    yield {"changed": _of_operator(client, "PATCH", name, body=lambda: {"password": _prompt()})}
    output.done(f"The password of {name} was changed.")


@options.command(operator, "reset-mfa")
def reset_mfa(client: "options.Bellcast", name: NameArgument) -> Iterator[Any]:
    """Remove an operator's authenticator app, recovery codes and passkeys, for example after a lost phone."""
    yield {"reset": _of_operator(client, "DELETE", name, "/mfa")}
    output.done(f"{name} signs in without a code. The next sign-in may require a new authenticator app.")


@options.command(operator, "end-sessions")
def end_sessions(client: "options.Bellcast", name: NameArgument) -> Iterator[Any]:
    """End all sessions of an operator. The operator can sign in again."""
    yield {"ended": _of_operator(client, "DELETE", name, "/sessions")}
    output.done(f"All sessions of {name} have ended.")


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
    limit: output.LimitOption = 50,
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
        output.note("Only the newest entries were searched: there may be older ones that match.")
    yield page["entries"]
    columns = ("at", "actor", "action", "target", "outcome")
    output.show(tuple(str(one[name]) for name in columns) for one in page["entries"])


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
    output.done(f"The audit log is genuine: {output.counted(checked, 'entry', 'entries')} verified.")


def _verify(client: "options.Bellcast", after: int, limit: int = 5_000) -> Any:
    return request(client, "GET", "/v1/audit/verification", after=after, limit=limit)


@options.command(key, "create", epilog=KEY_EXAMPLES)
def create_key(
    client: "options.Bellcast",
    name: Annotated[str, options.argument("NAME", "A name to show in lists, such as the app that uses the key.")],
    scope: Annotated[
        list[str] | None, options.option("send|read|manage|…", "A permission of the key. Repeatable.")
    ] = None,
    agent: Annotated[
        bool, typer.Option("--agent", help="A key for an agent: the scopes agent, read and observe, for 90 days.")
    ] = False,
    ttl: Annotated[str | None, options.option("DURATION", "When the key ends. Default: when it is revoked.")] = None,
    tenant: options.TenantsOption = None,
) -> Iterator[Any]:
    """Create a key and print it. It cannot be shown again."""
    from bellcast.auth.keys import SCOPES

    scopes = [
        part.strip()
        for value in [*(scope or ()), *(AGENT_SCOPES if agent else ())]
        for part in value.split(",")
        if part.strip()
    ]
    unknown = [name for name in scopes if name not in SCOPES]
    if unknown or not scopes:
        got = unknown[0] if unknown else "nothing"
        raise typer.BadParameter(f"expected one or more of {', '.join(SCOPES)}, got {got}", param_hint="--scope")
    body = {"name": name, "scopes": scopes, "tenants": tenant or None, "ttl": ttl or (AGENT_TTL if agent else None)}
    created = request(client, "POST", "/v1/keys", body)
    yield created
    print(created["key"], flush=True)
    until = f" until {created['expires_at'][:10]}" if created.get("expires_at") else ""
    noun = "scope" if len(scopes) == 1 else "scopes"
    output.note(
        f"Key {created['id']} has the {noun} {', '.join(created['scopes'])}{_bound(created)}{until}. Store it now: it is not "
        "shown again."
    )


@options.command(key, "list")
def list_keys(client: "options.Bellcast") -> Iterator[Any]:
    """List all keys, including revoked ones."""
    keys = every(client, "/v1/keys", "keys")
    yield keys
    if not keys:
        output.note("No keys exist: create one with `bellcast key create NAME --scope send`.")
        return
    rows = []
    for key in keys:
        revoked_at = key.get("revoked_at")
        state = f"used {key['used_at'][:10]}" if key.get("used_at") else "not used"
        state = f"revoked {revoked_at[:10]}" if revoked_at else state
        cells = (key["id"], key["name"], ",".join(key["scopes"]) + _bound(key), key["created_at"][:10], state)
        rows.append((cells, "dim strike" if revoked_at else None))
    output.table(("ID", "NAME", "SCOPES", "CREATED", "STATE"), rows)


@options.command(key)
def revoke(
    client: "options.Bellcast", id: Annotated[str, options.argument("ID", "The key's id from `bellcast key list`.")]
) -> Iterator[Any]:
    """Revoke a key. It is rejected from now on, like the session and editor tokens that it created."""
    from bellcast.client.request import path

    request(client, "DELETE", path("keys", id), kind=NoneType)
    yield {"revoked": id}
    output.done(f"Key {id} was revoked.")


def _bound(key: dict[str, Any]) -> str:
    return f" in {', '.join(key['tenants'])}" if key.get("tenants") else ""


SESSION_EPILOG = """\
[dim]Examples[/]

  bellcast token alice
  bellcast token alice --ttl 8h --topic 'project.*' --role admin
  curl -H "Authorization: Bearer $(bellcast token alice)" \\
    "$BELLCAST_URL/v1/inbox"

[dim]The token is signed locally with the secret of the data folder or of[/] BELLCAST_PROJECT[dim], without a server.
A pattern's * matches any characters.[/]
"""
# Default lifetime. Short, since a single token cannot be revoked.
DEFAULT_TTL = "1h"


@options.command(app, cls=options.with_settings("DATA"), rich_help_panel="Send and follow", epilog=SESSION_EPILOG)
def token(
    ctx: typer.Context,
    recipient: Annotated[str, options.argument("RECIPIENT", "The recipient: your app's user id.")],
    tenant: Annotated[str, options.option("TENANT", "The recipient's tenant.")] = "",
    ttl: Annotated[str, options.option("DURATION", "Lifetime: 90, 15m, 1h, 7d.")] = DEFAULT_TTL,
    topic: Annotated[
        list[str] | None, options.option("PATTERN", "Topics the recipient may follow. Repeatable.")
    ] = None,
    publish: Annotated[
        list[str] | None, options.option("PATTERN", "Topics the recipient may publish to. Repeatable.")
    ] = None,
    role: Annotated[
        list[str] | None, options.option("ROLE", "A role, stored in the recipient's record. Repeatable.")
    ] = None,
    name: Annotated[str | None, options.option("NAME", "The name, stored in the recipient's record.")] = None,
    since: Annotated[
        str | None, options.option("TIME", "Member of the app since: epoch seconds or RFC 3339, stored in the record.")
    ] = None,
) -> Iterator[Any]:
    """Print a session token for a browser or another client."""
    from bellcast.auth import tokens
    from bellcast.kernel import times
    from bellcast.settings import existing_project

    settings = options.settings(ctx)
    project = existing_project(settings)
    if project is None:
        raise CommandError(
            f"{settings.store.data} has no credentials to sign with",
            "start `bellcast serve` with this folder once, pass the server's folder with --data, or set BELLCAST_PROJECT",
        )
    now = time.time_ns() // 1_000_000
    try:
        seconds = times.seconds(ttl)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--ttl") from None
    if not 1 <= seconds <= tokens.MAX_TTL_SECONDS:
        raise typer.BadParameter("expected a lifetime between 1 second and 30 days", param_hint="--ttl")
    expires_at = now + round(seconds * 1000)
    signed = tokens.sign(
        project,
        recipient,
        now=now,
        expires_at=expires_at,
        tenant=tenant,
        topics=topic or (),
        publish=publish or (),
        roles=role,
        name=name,
        since=None if since is None else _epoch_seconds(since),
    )
    # Reports values that a server would reject now, instead of when the page connects.
    tokens.verify(project, signed, now, settings.limits)
    yield {
        "token": signed,
        "recipient": recipient,
        "tenant": tenant or None,
        "expires_at": times.to_rfc3339(expires_at),
    }
    print(signed)


def _epoch_seconds(text: str) -> float:
    with suppress(ValueError):
        if math.isfinite(seconds := float(text)):
            return seconds
    with suppress(ValueError):
        if (moment := datetime.fromisoformat(text)).tzinfo is not None:
            return moment.timestamp()
    raise typer.BadParameter("expected epoch seconds or a time such as 2026-01-31T12:00:00Z", param_hint="--since")
