"""`bellcast import`: imports notifications of another system from a file."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from bellcast.cli import console, options
from bellcast.cli.console import CommandError

if TYPE_CHECKING:  # imported when the command runs, not for --help
    from bellcast.cli.import_files import FileFormat, FileRow, Mapped
    from bellcast.client import Bellcast, BulkResult

EPILOG = """\
[dim]Examples[/]

  bellcast import notifications.ndjson
  bellcast import notifications.csv --map user_id=to --timezone UTC
  zcat notifications.csv.gz | bellcast import - --format csv

[dim]Fields are those of a draft, plus[/] created_at seen_at read_at archived_at read[dim]. Recipients are not alerted. A file can be \
imported again: existing rows do not change. Invalid rows are listed with their lines, and the exit status is 1; all other rows are imported.[/]
"""
# Rows per request. Small requests show progress and let the server's writer handle sends in between.
BATCH_ROWS = 1_000
BATCH_BYTES = 8 * 1024 * 1024
# Maximum errors in the JSON summary; standard error has all of them.
MAX_LISTED_ERRORS = 1_000

app = typer.Typer()


@app.command("import", cls=options.RequestCommand, rich_help_panel="Send and follow", epilog=EPILOG)
def import_(
    ctx: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="A CSV, JSON or NDJSON file; - reads standard input.")],
    format: Annotated[
        str | None, typer.Option(help="The format, if the file has no such extension.", metavar="csv|json|ndjson")
    ] = None,
    map: Annotated[
        list[str] | None, typer.Option(help="Rename a column or field. Repeatable.", metavar="OLD=NEW")
    ] = None,
    drop_unknown: Annotated[bool, typer.Option("--drop-unknown", help="Ignore unknown columns and fields.")] = False,
    timezone: Annotated[
        str | None, typer.Option(help="The time zone of times without a UTC offset.", metavar="ZONE")
    ] = None,
    tenant: Annotated[str | None, typer.Option(help="The tenant of rows without one.", metavar="TENANT")] = None,
    json: console.JsonFlag = False,
) -> None:
    """Import notifications of another system, with their times and read state."""
    from bellcast.cli.import_files import FIELDS, Mapped, rows
    from bellcast.kernel.local_times import find_zone

    chosen = _format(file, format)
    zone = None if timezone is None else find_zone(timezone)
    if zone is None and timezone is not None:
        raise typer.BadParameter("expected a time zone such as Europe/Berlin", param_hint="--timezone")
    names = {}
    for pair in map or ():
        old, separator, new = pair.partition("=")
        if not separator or new not in FIELDS:
            raise typer.BadParameter(f"expected OLD=NEW with one of {', '.join(sorted(FIELDS))}", param_hint="--map")
        names[old] = new
    mapped = Mapped(names, zone, drop_unknown)
    with (
        options.server(ctx) as client,
        _opened(file) as (stream, size),
        console.progress("Importing") as show,
    ):
        run = FileImport(client, mapped, tenant, file)
        run.read(rows(stream, chosen), lambda: show(stream.tell(), size) if size else None)
    if json:
        console.json({"imported": run.imported, "existing": run.existing, "refused": run.refused, "errors": run.errors})
    else:
        of_one = "1 notification is in its inbox"
        known = f"; {run.existing} of them were imported before" if run.existing else ""
        console.done((of_one if run.imported == 1 else f"{run.imported} notifications are in their inboxes") + known)
    if run.refused:
        raise CommandError(f"{run.refused} rows were not imported", "correct them and import the file again")


class FileImport:
    """One import: rows are sent in batches, and refusals are printed with their lines."""

    def __init__(self, client: "Bellcast", mapped: "Mapped", tenant: str | None, file: str) -> None:
        self.imported = 0
        self.existing = 0  # of the imported ones, those that changed nothing
        self.refused = 0
        self.errors: list[dict[str, Any]] = []
        self._client, self._mapped, self._tenant, self._file = client, mapped, tenant, file
        self._batch: list[tuple[int, Any]] = []
        self._bytes = 0

    def read(self, rows: "Iterator[FileRow]", batch_sent: Any) -> None:
        """Import rows. If the file is broken, the rows before the error are imported."""
        from bellcast.cli.import_files import BrokenFile

        try:
            for row in rows:
                self._add(row)
                if len(self._batch) == BATCH_ROWS or self._bytes >= BATCH_BYTES:
                    self._send()
                    batch_sent()
        except BrokenFile as error:
            self._send()
            raise CommandError(f"{self._file}: {error}", "correct the file and import it again") from None
        self._send()

    def _add(self, row: "FileRow") -> None:
        from bellcast.cli.import_files import InvalidRow, notification

        if row.problem is not None:
            self._refuse(row.line, row.problem)
            return
        try:
            item = notification(row.value, self._mapped, self._tenant)
        except InvalidRow as error:
            self._refuse(row.line, str(error))
            return
        self._batch.append((row.line, item))
        self._bytes += len(str(item))

    def _send(self) -> None:
        from bellcast.client import BulkInterrupted

        if not self._batch:
            return
        lines, items = zip(*self._batch, strict=True)
        try:
            results = self._client.import_notifications(items)
        except BulkInterrupted as error:
            raise CommandError(
                f"the import stopped after {self.imported} notifications, before line {lines[0]}: {error.__cause__}",
                "run the same command again; existing rows do not change",
            ) from error
        self._batch, self._bytes = [], 0
        self.existing += results.existing
        for line, result in zip(lines, results, strict=True):
            if result.error is None:
                self.imported += 1
            else:
                self._refuse(line, _problem(result))

    def _refuse(self, line: int, problem: str) -> None:
        self.refused += 1
        if len(self.errors) < MAX_LISTED_ERRORS:
            self.errors.append({"line": line, "error": problem})
        console.note(f"line {line}: {console.plain(problem)}")


def _problem(result: "BulkResult") -> str:
    """Return the error of an item; fields without the item's number."""
    problem = result.error
    if problem is None:
        return ""
    if problem.errors:
        return "; ".join(f"{one.field.partition('.')[2] or one.field}: {one.message}" for one in problem.errors)
    return problem.detail or problem.code


def _format(file: str, format: str | None) -> "FileFormat":
    from bellcast.cli.import_files import SUFFIXES, format_of

    if format is None:
        found = format_of(file)
        if found is None:
            raise typer.BadParameter("the file name has no known extension; pass --format", param_hint="FILE")
        return found
    if format not in SUFFIXES.values():
        raise typer.BadParameter("expected csv, json or ndjson", param_hint="--format")
    return format  # type: ignore[return-value]  # it is one of them


@contextmanager
def _opened(file: str) -> Iterator[tuple[BinaryIO, int]]:
    """Open a file; yield it with its size, 0 for standard input."""
    if file == "-":
        yield sys.stdin.buffer, 0
        return
    with ExitStack() as stack:
        try:
            stream = stack.enter_context(Path(file).open("rb"))
        except OSError as error:
            raise CommandError(f"{file} cannot be read: {error.strerror}", "check the path") from None
        yield stream, Path(file).stat().st_size
