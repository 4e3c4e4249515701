"""Terminal output. Results go to stdout, everything else to stderr. Rich omits colours if the output is not a terminal,
or if NO_COLOR is set."""

import importlib
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from bellcast.kernel.http import MAX_APP_PAGE_ROWS, MAX_PAGE_ROWS

if TYPE_CHECKING:  # imported with the first output
    from rich.console import Console

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
_MAXIMUM_NUMBER = "Maximum number, newest first."
LimitOption = Annotated[int, typer.Option(min=1, max=MAX_PAGE_ROWS, metavar="NUMBER", help=_MAXIMUM_NUMBER)]
AppLimitOption = Annotated[int, typer.Option(min=1, max=MAX_APP_PAGE_ROWS, metavar="NUMBER", help=_MAXIMUM_NUMBER)]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Validate only; change nothing.")]


@cache
def out() -> "Console":
    """The terminal, or the file, that takes results."""
    from rich.console import Console

    return Console(highlight=False, emoji=False)


@cache
def err() -> "Console":
    """The terminal that takes everything else."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, emoji=False)


def import_structlog() -> None:
    """Import structlog without the packages that it uses if they are installed. Logs have plain tracebacks, and rich would take
    4 MiB and a tenth of the start of a server."""
    modules: dict[str, Any] = sys.modules
    hidden = {name: modules.get(name) for name in ("rich", "greenlet")}
    modules |= dict.fromkeys(hidden)  # None: an import fails
    importlib.import_module("structlog")
    for name, module in hidden.items():
        del modules[name]
        if module is not None:
            modules[name] = module


class CommandError(Exception):
    """A command failed. Its message has the problem and a suggested fix."""

    def __init__(self, problem: str, hint: str, status: int = 1) -> None:
        self.problem, self.hint, self.status = problem.rstrip("."), hint.rstrip("."), status
        start = f" {self.hint[:1].upper()}" if self.problem.endswith("?") else f"; {self.hint[:1]}"
        super().__init__(f"{self.problem}{start}{self.hint[1:]}.")


def fail(message: str, status: int) -> NoReturn:
    """Print an error and exit."""
    err().print("[bold red]Error:[/] ", end="")
    for line in message.split("\n"):  # a server's reason may have control characters
        err().print(plain(line), markup=False, soft_wrap=True)
    sys.exit(status)


def usage(error: typer.TyperException) -> tuple[str, int]:
    """Return the message and the exit status of a usage error."""
    ctx = getattr(error, "ctx", None)
    help = f"{ctx.command_path} --help" if ctx else "bellcast --help"
    message = error.format_message().rstrip(".").replace(". Did you mean", "; did you mean")
    return f"{message}{' See' if message.endswith('?') else '; see'} `{help}`.", error.exit_code


def json(value: Any) -> None:
    """Print a value as JSON."""
    import msgspec

    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def parsed_json(text: str | None, option: str) -> Any:
    """Parse an option's JSON; None for an absent one."""
    import msgspec

    try:
        return None if text is None else msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise typer.BadParameter(f"expected JSON: {error}", param_hint=option) from None


def done(message: str, detail: str = "") -> None:
    """Print a success message of untrusted text."""
    from rich.text import Text

    out().print(
        Text.assemble(("✓ ", "green"), plain(message), (plain(f" {detail}") if detail else "", "dim")), soft_wrap=True
    )


def show(lines: Iterable[str | tuple[str, ...]]) -> None:
    """Print lines of untrusted text. Cells of a line are separated by tabs."""
    for line in lines:
        print(plain(line) if isinstance(line, str) else "\t".join(map(plain, line)), flush=True)


def table(headings: Iterable[str], rows: Iterable[tuple[Iterable[str], str | None]]) -> None:
    """Print cells of untrusted text below headings; each row with a style, or None."""
    from rich.table import Table
    from rich.text import Text

    columns = Table(*headings, box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    for cells, style in rows:
        columns.add_row(*(Text(plain(cell)) for cell in cells), style=style)
    out().print(columns)


def note(text: str) -> None:
    """Print a message of untrusted text on standard error, separate from machine-readable output."""
    from rich.text import Text

    err().print(Text(plain(text), "dim"), soft_wrap=True)


def plain(text: str) -> str:
    """Return untrusted text without terminal control characters."""
    return "".join("\ufffd" if ord(c) < 32 or 127 <= ord(c) < 160 else c for c in text)


@contextmanager
def progress(description: str) -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar on a terminal. Yields a function that takes the completed and the total amount."""
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err(), transient=True, disable=not err().is_terminal) as bars:
        bar = bars.add_task(description, total=None)
        yield lambda done, total: bars.update(bar, completed=done, total=total)


def counted(number: int, word: str, plural: str | None = None) -> str:
    """Return a number with its word: `1 run`, `2 runs`. A word with another plural than by an s needs it."""
    return f"{number} {word if number == 1 else plural or f'{word}s'}"


def size(count: int) -> str:
    """Format a number of bytes with a unit."""
    if count < 1_000_000:
        return f"{count / 1_000:.0f} kB"
    return f"{count / 1_000_000:.1f} MB" if count < 1_000_000_000 else f"{count / 1_000_000_000:.1f} GB"
