"""An outbox on the terminal: what waits, what was refused, what is watched."""

from collections.abc import Mapping

from rich.table import Table
from rich.text import Text

from bellcast.cli import console
from bellcast.outbox.status import Status
from bellcast.outbox.table_watch import Watch

# Maximum length of a rejected row on one line.
SHORT = 100
# Rows wait for milliseconds while a server is there.
LATE_SECONDS = 10


def show(status: Status) -> None:
    """All of it."""
    console.done(f"The outbox is there, version {status.version}.")
    if not status.waiting:
        console.note("Nothing waits.")
    else:
        late = (status.oldest or 0) > LATE_SECONDS
        todo = " Is a server running with this BELLCAST_DATABASE_URL?" if late else ""
        console.out.print(f"{status.waiting} wait, the oldest for {status.oldest:.0f} s.{todo}", soft_wrap=True)
    if status.later:
        console.note(f"{status.later} are put off: their tenant has sent as much as it may for now.")
    _refused(status)
    if status.watched:
        watches(status.watched)


def _refused(status: Status) -> None:
    if not status.refused:
        return
    console.out.print(f"[red]{status.refused} refused[/]; `bellcast sql retry` or `discard`, all or by number:")
    for one in status.refusals:
        console.out.print(Text(f"  {one.id}  {console.plain(one.error)}"), soft_wrap=True)
        console.out.print(Text(f"     {one.kind} {console.plain(one.payload)[:SHORT]}", "dim"), soft_wrap=True)


def watches(watched: Mapping[str, Watch]) -> None:
    """The tables that are watched."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    for heading in ("WATCHED", "EVENTS", "REACHES", "COLUMNS"):
        table.add_column(heading)
    for name, one in watched.items():
        cells = (name, ", ".join(one.names.values()), reached(one), ", ".join(one.columns))
        table.add_row(*(Text(console.plain(cell)) for cell in cells))
    console.out.print(table)


def reached(watched: Watch) -> str:
    """Describe the recipients of a watched table's events."""
    named = [("topic", watched.topic), ("recipient", watched.recipient), ("tenant", watched.tenant)]
    return ", ".join(f"{what} {who}" for what, who in named if who is not None)
