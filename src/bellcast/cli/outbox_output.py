"""Prints the state of an outbox: pending rows, refused rows and watched tables."""

from collections.abc import Mapping

from rich.table import Table
from rich.text import Text

from bellcast.cli import console
from bellcast.outbox.status import Status
from bellcast.outbox.table_watch import TableWatch

# Maximum length of a refused row on its line.
SHORT = 100
# Rows are pending for milliseconds while a server runs.
LATE_SECONDS = 10


def show(status: Status) -> None:
    console.done(f"The outbox is installed, version {status.version}.")
    if not status.waiting:
        console.note("No rows are pending.")
    else:
        late = (status.oldest or 0) > LATE_SECONDS
        hint = " Is a server running with this BELLCAST_DATABASE_URL?" if late else ""
        console.out().print(f"{status.waiting} pending, the oldest for {status.oldest:.0f} s.{hint}", soft_wrap=True)
    if status.later:
        console.note(f"{status.later} postponed: their tenant has reached its rate or budget.")
    _refused(status)
    if status.watched:
        watches(status.watched)


def _refused(status: Status) -> None:
    if not status.refused:
        return
    console.out().print(f"[red]{status.refused} refused[/]; `bellcast sql retry` or `discard`, all or by number:")
    for row in status.refusals:
        console.out().print(Text(f"  {row.id}  {console.plain(row.error)}"), soft_wrap=True)
        console.out().print(Text(f"     {row.kind} {console.plain(row.payload)[:SHORT]}", "dim"), soft_wrap=True)


def watches(watched: Mapping[str, TableWatch]) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    for heading in ("WATCHED", "EVENTS", "AUDIENCE", "COLUMNS"):
        table.add_column(heading)
    for name, watch in watched.items():
        cells = (name, ", ".join(watch.names.values()), reached(watch), ", ".join(watch.columns))
        table.add_row(*(Text(console.plain(cell)) for cell in cells))
    console.out().print(table)


def reached(watched: TableWatch) -> str:
    """Describe the recipients of a watched table's events."""
    fields = [("topic", watched.topic), ("recipient", watched.recipient), ("tenant", watched.tenant)]
    return ", ".join(f"{field} {value}" for field, value in fields if value is not None)
