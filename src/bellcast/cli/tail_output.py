"""How a followed inbox looks: a sheet of lines for a person, or JSON lines for a script."""

from collections.abc import Callable
from datetime import datetime
from types import TracebackType
from typing import Any, NamedTuple, Self

import msgspec
from rich.markup import escape
from rich.text import Text

from bellcast.cli import console
from bellcast.cli.sse_follower import Frame

INDENT = " " * 16


class LineStyle(NamedTuple):
    """How a priority looks."""

    mark: str
    mark_style: str
    title_style: str


LINE_STYLES = {
    "low": LineStyle("·", "dim", "dim"),
    "normal": LineStyle("●", "cyan", "bold"),
    "high": LineStyle("▲", "yellow", "bold yellow"),
    "urgent": LineStyle("■", "red", "bold white on red"),
}
READ = LineStyle("○", "dim", "dim")


class TailOutput:
    """Frames as JSON, one a line."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Nothing to tidy up."""

    def away(self, reason: str) -> None:
        """The position makes up for it: a script need not know."""

    def show(self, frame: Frame) -> None:
        """One line, at once."""
        if frame.name != "heartbeat":
            print(msgspec.json.encode({"type": frame.name, **frame.fields}).decode(), flush=True)


class TextOutput:
    """Frames as lines for a person, with the state of things in the last one."""

    def __init__(self, recipient: str) -> None:
        self._recipient = escape(console.plain(recipient))
        self._titles: dict[str, str] = {}
        self._state = console.out.status("")
        self._tellers: dict[str, Callable[[dict[str, Any]], Text | None]] = {
            "ready": self._ready,
            "notification": self._notification,
            "notification-update": self._update,
            "notification-delete": self._deletion,
            "counts": _counts,
            "reset": _reset,
            "event": _event,
            "presence": _presence,
        }

    def __enter__(self) -> Self:
        self._state.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._state.stop()

    def away(self, reason: str) -> None:
        """The connection is lost; it is being tried again."""
        self._state.update(f"[yellow]{escape(console.plain(reason))}: trying again[/]")

    def show(self, frame: Frame) -> None:
        """A line for what happened; the counters for the state of things."""
        tell = self._tellers.get(frame.name)
        line = tell(frame.fields) if tell else None
        if line is not None:
            console.out.print(line)
        if "unread" in frame.fields:
            self._state.update(
                f"[bold]{self._recipient}[/]  {frame.fields['unread']} unread  [dim]live, Ctrl-C ends[/]"
            )

    def _ready(self, fields: dict[str, Any]) -> Text | None:
        refused = [
            f"not following {console.plain(it['topic'])}: {console.plain(it['message'])}" for it in fields["refused"]
        ]
        return Text("\n".join(refused), "yellow") if refused else None

    def _notification(self, fields: dict[str, Any]) -> Text:
        it = fields["notification"]
        self._titles[it["id"]] = it["title"]
        look = READ if it["read_at"] else LINE_STYLES[it["priority"]]
        when = datetime.fromisoformat(it["created_at"]).astimezone().strftime("%d %b %H:%M")
        title = Text(console.plain(it["title"]), look.title_style)
        type = (f"  {console.plain(it['type'])}", "dim")
        head = Text.assemble((f"{when}  ", "dim"), (f"{look.mark} ", look.mark_style), title, type)
        return Text("\n").join([head, *_details(it)])

    def _update(self, fields: dict[str, Any]) -> Text:
        it = fields["notification"]
        self._titles[it["id"]] = it["title"]
        state = next((word for word in ("archived", "read", "seen") if it[f"{word}_at"]), "unread")
        return _aside("✓", f"{it['title']}: {state}")

    def _deletion(self, fields: dict[str, Any]) -> Text:
        return _aside("✗", f"{self._titles.pop(fields['id'], fields['id'])}: gone")


def _details(notification: dict[str, Any]) -> list[Text]:
    """The lines under a title."""
    lines = [Text(INDENT + console.plain(line)) for line in (notification["body"] or "").splitlines()]
    if notification["action_url"]:
        url = console.plain(notification["action_url"])
        lines.append(Text.assemble(INDENT, ("→ ", "dim"), (url, "cyan underline")))
    actor = (notification["actor"] or {}).get("name")
    about = [f"by {console.plain(actor)}"] if actor else []
    about += [f"#{console.plain(tag)}" for tag in notification["tags"]]
    return [*lines, Text(INDENT + "  ".join(about), "dim")] if about else lines


def _aside(mark: str, text: str) -> Text:
    return Text(f"{' ' * 14}{mark} {console.plain(text)}", "dim")


def _counts(fields: dict[str, Any]) -> Text | None:
    if "changed" not in fields:
        return None
    which = "all" if fields["ids"] == "all" else str(len(fields["ids"]))
    return _aside("✓", f"{which} {fields['changed']}")


def _reset(fields: dict[str, Any]) -> Text:
    return _aside("↻", "too much happened meanwhile: the newest again")


def _event(fields: dict[str, Any]) -> Text:
    data = console.plain(msgspec.json.encode(fields["data"]).decode())
    topic = console.plain(fields.get("topic") or "you")
    return Text.assemble(" " * 14, ("⚡ ", "magenta"), (f"{topic} ", "dim"), console.plain(fields["name"]), f" {data}")


def _presence(fields: dict[str, Any]) -> Text:
    moves = [f"{one['recipient']} {how}" for how in ("joined", "left") for one in fields[how]]
    return _aside("◦", f"{fields['topic']}: {', '.join(moves)}")
