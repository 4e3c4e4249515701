"""`bellcast sql`: the outbox in the app's own PostgreSQL, and the tables whose changes are heard."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from bellcast.cli import console, options
from bellcast.cli.console import CommandError

if TYPE_CHECKING:  # PostgreSQL's driver is an extra
    import asyncpg

    from bellcast.outbox.table_watch import Watch, WatchRequest

T = TypeVar("T")

EPILOG = """\
[dim]What is written there in a transaction rings once it is committed, and never if it is rolled back:[/]

  bellcast sql install postgresql://shop@db/shop
  psql -c "SELECT bellcast.notify('alice', '{\\"title\\": \\"New booking\\"}')"

[dim]The server finds it by[/] BELLCAST_DATABASE_URL[dim], or in its own store if that is PostgreSQL.[/]
"""
WATCHES = """\
[dim]Examples[/]

  bellcast sql watch bookings
  bellcast sql watch bookings --topic 'studio.{studio_id}' --columns id,status
  bellcast sql watch messages --recipient '{to_user}' --on insert

[dim]Whoever may follow the topic hears every column that leaves: name those they may see. Watching again replaces what \
was asked before.[/]
"""
FREE = "Put the schema `bellcast` into the app's PostgreSQL, and let its tables be watched."

Url = Annotated[
    str | None,
    typer.Argument(
        metavar="[URL]",
        help="The app's PostgreSQL; else BELLCAST_DATABASE_URL, else the store's.",
        show_default=False,
    ),
]
Table = Annotated[str, typer.Argument(metavar="TABLE", help="Its name, with its schema if need be.")]
UrlAndRow = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[URL] [ROW]",
        help="The app's PostgreSQL, as for the other commands; the row's number, or all rows without.",
        show_default=False,
    ),
]

app = typer.Typer(cls=options.Group)
sql = typer.Typer(cls=options.Group, epilog=EPILOG, help=FREE)
app.add_typer(sql, name="sql", rich_help_panel="Send and follow")

asks = options.with_settings("DATABASE_URL", "STORE")


@sql.callback(invoke_without_command=True)
def alone(ctx: typer.Context) -> None:
    """Help, when it is not said what to do."""
    if ctx.invoked_subcommand is None:
        ctx.get_help()  # rich prints it


@sql.command(cls=asks)
def install(
    ctx: typer.Context,
    url: Url = None,
    grant: Annotated[list[str] | None, typer.Option(metavar="ROLE", help="A role that may send. Repeat it.")] = None,
    node: Annotated[
        list[str] | None, typer.Option(metavar="ROLE", help="A role that servers connect as. Repeat it.")
    ] = None,
    printed: Annotated[bool, typer.Option("--print", help="Print the SQL instead, for your own migrations.")] = False,
    json: console.Json = False,
) -> None:
    """Put the outbox into the app's database, or bring it up to date."""
    _need_driver()
    from bellcast.outbox import schema

    if printed:
        print(schema.script())
        return
    before, after = _ask(ctx, url, lambda connection: schema.install(connection, grant or (), node or ()))
    if json:
        console.json({"from": before, "to": after, "granted": [*(grant or []), *(node or [])]})
    elif before == after:
        console.done(f"The outbox is up to date (version {after}).")
    else:
        console.done("The outbox is there: `SELECT bellcast.notify('alice', '{…}')`.")


@sql.command(cls=asks)
def uninstall(
    ctx: typer.Context,
    url: Url = None,
    force: Annotated[bool, typer.Option("--force", help="Even if rows wait to be sent: they are lost.")] = False,
    json: console.Json = False,
) -> None:
    """Take the outbox out of the app's database, and the triggers of watched tables with it."""
    _need_driver()
    from bellcast.outbox import schema

    lost = _ask(ctx, url, lambda connection: schema.uninstall(connection, force=force))
    if json:
        console.json({"lost": lost})
    else:
        console.done("The outbox is gone.", f"{lost} rows were lost with it." if lost else "")


@sql.command(cls=asks)
def status(ctx: typer.Context, url: Url = None, json: console.Json = False) -> None:
    """Show what waits, what was refused and why, and what is watched."""
    _need_driver()
    from bellcast.cli import outbox_output
    from bellcast.outbox import status as looks

    found = _ask(ctx, url, looks.read_status)
    if json:
        console.json(found)
    else:
        outbox_output.show(found)


@sql.command(cls=asks)
def retry(ctx: typer.Context, which: UrlAndRow = None, json: console.Json = False) -> None:
    """Put refused rows back into the outbox."""
    _need_driver()
    from bellcast.outbox import status as looks

    url, row = _url_and_row(which or [])
    count = _ask(ctx, url, lambda connection: looks.retry(connection, row))
    _counted(count, "put back", "retried", json=json)


@sql.command(cls=asks)
def discard(ctx: typer.Context, which: UrlAndRow = None, json: console.Json = False) -> None:
    """Throw refused rows away."""
    _need_driver()
    from bellcast.outbox import status as looks

    url, row = _url_and_row(which or [])
    count = _ask(ctx, url, lambda connection: looks.discard(connection, row))
    _counted(count, "thrown away", "discarded", json=json)


