"""`bellcast sql` and `relay`: the outbox in the app's PostgreSQL, watched tables, and the outbox table of any database."""

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from bellcast.cli import options, output
from bellcast.cli.output import CommandError

if TYPE_CHECKING:  # PostgreSQL's driver is an extra
    import asyncpg

    from bellcast.contrib.outbox import OutboxRows
    from bellcast.contrib.relay import Round
    from bellcast.outbox.tables import TableWatch

T = TypeVar("T")

# Maximum length of a refused row on its line.
SHORT = 100
# Rows are pending for milliseconds while a server runs.
LATE_SECONDS = 10

EPILOG = """\
[dim]A row written in a transaction is sent once the transaction commits, and never if it is rolled back:[/]

  bellcast sql install postgresql://shop@db/shop
  psql -c "SELECT bellcast.notify('alice', '{\\"title\\": \\"New booking\\"}')"

[dim]The server reads the outbox of[/] BELLCAST_DATABASE_URL[dim], or of its own store if that is PostgreSQL.[/]
"""
WATCHES = """\
[dim]Examples[/]

  bellcast sql watch bookings
  bellcast sql watch bookings --topic 'studio.{studio_id}' --columns id,status
  bellcast sql watch messages --recipient '{to_user}' --on insert

[dim]Every client that may follow the topic receives the published columns: list only those it may see. Watching a table \
again replaces the previous options.[/]
"""
HELP = "Install the outbox in the app's PostgreSQL and watch its tables."

Url = Annotated[
    str | None, options.argument("[URL]", "The app's PostgreSQL. Default: BELLCAST_DATABASE_URL, else the store.")
]
Table = Annotated[str, options.argument("TABLE", "The table, with its schema if it is not on the search path.")]
UrlAndRow = Annotated[
    list[str] | None,
    options.argument(
        "[URL] [ROW]", "The app's PostgreSQL, as in the other commands, and the row's number. Default: all rows."
    ),
]

app = typer.Typer()
sql = options.group(app, "sql", HELP, EPILOG)


class SqlCommand(options.CliCommand):
    """A command on the app's PostgreSQL."""

    names = ("DATABASE_URL", "STORE")

    def invoke(self, ctx: Any) -> Any:
        """Raise SettingsError without the driver, which the command's modules import."""
        from bellcast.server import adapters

        adapters.need_postgres("BELLCAST_DATABASE_URL")
        return super().invoke(ctx)


@options.command(sql, cls=SqlCommand)
def install(
    ctx: typer.Context,
    url: Url = None,
    grant: Annotated[list[str] | None, options.option("ROLE", "A role that may send. Repeatable.")] = None,
    node: Annotated[list[str] | None, options.option("ROLE", "A role that servers connect as. Repeatable.")] = None,
    printed: Annotated[
        bool, typer.Option("--print", help="Print the SQL instead of running it, for your own migrations.")
    ] = False,
) -> Iterator[Any]:
    """Install or upgrade the outbox in the app's database."""
    from bellcast.outbox import tables

    if printed:
        print(tables.script())
        return
    before, after = _run(ctx, url, lambda connection: tables.install(connection, grant or (), node or ()))
    yield {"from": before, "to": after, "granted": [*(grant or []), *(node or [])]}
    if before == after:
        output.done(f"The outbox is up to date (version {after}).")
    else:
        output.done("The outbox is installed: `SELECT bellcast.notify('alice', '{…}')`.")


@sql.command(cls=options.CliCommand)
def outbox(
    dialect: Annotated[str, options.argument("DIALECT", "sqlite, postgresql or mysql.", show_default=False)],
) -> None:
    """Print the outbox table for an app's own migrations; `bellcast relay` sends its rows."""
    from bellcast.contrib.outbox import DIALECTS, table_sql

    if dialect not in DIALECTS:
        raise CommandError(f"unknown dialect {dialect}", f"expected {', '.join(DIALECTS)}", 2)
    print(table_sql(dialect), end="")


@options.command(sql, cls=SqlCommand)
def uninstall(
    ctx: typer.Context,
    url: Url = None,
    force: Annotated[bool, typer.Option("--force", help="Even if rows are pending. They are lost.")] = False,
) -> Iterator[Any]:
    """Remove the outbox and the triggers of watched tables from the app's database."""
    from bellcast.outbox import tables

    lost = _run(ctx, url, lambda connection: tables.uninstall(connection, force=force))
    yield {"lost": lost}
    output.done("The outbox was removed.", f"{lost} pending rows were lost." if lost else "")


