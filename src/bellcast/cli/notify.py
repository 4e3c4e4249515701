"""`bellcast notify`: sends a notification."""

import sys
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from bellcast.cli import options, output

EPILOG = """\
[dim]Examples[/]

  bellcast notify alice "New booking" --body "14:00" --action-url /bookings/7
  bellcast notify --to-topic admins "Disk almost full" --priority urgent
  df -h | bellcast notify ops "Disk report" --body -
  bellcast notify --all "Maintenance tonight" --expires 6h
  bellcast notify alice "Your table is ready soon" --send-at 2h
  bellcast notify alice "New booking" --channel email --dry-run

[dim]The secret is[/] BELLCAST_SECRET[dim], or the data folder's.[/]
"""
AUDIENCE = "Audience"
CONTENT = "Content"

app = typer.Typer()


def _text(help: str, metavar: str = "TEXT", panel: str = CONTENT) -> Any:
    return typer.Option(help=help, metavar=metavar, rich_help_panel=panel, show_default=False)


@options.command(app, rich_help_panel="Send and follow", epilog=EPILOG)
def notify(
    client: "options.Bellcast",
    words: Annotated[
        list[str] | None,
        options.argument(
            "[RECIPIENT] TITLE",
            "Your app's user id, unless an option names the audience; and the title, unless a template has it.",
        ),
    ] = None,
    to_topic: Annotated[str | None, _text("All subscribers of a topic.", "TOPIC", AUDIENCE)] = None,
    to_role: Annotated[str | None, _text("All recipients with a role.", "ROLE", AUDIENCE)] = None,
    all_: Annotated[
        bool, typer.Option("--all", help="All recipients of the tenant.", rich_help_panel=AUDIENCE)
    ] = False,
    tenant: Annotated[str | None, _text("The tenant; with --all, * means every tenant.", "TENANT", AUDIENCE)] = None,
    body: Annotated[str | None, _text("Text below the title; - reads it from standard input.")] = None,
    type: Annotated[str | None, _text("The type, by which inboxes can be filtered.", "TYPE")] = None,
    priority: Annotated[str | None, _text("The priority.", "low|normal|high|urgent")] = None,
    action_url: Annotated[str | None, _text("URL to open on click.", "URL")] = None,
    action_text: Annotated[str | None, _text("Text of the link.")] = None,
    icon: Annotated[str | None, _text("An icon: a name of your app's, an emoji or a URL.", "ICON")] = None,
    actor: Annotated[str | None, _text("The actor: a name, or JSON with id, name, avatar.", "NAME")] = None,
    payload: Annotated[str | None, _text("The `data` for your page.", "JSON")] = None,
    channel: Annotated[
        list[str] | None, _text("A channel, such as inbox or email. Repeatable. Default: those of the type.", "CHANNEL")
    ] = None,
    template: Annotated[
        str | None, _text("A template, which can supply the title; --payload has its variables.", "KEY")
    ] = None,
    tag: Annotated[list[str] | None, _text("A tag. Repeatable.", "TAG")] = None,
    group: Annotated[str | None, _text("A label by which lists may group notifications.", "GROUP")] = None,
    expires: Annotated[
        str | None, _text("Expiry: 2h or 7d from now, or 2030-01-31T12:00:00Z.", "DURATION|TIME")
    ] = None,
    send_at: Annotated[
        str | None, _text("Send later: in 2h or 7d, or at 2030-01-31T12:00:00Z.", "DURATION|TIME")
    ] = None,
    timezone: Annotated[
        str | None, _text("Time zone of a --send-at without a UTC offset, or recipient for that of each.", "ZONE")
    ] = None,
    idempotency_key: Annotated[
        str | None, _text("Repeating the key within 24 hours sends nothing again.", "KEY")
    ] = None,
    dry_run: output.DryRunOption = False,
) -> Iterator[Any]:
    """Send a notification."""
    import msgspec

    from bellcast.cli import objects
    from bellcast.client import notifications

    recipient, title = _recipient_and_title(words or [], bool(to_topic or to_role or all_), template is not None)
    audiences = {"topic": to_topic, "role": to_role, "all": all_ or None}
    chosen = {name: value for name, value in audiences.items() if value is not None}
    if len(chosen) > 1:
        raise typer.BadParameter("expected only one of --to-topic, --to-role and --all")
    to: Any = recipient or chosen
    fields: Any = {
        "title": title,
        "body": sys.stdin.read().rstrip("\n") if body == "-" else body,
        "type": type,
        "priority": priority,
        "action_url": action_url,
        "action_text": action_text,
        "icon": icon,
        "actor": output.parsed_json(actor, "--actor") if (actor or "").startswith("{") else actor,
        "data": output.parsed_json(payload, "--payload"),
        "channels": channel,
        "template": template,
        "tags": tag,
        "group": group,
        "tenant": tenant,
        "expires_at": expires,
        "send_at": send_at,
        "timezone": timezone,
    }
    request = notifications.notify(to, idempotency_key=idempotency_key, **fields)
    if dry_run:
        yield from objects.show_plan(client, request)
        return
    sent = client.sender.send(request)
    yield {name: part for name, part in msgspec.to_builtins(sent).items() if part}  # as in REST
    if sent.schedule:
        at = sent.schedule.next_at  # None if the time has passed for everyone
        output.done(f"To be sent at {at:%Y-%m-%d %H:%M:%S %Z}" if at else "Scheduled", f"schedule {sent.schedule.key}")
    elif sent.announcement:
        audience = "everyone" if "all" in to else f"everyone of {' '.join(map(str, *to.items()))}"
        output.done(f"Announced to {audience}", sent.id)
    else:
        output.done(f"Sent to {to}", sent.id)


def _recipient_and_title(words: list[str], has_audience: bool, has_template: bool) -> tuple[str | None, str | None]:
    """Return the recipient, None with an audience option, and the title, which a template can supply."""
    expected = 1 if has_audience else 2
    if len(words) == expected:
        return (None, words[0]) if has_audience else (words[0], words[1])
    if has_template and len(words) == expected - 1:
        return (None if has_audience else words[0]), None
    arguments = "only a title with --to-topic, --to-role and --all" if has_audience else "a recipient and a title"
    raise typer.BadParameter(f"expected {arguments}; quote a title of several words", param_hint="TITLE")
