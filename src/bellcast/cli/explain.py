"""`bellcast explain`: explain why a recipient got or did not get a notification through a channel."""

from typing import TYPE_CHECKING, Annotated

import typer

from bellcast.cli import console, options

if TYPE_CHECKING:
    from bellcast.client.responses import Fact

EPILOG = """\
[dim]Examples[/]

  bellcast explain alice
  bellcast explain alice --notification 0197…
  bellcast explain alice --type booking --channel email
  bellcast explain alice --type booking --since 2026-06-10T12:00:00Z

[dim]The secret is[/] BELLCAST_SECRET[dim], or the data folder's.[/]
"""

app = typer.Typer()


@app.command(cls=options.RequestCommand, rich_help_panel="Send and follow", epilog=EPILOG)
def explain(
    ctx: typer.Context,
    recipient: Annotated[str, typer.Argument(metavar="RECIPIENT", help="The recipient: your app's user id.")],
    notification: Annotated[
        str | None, typer.Option(metavar="ID", help="Explain the decisions for this notification.")
    ] = None,
    run: Annotated[str | None, typer.Option(metavar="ID", help="Explain the decisions of this workflow run.")] = None,
    type: Annotated[
        str | None, typer.Option(metavar="TYPE", help="Explain what would happen now for this type.")
    ] = None,
    channel: Annotated[
        str | None, typer.Option(metavar="CHANNEL", help="With --type: only inbox, email, sms, push or chat.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Facts since this time. Without the other options, by default of the last day."
        ),
    ] = None,
    tenant: Annotated[str | None, typer.Option(metavar="TENANT", help="The recipient's tenant.")] = None,
    json: console.JsonFlag = False,
) -> None:
    """Explain why a recipient got or did not get a notification through a channel."""
    if [notification, run, type].count(None) < 2:
        raise typer.BadParameter("expected only one of --notification, --run and --type", param_hint="--notification")
    with options.server(ctx) as client:
        found = client.explain(
            recipient, notification=notification, run=run, type=type, channel=channel, since=since, tenant=tenant
        )
    if json:
        console.json(found)
        return
    is_alone = notification is None and run is None and type is None
    lines = [found.text] if is_alone else [one.text for one in found.channels]
    for action in found.actions:
        body = " --body JSON" if action.method in ("PATCH", "PUT") else ""
        lines.append(f"  → {action.text} bellcast api {action.method} {action.path}{body}")
    for heading, facts in _by_notification(found.facts):
        lines += ["", heading, *(f"  {fact.at:%Y-%m-%d %H:%M:%S}  {fact.text}" for fact in facts)]
    for line in lines:
        console.out().print(console.plain(line), markup=False, soft_wrap=True)


def _by_notification(facts: "list[Fact]") -> "list[tuple[str, list[Fact]]]":
    """Return the facts of each notification under its title, in order of its first fact; the others come last."""
    groups: dict[str, list[Fact]] = {}
    for fact in facts:
        title = f"{fact.title} ({fact.type}, {fact.notification})" if fact.notification else ""
        groups.setdefault(title, []).append(fact)
    others = groups.pop("", [])
    return [*groups.items(), *([("Connections and refused requests", others)] if others else [])]
