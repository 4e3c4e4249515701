"""Output of `bellcast tail`: text lines, or JSON lines for scripts."""

from collections.abc import Callable
from datetime import datetime
from types import TracebackType
from typing import Any, NamedTuple, Self

import msgspec
from rich.markup import escape
from rich.text import Text

from bellcast.cli import console
from bellcast.cli.sse_follower import SseFrame

INDENT = " " * 16


class LineStyle(NamedTuple):
    """Style of a priority."""

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
    """Prints one JSON frame per line."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """No-op."""

    def disconnected(self, reason: str) -> None:
        """No-op: the stream resumes without loss."""

    def show(self, frame: SseFrame) -> None:
        if frame.name != "heartbeat":
            print(msgspec.json.encode({"type": frame.name, **frame.fields}).decode(), flush=True)


class TextOutput:
    """Prints frames as text, with connection state and counters in a status line."""

    def __init__(self, recipient: str) -> None:
        self._recipient = escape(console.plain(recipient))
        self._titles: dict[str, str] = {}
        self._state = console.out().status("")
        self._formatters: dict[str, Callable[[dict[str, Any]], Text | None]] = {
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

    def disconnected(self, reason: str) -> None:
        """Show that the connection was lost."""
        self._state.update(f"[yellow]{escape(console.plain(reason))}: reconnecting[/]")

    def show(self, frame: SseFrame) -> None:
        """Print a line for the frame, and update the counters."""
        formatter = self._formatters.get(frame.name)
        line = formatter(frame.fields) if formatter else None
        if line is not None:
            console.out().print(line)
        if "unread" in frame.fields:
            self._state.update(
                f"[bold]{self._recipient}[/]  {frame.fields['unread']} unread  [dim]live, Ctrl-C stops[/]"
            )

    def _ready(self, fields: dict[str, Any]) -> Text | None:
        refused = [
            f"not following {console.plain(notification['topic'])}: {console.plain(notification['message'])}"
            for notification in fields["refused"]
        ]
        return Text("\n".join(refused), "yellow") if refused else None

    def _notification(self, fields: dict[str, Any]) -> Text:
        notification = fields["notification"]
        self._titles[notification["id"]] = notification["title"]
        style = READ if notification["read_at"] else LINE_STYLES[notification["priority"]]
        when = datetime.fromisoformat(notification["created_at"]).astimezone().strftime("%d %b %H:%M")
        title = Text(console.plain(notification["title"]), style.title_style)
        type = (f"  {console.plain(notification['type'])}", "dim")
        head = Text.assemble((f"{when}  ", "dim"), (f"{style.mark} ", style.mark_style), title, type)
        return Text("\n").join([head, *_details(notification)])

    def _update(self, fields: dict[str, Any]) -> Text:
        notification = fields["notification"]
        self._titles[notification["id"]] = notification["title"]
        state = next((name for name in ("archived", "read", "seen") if notification[f"{name}_at"]), "unread")
        return _note("✓", f"{notification['title']}: {state}")

    def _deletion(self, fields: dict[str, Any]) -> Text:
        return _note("✗", f"{self._titles.pop(fields['id'], fields['id'])}: deleted")


def _details(notification: dict[str, Any]) -> list[Text]:
    """Return the lines below the title."""
    lines = [Text(INDENT + console.plain(line)) for line in (notification["body"] or "").splitlines()]
    if notification["action_url"]:
        url = console.plain(notification["action_url"])
        lines.append(Text.assemble(INDENT, ("→ ", "dim"), (url, "cyan underline")))
    actor = (notification["actor"] or {}).get("name")
    labels = [f"by {console.plain(actor)}"] if actor else []
    labels += [f"#{console.plain(tag)}" for tag in notification["tags"]]
    return [*lines, Text(INDENT + "  ".join(labels), "dim")] if labels else lines


def _note(mark: str, text: str) -> Text:
    return Text(f"{' ' * 14}{mark} {console.plain(text)}", "dim")


def _counts(fields: dict[str, Any]) -> Text | None:
    if "changed" not in fields:
        return None
    which = "all" if fields["ids"] == "all" else str(len(fields["ids"]))
    return _note("✓", f"{which} {fields['changed']}")


def _reset(fields: dict[str, Any]) -> Text:
    return _note("↻", "too many changes were missed: the newest notifications again")


def _event(fields: dict[str, Any]) -> Text:
    data = console.plain(msgspec.json.encode(fields["data"]).decode())
    topic = console.plain(fields.get("topic") or "you")
    return Text.assemble(" " * 14, ("⚡ ", "magenta"), (f"{topic} ", "dim"), console.plain(fields["name"]), f" {data}")


def _presence(fields: dict[str, Any]) -> Text:
    changes = [f"{member['recipient']} {change}" for change in ("joined", "left") for member in fields[change]]
    return _note("◦", f"{fields['topic']}: {', '.join(changes)}")