@options.command(sql, cls=SqlCommand)
def status(ctx: typer.Context, url: Url = None) -> Iterator[Any]:
    """Show pending rows, refused rows with the reason, and watched tables."""
    from bellcast.outbox import tables

    result = _run(ctx, url, tables.read_status)
    yield result
    from rich.text import Text

    output.done(f"The outbox is installed, version {result.version}.")
    if not result.waiting:
        output.note("No rows are pending.")
    else:
        late = (result.oldest or 0) > LATE_SECONDS
        hint = " Is a server running with this BELLCAST_DATABASE_URL?" if late else ""
        output.out().print(f"{result.waiting} pending, the oldest for {result.oldest:.0f} s.{hint}", soft_wrap=True)
    if result.later:
        output.note(f"{result.later} postponed: their tenant has reached its rate or budget.")
    if result.refused:
        output.out().print(f"[red]{result.refused} refused[/]; `bellcast sql retry` or `discard`, all or by number:")
    for row in result.refusals:
        output.out().print(Text(f"  {row.id}  {output.plain(row.error)}"), soft_wrap=True)
        output.out().print(Text(f"     {row.kind} {output.plain(row.payload)[:SHORT]}", "dim"), soft_wrap=True)
    if result.watched:
        _show_watches(result.watched)


@options.command(sql, cls=SqlCommand)
def retry(ctx: typer.Context, which: UrlAndRow = None) -> Iterator[Any]:
    """Put refused rows back into the outbox."""
    yield from _end_refusals(ctx, which, is_retry=True)


@options.command(sql, cls=SqlCommand)
def discard(ctx: typer.Context, which: UrlAndRow = None) -> Iterator[Any]:
    """Delete refused rows."""
    yield from _end_refusals(ctx, which, is_retry=False)


@options.command(sql, cls=SqlCommand, epilog=WATCHES)
def watch(
    ctx: typer.Context,
    table: Table,
    url: Url = None,
    topic: Annotated[
        str | None, options.option("TEXT", "The topic; {column} is the row's value. [dim]\\[the table's name]")
    ] = None,
    recipient: Annotated[str | None, options.option("TEXT", "The recipient, such as '{user_id}'.")] = None,
    tenant: Annotated[str | None, options.option("TEXT", "The tenant, such as 'acme' or '{tenant_id}'.")] = None,
    columns: Annotated[str, options.option("LIST", "The published columns. [dim]\\[all]")] = "",
    on: Annotated[str, options.option("LIST", "insert, update, delete, truncate. [dim]\\[all]")] = "",
    name: Annotated[
        list[str] | None, options.option("KIND=NAME", "Names of the events. [dim]\\[TABLE.insert, …]")
    ] = None,
) -> Iterator[Any]:
    """Publish the changes of a table as live events, including those of other programs."""
    from bellcast.outbox import tables

    pairs = [pair.partition("=") for pair in name or ()]
    for kind, _, event in pairs:
        if not event:
            raise CommandError(f"--name {kind}: expected KIND=NAME", "such as --name insert=booking-made", 2)
    _kinds(",".join(kind for kind, _, _ in pairs))
    names: dict[Any, str] = {kind: event for kind, _, event in pairs}
    kinds = _kinds(on) if on else tables.KINDS

    async def install_watch(connection: "asyncpg.Connection") -> "TableWatch":
        await tables.check_installed(connection)
        return await tables.watch(
            connection,
            table,
            columns=_list(columns),
            names=names,
            kinds=kinds,
            topic=topic,
            recipient=recipient,
            tenant=tenant,
        )

    watched = _run(ctx, url, install_watch)
    yield watched
    events = ", ".join(watched.names[kind] for kind in tables.KINDS if kind in watched.names)
    output.done(f"{watched.table} is watched: {events}", f"→ {_reached(watched)}")
    output.note(f"Published columns: {', '.join(watched.columns)}.")


@options.command(sql, cls=SqlCommand)
def unwatch(ctx: typer.Context, table: Table, url: Url = None) -> Iterator[Any]:
    """Stop watching a table."""
    from bellcast.outbox import tables

    name = _run(ctx, url, lambda connection: tables.unwatch(connection, table))
    yield {"unwatched": name}
    output.done(f"{name} is no longer watched.")


@options.command(sql, "list", cls=SqlCommand)
def list_(ctx: typer.Context, url: Url = None) -> Iterator[Any]:
    """List the watched tables."""
    from bellcast.outbox import tables

    result = _run(ctx, url, tables.find_all)
    yield list(result.values())
    if result:
        _show_watches(result)
    else:
        output.note("No table is watched: run `bellcast sql watch TABLE`.")


def _run(ctx: typer.Context, url: str | None, work: Callable[["asyncpg.Connection"], Awaitable[T]]) -> T:
    """Run `work` on the app's database. Raises CommandError with PostgreSQL's message if it rejects a statement."""
    import asyncio

    import asyncpg

    async def connect_and_run() -> T:
        from bellcast.outbox import tables
        from bellcast.settings import load

        value = options.flags(ctx) | ({"database_url": url} if url else {})
        result = load(value).store.outbox_url
        if result is None:
            raise CommandError("no database is configured", "pass its URL, or set BELLCAST_DATABASE_URL", 2)
        async with tables.connected(result) as connection:
            return await work(connection)

    try:
        return asyncio.run(connect_and_run())
    except asyncpg.PostgresError as error:
        raise CommandError(f"PostgreSQL rejected the statement: {error}", "nothing was changed") from error