@sql.command(cls=asks, epilog=WATCHES)
def watch(
    ctx: typer.Context,
    table: Table,
    url: Url = None,
    topic: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="The topic that hears it; {column} is the row's. [dim]\\[the table's name]"),
    ] = None,
    recipient: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Whose connections hear it, as '{user_id}'.")
    ] = None,
    tenant: Annotated[str | None, typer.Option(metavar="TEXT", help="The tenant, as 'acme' or '{tenant_id}'.")] = None,
    columns: Annotated[str, typer.Option(metavar="LIST", help="The columns that leave. [dim]\\[all]")] = "",
    on: Annotated[str, typer.Option(metavar="LIST", help="insert, update, delete, truncate. [dim]\\[all]")] = "",
    name: Annotated[
        list[str] | None, typer.Option(metavar="KIND=NAME", help="What events are called. [dim]\\[TABLE.insert, …]")
    ] = None,
    json: console.Json = False,
) -> None:
    """Let the changes of a table be heard, whoever makes them."""
    _need_driver()
    from bellcast.outbox import table_watch
    from bellcast.outbox.table_watch import WatchRequest

    wish = WatchRequest(
        table=table,
        topic=topic,
        recipient=recipient,
        tenant=tenant,
        columns=_list(columns),
        names=_names(name or []),
        **({"kinds": _kinds(on)} if on else {}),
    )
    watched = _ask(ctx, url, lambda connection: _watch(connection, wish))
    if json:
        console.json(watched)
    else:
        _tell(watched, table_watch.KINDS)


@sql.command(cls=asks)
def unwatch(ctx: typer.Context, table: Table, url: Url = None, json: console.Json = False) -> None:
    """Let a table be."""
    _need_driver()
    from bellcast.outbox import table_watch

    name = _ask(ctx, url, lambda connection: table_watch.unwatch(connection, table))
    if json:
        console.json({"unwatched": name})
    else:
        console.done(f"{name} is watched no more.")


@sql.command("list", cls=asks)
def list_(ctx: typer.Context, url: Url = None, json: console.Json = False) -> None:
    """List the tables that are watched."""
    _need_driver()
    from bellcast.cli import outbox_output
    from bellcast.outbox import table_watch

    found = _ask(ctx, url, table_watch.every)
    if json:
        console.json(list(found.values()))
    elif not found:
        console.note("None yet: `bellcast sql watch TABLE`.")
    else:
        outbox_output.watches(found)


def _url_and_row(words: list[str]) -> tuple[str | None, int | None]:
    """Return the URL and the row's number, each None if it is not given."""
    urls = [word for word in words if "://" in word]
    rows = [word for word in words if word.isascii() and word.isdigit()]
    if len(urls) + len(rows) < len(words) or len(urls) > 1 or len(rows) > 1:
        raise typer.BadParameter("expected a postgresql:// URL, a row's number, or both", param_hint="[URL] [ROW]")
    return next(iter(urls), None), int(rows[0]) if rows else None


def _need_driver() -> None:
    from bellcast.server import adapters

    adapters.need_postgres("BELLCAST_DATABASE_URL")


def _ask(ctx: typer.Context, url: str | None, work: Callable[["asyncpg.Connection"], Awaitable[T]]) -> T:
    """Do something on the app's database. What PostgreSQL refuses ends the command in its own words."""
    import asyncio

    import asyncpg

    async def asked() -> T:
        from bellcast.outbox import schema

        async with schema.connected(_url(ctx, url)) as connection:
            return await work(connection)

    try:
        return asyncio.run(asked())
    except asyncpg.PostgresError as refusal:
        raise CommandError(f"PostgreSQL refuses: {refusal}", "nothing was changed") from refusal


def _url(ctx: typer.Context, url: str | None) -> str:
    from bellcast.settings import load

    given = options.flags(ctx) | ({"database_url": url} if url else {})
    found = load(given).store.outbox_url
    if found is None:
        raise CommandError("no database is named", "give its URL, or set BELLCAST_DATABASE_URL", 2)
    return found


async def _watch(connection: "asyncpg.Connection", wish: "WatchRequest") -> "Watch":
    from bellcast.outbox import schema, table_watch

    await schema.check_installed(connection)
    return await table_watch.watch(connection, wish)


def _list(given: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in given.split(",") if part.strip())


def _kinds(given: str) -> tuple[Any, ...]:
    from bellcast.outbox.table_watch import KINDS

    wrong = [kind for kind in _list(given) if kind not in KINDS]
    if wrong:
        raise CommandError(f"--on: there is no {wrong[0]}", "it is insert, update, delete or truncate", 2)
    return _list(given)


def _names(given: list[str]) -> dict[Any, str]:
    pairs = [one.partition("=") for one in given]
    for kind, _, name in pairs:
        if not name:
            raise CommandError(f"--name {kind}: it names nothing", "write --name insert=booking-made", 2)
    _kinds(",".join(kind for kind, _, _ in pairs))
    return {kind: name for kind, _, name in pairs}


def _tell(watched: "Watch", kinds: tuple[Any, ...]) -> None:
    from bellcast.cli import outbox_output

    told = ", ".join(watched.names[kind] for kind in kinds if kind in watched.names)
    console.done(f"{watched.table} is watched: {told}", f"→ {outbox_output.reached(watched)}")
    console.note(f"These columns leave: {', '.join(watched.columns)}.")


def _counted(count: int, done: str, key: str, *, json: bool) -> None:
    if json:
        console.json({key: count})
    else:
        console.done(f"{count} {'row was' if count == 1 else 'rows were'} {done}.")
