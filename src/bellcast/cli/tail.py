"""`bellcast tail`: follow an inbox live in the terminal."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bellcast.cli import console, options

if TYPE_CHECKING:  # the client is imported when there is something to follow
    from bellcast.cli.sse_follower import Frame, SseFollower
    from bellcast.client import Bellcast

EPILOG = """\
[dim]Examples[/]

  bellcast tail alice
  bellcast tail alice --tenant acme --topic deploys
  bellcast tail alice --json | jq -r '.notification.title // empty'

[dim]With --json each line is one frame as live clients get it, without heartbeats; the newest notifications come \
first, as[/] notification [dim]frames. Nothing is marked seen or read. Ctrl-C ends it.[/]
"""

app = typer.Typer()


@app.command(cls=options.with_settings("DATA", "URL"), rich_help_panel="Send and follow", epilog=EPILOG)
def tail(
    ctx: typer.Context,
    recipient: Annotated[str, typer.Argument(metavar="RECIPIENT", help="Whose inbox: your app's own user id.")],
    tenant: Annotated[str | None, typer.Option(metavar="TENANT", help="The tenant they belong to.")] = None,
    topic: Annotated[list[str] | None, typer.Option(metavar="TOPIC", help="A topic's live events too.")] = None,
    last: Annotated[
        int, typer.Option("--last", "-n", min=0, max=100, metavar="NUMBER", help="Show that many of the newest first.")
    ] = 5,
    json: console.Json = False,
) -> None:
    """Follow an inbox live in the terminal."""
    from bellcast.cli import remote
    from bellcast.cli.sse_follower import SseFollower
    from bellcast.cli.tail_output import TailOutput, TextOutput

    with remote.server(options.settings(ctx)) as bell, contextlib.suppress(KeyboardInterrupt):

        def token() -> str:
            return bell.token(recipient, ttl="1h", tenant=tenant, topics=topic)

        sheet = TailOutput() if json else TextOutput(recipient)
        follower = SseFollower(bell, token, sheet.away)
        with sheet:
            for frame in _frames(bell, follower, topic or [], last):
                sheet.show(frame)


def _frames(bell: "Bellcast", follower: "SseFollower", topics: list[str], last: int) -> Iterator["Frame"]:
    """The newest notifications, then everything that follows them."""
    yield from _newest(bell, follower, last)
    for frame in follower.frames(topics):
        yield frame
        if frame.name == "reset":
            yield from _newest(bell, follower, last)


def _newest(bell: "Bellcast", follower: "SseFollower", last: int) -> Iterator["Frame"]:
    """The newest notifications, oldest first, as if they came now; the stream goes on after them."""
    from bellcast.cli.sse_follower import Frame
    from bellcast.client.request import HttpRequest, reads

    ask = HttpRequest("GET", "/v1/inbox", reads(dict[str, Any]), params={"limit": max(last, 1)})
    page = bell.sender.speaking_with(follower.token()).send(ask)
    follower.position = page["position"]
    counters = {name: page[name] for name in ("unread", "unseen", "position")}
    for notification in reversed(page["notifications"][:last]):
        yield Frame("notification", {"notification": notification, **counters})