def _list(value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _kinds(value: str) -> tuple[Any, ...]:
    from bellcast.outbox.tables import KINDS

    unknown = [kind for kind in _list(value) if kind not in KINDS]
    if unknown:
        raise CommandError(f"--on: unknown kind {unknown[0]}", "expected insert, update, delete or truncate", 2)
    return _list(value)


def _end_refusals(ctx: typer.Context, which: list[str] | None, *, is_retry: bool) -> Iterator[Any]:
    """Retry or discard the row that the arguments name, or all, and print their number."""
    from bellcast.outbox import tables

    words = which or []
    urls = [word for word in words if "://" in word]
    rows = [word for word in words if re.fullmatch("[0-9]{1,18}", word)]  # within a bigint
    if len(urls) + len(rows) < len(words) or len(urls) > 1 or len(rows) > 1:
        raise typer.BadParameter("expected a postgresql:// URL, a row's number, or both", param_hint="[URL] [ROW]")
    row = int(rows[0]) if rows else None
    count = _run(
        ctx, next(iter(urls), None), lambda connection: tables.end_refusals(connection, row, is_retry=is_retry)
    )
    yield {"retried" if is_retry else "discarded": count}
    output.done(f"{count} {'row was' if count == 1 else 'rows were'} {'put back' if is_retry else 'deleted'}.")


def _show_watches(watched: Mapping[str, "TableWatch"]) -> None:
    rows = [
        ((name, ", ".join(one.names.values()), _reached(one), ", ".join(one.columns)), None)
        for name, one in watched.items()
    ]
    output.table(("WATCHED", "EVENTS", "AUDIENCE", "COLUMNS"), rows)


def _reached(watched: "TableWatch") -> str:
    """Describe the recipients of a watched table's events."""
    fields = [("topic", watched.topic), ("recipient", watched.recipient), ("tenant", watched.tenant)]
    return ", ".join(f"{field} {value}" for field, value in fields if value is not None)


RELAY_EPILOG = """\
[dim]Examples[/]

  bellcast sql outbox postgresql | psql shop
  bellcast relay postgresql://shop@db/shop
  bellcast relay sqlite:///shop.db --once

[dim]Run it next to an app in any language; several relays on one table are safe. Rows that the server refuses stay in the table with the \
reason in[/] error[dim]. After SIGTERM or Ctrl-C, the relay finishes its current request and exits with status 0.[/]
"""


@app.command(cls=options.RequestCommand, rich_help_panel="Send and follow", epilog=RELAY_EPILOG)
def relay(
    ctx: typer.Context,
    database: Annotated[str, options.argument("DATABASE_URL", "sqlite:///file.db, postgresql://… or mysql://…")],
    once: Annotated[
        bool,
        typer.Option("--once", help="Send all due rows and exit; status 1 if any remain or wait for another attempt."),
    ] = False,
) -> None:
    """Send the rows of the app's outbox table."""
    from bellcast import settings
    from bellcast.cli import remote
    from bellcast.client import Bellcast, Retries
    from bellcast.contrib.relay import Relay, stop_event, why_rows_remain
    from bellcast.contrib.relay_thread import DatabaseRelay

    loaded = options.settings(ctx)
    with Bellcast(settings.url(loaded), remote.credentials(loaded), retries=Retries(tries=1)) as bell:
        if once:
            with closing(_connect(database)) as rows:
                try:
                    done = Relay(rows, bell).run()
                    problem = why_rows_remain(done, rows)
                except Exception as error:  # every driver has its own error classes
                    raise CommandError(f"the outbox cannot be read: {error}", "see `bellcast sql outbox`") from error
            _print_round(done)
            if problem is not None:
                raise CommandError(f"rows are still due: {problem}", "the next run sends them")
            return
        # A wrong URL or a missing driver is an error. If the database becomes unavailable later, the relay waits for
        # it.
        _connect(database).close()
        run = DatabaseRelay(database, bell).run
        stopped = stop_event()
        output.note("The relay runs. Ctrl-C ends it.")
        while not stopped.is_set():
            done = run()
            _print_round(done)
            if done.failure is not None:
                reason = str(done.failure).rstrip(".")
                output.note(f"Bellcast does not accept rows: {reason}; the next attempt is in {done.wait:.0f} s.")
            stopped.wait(max(0.05, done.wait or 0.0))


def _connect(database: str) -> "OutboxRows":
    from bellcast.contrib import outbox

    try:
        return outbox.connect(database)
    except (ImportError, ValueError) as error:
        raise CommandError(str(error), "see bellcast relay --help", 2 if isinstance(error, ValueError) else 1) from None
    except Exception as error:  # every driver has its own error classes
        raise CommandError(f"the database cannot be used: {error}", "check the URL") from error


def _print_round(done: "Round") -> None:
    if done.sent:
        output.done(f"{len(done.sent)} sent")
    for id, reason in done.refused.items():
        output.note(f"Row {id} was refused: {reason}")
    if done.rescheduled:
        output.note(f"{output.counted(len(done.rescheduled), 'row')} will be sent later, for the reason in `error`.")
