"""`bellcast tail`: follow an inbox live in the terminal."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bellcast.cli import console, options

if TYPE_CHECKING:  # imported when the command runs, not for --help
    from bellcast.cli.sse_follower import SseFollower, SseFrame
    from bellcast.client import Bellcast

EPILOG = """\
[dim]Examples[/]

  bellcast tail alice
  bellcast tail alice --tenant acme --topic deploys
  bellcast tail alice --json | jq -r '.notification.title // empty'

[dim]With --json, each line is one frame as live clients receive it, without heartbeats; it starts with the newest \
notifications as[/] notification [dim]frames. Nothing is marked as seen or read. Ctrl-C stops it.[/]
"""

app = typer.Typer()


@app.command(cls=options.RequestCommand, rich_help_panel="Send and follow", epilog=EPILOG)
def tail(
    ctx: typer.Context,
    recipient: Annotated[str, typer.Argument(metavar="RECIPIENT", help="The recipient: your app's user id.")],
    tenant: Annotated[str | None, typer.Option(metavar="TENANT", help="The recipient's tenant.")] = None,
    topic: Annotated[
        list[str] | None, typer.Option(metavar="TOPIC", help="Also show a topic's live events. Repeatable.")
    ] = None,
    last: Annotated[
        int,
        typer.Option(
            "--last", "-n", min=0, max=100, metavar="NUMBER", help="Start with this many of the newest notifications."
        ),
    ] = 5,
    json: console.JsonFlag = False,
) -> None:
    """Follow an inbox live in the terminal."""
    from bellcast.cli.sse_follower import SseFollower
    from bellcast.cli.tail_output import TailOutput, TextOutput

    with options.server(ctx) as client, contextlib.suppress(KeyboardInterrupt):

        def token() -> str:
            return client.token(recipient, ttl="1h", tenant=tenant, topics=topic)

        output = TailOutput() if json else TextOutput(recipient)
        follower = SseFollower(client, token, output.disconnected)
        with output:
            for frame in _frames(client, follower, topic or [], last):
                output.show(frame)


def _frames(client: "Bellcast", follower: "SseFollower", topics: list[str], last: int) -> Iterator["SseFrame"]:
    """Yield the newest notifications, then live frames."""
    yield from _newest(client, follower, last)
    for frame in follower.frames(topics):
        yield frame
        if frame.name == "reset":
            yield from _newest(client, follower, last)


def _newest(client: "Bellcast", follower: "SseFollower", last: int) -> Iterator["SseFrame"]:
    """Yield the newest notifications as frames, oldest first, and set the stream's position after them."""
    from bellcast.cli.sse_follower import SseFrame
    from bellcast.client.request import HttpRequest, reads

    request = HttpRequest("GET", "/v1/inbox", reads(dict[str, Any]), params={"limit": max(last, 1)})
    page = client.sender.speaking_with(follower.token()).send(request)
    follower.position = page["position"]
    counters = {name: page[name] for name in ("unread", "unseen", "position")}
    for notification in reversed(page["notifications"][:last]):
        yield SseFrame("notification", {"notification": notification, **counters})
