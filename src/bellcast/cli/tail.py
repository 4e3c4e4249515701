"""`bellcast tail`: follow an inbox live in the terminal."""

import contextlib
from collections.abc import Iterator
from datetime import datetime
from itertools import chain
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.text import Text

from bellcast.cli import console, options

if TYPE_CHECKING:  # imported when the command runs, not for --help
    from bellcast.cli.sse_follower import SseFollower, SseFrame

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
    recipient: Annotated[str, options.argument("RECIPIENT", "The recipient: your app's user id.")],
    tenant: Annotated[str | None, options.option("TENANT", "The recipient's tenant.")] = None,
    topic: Annotated[list[str] | None, options.option("TOPIC", "Also show a topic's live events. Repeatable.")] = None,
    last: Annotated[
        int,
        options.option("NUMBER", "Start with this many of the newest notifications.", "--last", "-n", min=0, max=100),
    ] = 5,
    json: console.JsonFlag = False,
) -> None:
    """Follow an inbox live in the terminal."""
    from bellcast.cli.sse_follower import SseFollower

    output = TailOutput(recipient, json=json)
    with (
        options.server(ctx) as client,
        contextlib.suppress(KeyboardInterrupt),
        contextlib.nullcontext() if json else output.state,
    ):

        def token() -> str:
            return client.token(recipient, ttl="1h", tenant=tenant, topics=topic)

        follower = SseFollower(client, token, output.disconnected)
        for frame in chain(_newest(client, follower, last), follower.frames(topic or [])):
            output.show(frame)
            if frame.name == "reset":
                for newest in _newest(client, follower, last):
                    output.show(newest)


def _newest(client: "options.Bellcast", follower: "SseFollower", last: int) -> Iterator["SseFrame"]:
    """Yield the newest notifications as frames, oldest first, and set the stream's position after them."""
    from bellcast.cli.sse_follower import SseFrame
    from bellcast.client.request import call

    request = call("GET", "/v1/inbox", dict[str, Any], limit=max(last, 1))
    page = client.sender.speaking_with(follower.token()).send(request)
    follower.position = page["position"]
    counters = {name: page[name] for name in ("unread", "unseen", "position")}
    for notification in reversed(page["notifications"][:last]):
        yield SseFrame("notification", {"notification": notification, **counters})


INDENT = " " * 16


# The mark of each priority, its style and that of the title.
LINE_STYLES = {
    "low": ("·", "dim", "dim"),
    "normal": ("●", "cyan", "bold"),
    "high": ("▲", "yellow", "bold yellow"),
    "urgent": ("■", "red", "bold white on red"),
}
READ = ("○", "dim", "dim")


class TailOutput:
    """Prints frames as text, with connection state and counters in a status line; with `json`, as one JSON object per line."""

    def __init__(self, recipient: str, *, json: bool) -> None:
        self._recipient = escape(console.plain(recipient))
        self._is_json = json
        self._titles: dict[str, str] = {}
        self.state = console.out().status("")

    def disconnected(self, reason: str) -> None:
        """Show that the connection was lost. The stream resumes without loss."""
        self.state.update(f"[yellow]{escape(console.plain(reason))}: reconnecting[/]")

    def show(self, frame: "SseFrame") -> None:
        """Print a line for the frame, and update the counters."""
        import msgspec  # not for --help

        if self._is_json:
            if frame.name != "heartbeat":
                print(msgspec.json.encode({"type": frame.name, **frame.fields}).decode(), flush=True)
            return
        line = self._line(frame.name, frame.fields)
        if line is not None:
            console.out().print(line)
        if "unread" in frame.fields:
            self.state.update(
                f"[bold]{self._recipient}[/]  {frame.fields['unread']} unread  [dim]live, Ctrl-C stops[/]"
            )

    def _line(self, name: str, fields: dict[str, Any]) -> Text | None:
        import msgspec

        one = fields.get("notification") or {}
        if one:
            self._titles[one["id"]] = one["title"]
        match name:
            case "ready" if fields["refused"]:
                refused = [
                    f"not following {console.plain(of['topic'])}: {console.plain(of['message'])}"
                    for of in fields["refused"]
                ]
                return Text("\n".join(refused), "yellow")
            case "notification":
                return _notification(one)
            case "notification-update":
                state = next((state for state in ("archived", "read", "seen") if one[f"{state}_at"]), "unread")
                return _note("✓", f"{one['title']}: {state}")
            case "notification-delete":
                return _note("✗", f"{self._titles.pop(fields['id'], fields['id'])}: deleted")
            case "counts" if "changed" in fields:
                return _note("✓", f"{'all' if fields['ids'] == 'all' else len(fields['ids'])} {fields['changed']}")
            case "reset":
                return _note("↻", "too many changes were missed: the newest notifications again")
            case "event":
                topic, event = console.plain(fields.get("topic") or "you"), console.plain(fields["name"])
                data = console.plain(msgspec.json.encode(fields["data"]).decode())
                return Text.assemble(" " * 14, ("⚡ ", "magenta"), (f"{topic} ", "dim"), event, f" {data}")
            case "presence":
                changes = [f"{of['recipient']} {change}" for change in ("joined", "left") for of in fields[change]]
                return _note("◦", f"{fields['topic']}: {', '.join(changes)}")
        return None


def _notification(one: dict[str, Any]) -> Text:
    """Return a line with the title, and lines with the other fields below it."""
    mark, mark_style, title_style = READ if one["read_at"] else LINE_STYLES[one["priority"]]
    when = datetime.fromisoformat(one["created_at"]).astimezone().strftime("%d %b %H:%M")
    title = Text(console.plain(one["title"]), title_style)
    type = (f"  {console.plain(one['type'])}", "dim")
    lines = [Text.assemble((f"{when}  ", "dim"), (f"{mark} ", mark_style), title, type)]
    lines += [Text(INDENT + console.plain(line)) for line in (one["body"] or "").splitlines()]
    if one["action_url"]:
        lines.append(Text.assemble(INDENT, ("→ ", "dim"), (console.plain(one["action_url"]), "cyan underline")))
    actor = (one["actor"] or {}).get("name")
    labels = [f"by {console.plain(actor)}"] if actor else []
    labels += [f"#{console.plain(tag)}" for tag in one["tags"]]
    if labels:
        lines.append(Text(INDENT + "  ".join(labels), "dim"))
    return Text("\n").join(lines)


def _note(mark: str, text: str) -> Text:
    return Text(f"{' ' * 14}{mark} {console.plain(text)}", "dim")
