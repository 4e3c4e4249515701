"""`bellcast notify`: send from a shell."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bellcast.cli import console, options

if TYPE_CHECKING:  # the client is imported when there is something to send
    from bellcast.client import Sent

EPILOG = """\
[dim]Examples[/]

  bellcast notify alice "New booking" --body "14:00" --action-url /bookings/7
  bellcast notify --to-topic admins "Disk almost full" --priority urgent
  df -h | bellcast notify ops "Disk report" --body -
  bellcast notify --all "Maintenance tonight" --expires 6h

[dim]The secret is[/] BELLCAST_SECRET[dim], or that of the data folder.[/]
"""
TO = "To whom"
WHAT = "What"

app = typer.Typer()


def _text(help: str, metavar: str = "TEXT", panel: str = WHAT) -> Any:
    return typer.Option(help=help, metavar=metavar, rich_help_panel=panel, show_default=False)


@app.command(cls=options.with_settings("DATA", "URL"), rich_help_panel="Send and follow", epilog=EPILOG)
def notify(
    ctx: typer.Context,
    words: Annotated[
        list[str],
        typer.Argument(metavar="[RECIPIENT] TITLE", help="Your app's user id, unless options say who; and the title."),
    ],
    to_topic: Annotated[str | None, _text("Everyone subscribed to a topic.", "TOPIC", TO)] = None,
    to_role: Annotated[str | None, _text("Everyone with a role.", "ROLE", TO)] = None,
    all_: Annotated[bool, typer.Option("--all", help="Everyone in the tenant.", rich_help_panel=TO)] = False,
    tenant: Annotated[str | None, _text("The tenant they are in; with --all, * is every one.", "TENANT", TO)] = None,
    body: Annotated[str | None, _text("More than the title; - reads it from standard input.")] = None,
    type: Annotated[str | None, _text("Its type; inboxes can be filtered by it.", "TYPE")] = None,
    priority: Annotated[str | None, _text("How much it presses.", "low|normal|high|urgent")] = None,
    action_url: Annotated[str | None, _text("Where a click leads.", "URL")] = None,
    action_text: Annotated[str | None, _text("What the link says.")] = None,
    icon: Annotated[str | None, _text("An icon: a name of yours, an emoji or a URL.", "ICON")] = None,
    actor: Annotated[str | None, _text("Who caused it: a name, or JSON with id, name, avatar.", "NAME")] = None,
    payload: Annotated[str | None, _text("Its `data`: anything your page needs.", "JSON")] = None,
    tag: Annotated[list[str] | None, _text("A tag. Several: repeat it.", "TAG")] = None,
    group: Annotated[str | None, _text("A label that lists may fold by.", "GROUP")] = None,
    expires: Annotated[
        str | None, _text("When it expires: 2h or 7d from now, or at 2030-01-31T12:00:00Z.", "DURATION|TIME")
    ] = None,
    idempotency_key: Annotated[str | None, _text("The same key again sends nothing twice.", "KEY")] = None,
    json: console.Json = False,
) -> None:
    """Send a notification."""
    from bellcast.cli import remote

    recipient, title = _addressed(words, bool(to_topic or to_role or all_))
    to: Any = recipient or _audience(to_topic, to_role, all_)
    said = {
        "title": title,
        "body": sys.stdin.read().rstrip("\n") if body == "-" else body,
        "type": type,
        "priority": priority,
        "action_url": action_url,
        "action_text": action_text,
        "icon": icon,
        "actor": _json(actor, "--actor") if (actor or "").startswith("{") else actor,
        "data": _json(payload, "--payload"),
        "tags": tag,
        "group": group,
        "tenant": tenant,
        "expires_at": _moment(expires),
    }
    given: Any = {field: value for field, value in said.items() if value is not None}
    with remote.server(options.settings(ctx)) as bell:
        sent = bell.notify(to, idempotency_key=idempotency_key, **given)
    console.json(_told(sent)) if json else console.done(_sentence(sent, to), sent.id)


def _addressed(words: list[str], has_audience: bool) -> tuple[str | None, str]:
    """The recipient, if one is to be named, and the title."""
    expected = 1 if has_audience else 2
    if len(words) == expected:
        return (None, words[0]) if has_audience else (words[0], words[1])
    wanted = "only a title beside --to-topic, --to-role and --all" if has_audience else "a recipient and a title"
    raise typer.BadParameter(f"expected {wanted}; put a title of several words in quotes", param_hint="TITLE")


def _audience(topic: str | None, role: str | None, all_: bool) -> dict[str, Any]:
    named = {"topic": topic, "role": role, "all": all_ or None}
    chosen = {name: value for name, value in named.items() if value is not None}
    if len(chosen) > 1:
        raise typer.BadParameter("choose one of --to-topic, --to-role and --all")
    return chosen


def _json(text: str | None, option: str) -> Any:
    import msgspec

    try:
        return None if text is None else msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise typer.BadParameter(f"expected JSON: {error}", param_hint=option) from None


def _moment(expires: str | None) -> Any:
    """A moment as it stands; the end of a duration from now."""
    import time

    from bellcast.model import times

    if expires is None:
        return None
    try:
        return times.to_rfc3339(time.time_ns() // 1_000_000 + round(times.seconds(expires) * 1000))
    except ValueError:
        return expires


def _told(sent: "Sent") -> dict[str, Any]:
    """As the server answers."""
    if sent.announcement:
        return {"announcement": {"id": sent.announcement.id}}
    return {"notifications": [{"id": made.id, "recipient": made.recipient} for made in sent.notifications]}


def _sentence(sent: "Sent", to: Any) -> str:
    if not sent.announcement:
        return f"Sent to {to}"
    audience = "everyone" if "all" in to else f"everyone of {' '.join(map(str, *to.items()))}"
    return f"Announced to {audience}"
