"""`bellcast backup`, `restore`, `migrate`, `encryption` and `secrets`: the store, and the keys that encrypt secrets in it."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bellcast.cli import options, output
from bellcast.cli.objects import request
from bellcast.cli.output import CommandError
from bellcast.kernel.errors import Unavailable

if TYPE_CHECKING:  # imported when the command runs, not for --help
    from bellcast.settings import Settings

MIGRATE_EPILOG = """\
[dim]A server upgrades its store when it starts. To test the upgrade first: stop the server, back up, migrate, start.[/]

  bellcast migrate --store postgresql://db/bell --from ./bellcast-data

[dim]moves the SQLite store of a data folder into an empty PostgreSQL database in one transaction, and compares the row \
counts. Stop the server first. Clients resume at their position on the new store.[/]
"""

From = Annotated[Path | None, options.option("FOLDER", "Move the SQLite store of this data folder.", "--from")]

app = typer.Typer()
StoreCommand = options.with_settings("DATA", "STORE")


@options.command(app, cls=StoreCommand, rich_help_panel="Maintenance", epilog=MIGRATE_EPILOG)
def migrate(ctx: typer.Context, source: From = None) -> Iterator[Any]:
    """Upgrade the store, or move it to PostgreSQL."""
    import asyncio

    from bellcast.cli import logs
    from bellcast.kernel.clock import SystemClock
    from bellcast.kernel.db.migrations import sqlite as migrations
    from bellcast.kernel.db.sqlite import SqliteEngine
    from bellcast.settings import credentials
    from bellcast.settings.table import FILE

    settings = options.settings(ctx)
    logs.configure(settings.server)
    if source is not None:
        if settings.store.is_file:
            raise CommandError("--from moves a store to PostgreSQL", "pass the database with --store postgresql://…")
        url, file = _database(settings), source / FILE if source.is_dir() else source
        from bellcast.kernel.db import postgres_copies

        with output.progress(f"Moving {file}") as progress:
            counts = asyncio.run(postgres_copies.transfer(file, url, progress))
        yield {"moved": str(file), "rows": counts}
        output.done(f"{file} was moved to PostgreSQL: {sum(counts.values()):,} rows, counted on both sides.")
        return
    if settings.store.is_file:
        store = str(settings.store.path)
        before, after = version(settings.store.path), max(migrations.steps())
        credentials.prepare_folder(settings)

        async def open_once() -> None:
            engine = SqliteEngine(settings.store.path, SystemClock())
            await engine.open()
            await engine.close()

        with output.err().status(f"Migrating {store}"):
            asyncio.run(open_once())
    else:
        url, store = _database(settings), "the PostgreSQL store"
        from bellcast.kernel.db import postgres_copies

        with output.err().status("Migrating the PostgreSQL store"):
            before, after = asyncio.run(postgres_copies.bring_up_to_date(url))
    yield {"store": store, "from": before, "to": after}
    if before == after:
        output.done(f"{store} is up to date (version {after}).")
    elif before:
        output.done(f"{store} was upgraded from version {before} to {after}.")
    else:
        output.done(f"{store} was created at version {after}.")


def _database(settings: "Settings") -> str:
    """Return the URL of the store. Raises SettingsError if the driver, which `postgres_copies` imports, is not installed."""
    from bellcast.server import adapters

    adapters.need_postgres()
    return settings.store.url or ""


def version(path: Path) -> int:
    """Return the version of the SQLite store; 0 if it does not exist."""
    import sqlite3

    from bellcast.kernel.db.migrations import sqlite as migrations
    from bellcast.kernel.db.sqlite_connection import translated

    if not path.exists():
        return 0
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            return migrations.version(connection)
    except sqlite3.Error as error:
        raise translated(error) from error


BACKUP_EPILOG = """\
[dim]Examples[/]

  bellcast backup /backups/bellcast-$(date +%F).db
  bellcast backup /backups/now.db --data /var/lib/bellcast

[dim]The copy is a consistent snapshot in one SQLite file, also of a store on PostgreSQL. It does not contain the credentials: back up[/] project.json \
[dim]of the data folder separately, or set[/] BELLCAST_PROJECT[dim].[/]
"""


@options.command(app, cls=StoreCommand, rich_help_panel="Maintenance", epilog=BACKUP_EPILOG)
def backup(
    ctx: typer.Context,
    file: Annotated[Path, options.argument("FILE", "A new file. An existing file is never overwritten.")],
) -> Iterator[Any]:
    """Copy the store into a file, even while a server is running."""
    import asyncio

    from bellcast.kernel.db import backup as sqlite_backup

    settings = options.settings(ctx)
    store = settings.store
    os.umask(0o077)  # the copy contains the notifications of all recipients
    label = str(store.path) if store.is_file else "the PostgreSQL store"
    with output.progress(f"Copying {label}") as progress:
        if store.is_file:
            sqlite_backup.backup(store.path, file, progress)
        else:
            url = _database(settings)
            from bellcast.kernel.db import postgres_copies

            asyncio.run(postgres_copies.dump(url, file, progress))
    size = file.stat().st_size
    yield {"store": label, "file": str(file), "bytes": size}
    output.done(f"Copied {label} to {file} ({output.size(size)}).")


RESTORE_EPILOG = """\
[dim]Example[/]

  bellcast restore /backups/bellcast-2026-01-31.db --data /var/lib/bellcast
  [dim]# after a restore by other tools, such as a disk snapshot[/]
  bellcast restore --positions

[dim]Stop the server first. The file is verified before anything is changed. A backup of an older version is upgraded. Live \
clients refetch their inboxes.[/]
"""


@options.command(app, cls=StoreCommand, rich_help_panel="Maintenance", epilog=RESTORE_EPILOG)
def restore(
    ctx: typer.Context,
    file: Annotated[Path | None, options.argument("[FILE]", "A file created by `bellcast backup`.")] = None,
    positions: Annotated[
        bool, typer.Option("--positions", help="Only make clients refetch: the store was restored by other tools.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing store. Its data is lost.")] = False,
) -> Iterator[Any]:
    """Replace the store with a backup."""
    import asyncio

    from bellcast.cli import logs
    from bellcast.kernel.db import backup as sqlite_backup

    settings = options.settings(ctx)
    logs.configure(settings.server)
    if (file is None) is not positions:
        raise typer.BadParameter("pass either a file or --positions", param_hint="FILE")
    if file is None:
        store = str(settings.store.path) if settings.store.is_file else "the PostgreSQL store"
        if settings.store.is_file:
            sqlite_backup.renew_positions(settings.store.path)
        else:
            url = _database(settings)
            from bellcast.kernel.db import postgres_copies

            asyncio.run(postgres_copies.renew_positions(url))
        yield {"store": store}
        output.done(f"All positions in {store} are unknown now: each client refetches its inbox.")
        return
    if file.exists() and not file.is_file():
        raise CommandError(f"{file} is not a file", "pass a file created by `bellcast backup`")
    try:
        found = version(file)
    except Unavailable as damaged:
        raise CommandError(f"{file}: {damaged.detail}", "pass another backup") from None
    if found == 0:
        state = "is not a backup" if file.exists() and file.stat().st_size else "is empty or does not exist"
        raise CommandError(f"{file} {state}", "pass a file created by `bellcast backup`")
    yield from (_into_file if settings.store.is_file else _into_database)(settings, file, force=force)


def _into_database(settings: "Settings", file: Path, *, force: bool) -> Iterator[Any]:
    import asyncio

    url = _database(settings)
    from bellcast.kernel.db import postgres_copies

    with output.progress("Restoring the PostgreSQL store") as progress:
        counts = asyncio.run(postgres_copies.restore(file, url, progress, replace=force))
    yield {"file": str(file), "rows": counts}
    output.done(f"{file} was restored to PostgreSQL: {sum(counts.values()):,} rows, counted on both sides.")


def _into_file(settings: "Settings", file: Path, *, force: bool) -> Iterator[Any]:
    from bellcast.kernel.db import backup as sqlite_backup
    from bellcast.settings import credentials

    path = settings.store.path
    if path.exists() and not force:
        raise CommandError(f"{path} already exists", "pass another folder with --data, or replace it with --force")
    credentials.prepare_folder(settings)
    with output.progress(f"Restoring {path}") as progress:
        sqlite_backup.restore(file, path, progress)
    yield {"file": str(file), "store": str(path), "bytes": path.stat().st_size}
    output.done(f"{file} was restored to {path} ({output.size(path.stat().st_size)}).")


KEY_EPILOG = """\
[dim]The key is in[/] encryption.json [dim]in the data folder, unless BELLCAST_ENCRYPTION_KEY or BELLCAST_PROJECT is set. Keep a copy of \
the file: without it, providers and webhooks of a restored backup cannot be used.[/]
"""

encryption = options.group(
    app, "encryption", "Generate a new encryption key in the data folder.", KEY_EPILOG, "Maintenance"
)


@options.command(encryption, "rotate", cls=options.with_settings("DATA", "ENCRYPTION_KEY"), epilog=KEY_EPILOG)
def replace_key(ctx: typer.Context) -> Iterator[Any]:
    """Generate a new key. At its next start, the server re-encrypts all stored secrets with it."""
    from bellcast.settings import credentials, existing_project

    settings = options.settings(ctx)
    if existing_project(settings) is None:
        raise CommandError(
            f"{settings.store.data} is not the data folder of a server", "pass the server's folder with --data"
        )
    file = credentials.rotate_encryption_key(settings)
    yield {"file": str(file)}
    output.done(f"Wrote a new key to {file};", "restart the server to use it, and keep a copy of the file")


SECRETS_EPILOG = """\
[dim]To replace a key: append the new one to BELLCAST_ENCRYPTION_KEY on all servers (old:…,new:…) and restart them; put it first and \
restart them; run [/]bellcast secrets rotate[dim]; remove the old one when no secret uses it. Keep old keys for old backups.[/]
"""

secrets = options.group(
    app,
    "secrets",
    "Encrypt stored secrets with the current key, and count those of each.",
    SECRETS_EPILOG,
    "Maintenance",
)


@secrets.command(cls=options.RequestCommand, epilog=SECRETS_EPILOG)
def rotate(ctx: typer.Context, json: output.JsonFlag = False) -> None:
    """Encrypt all stored secrets with the server's first key. Safe to interrupt and to repeat."""
    import msgspec

    from bellcast.cli import remote

    changed: dict[str, int] = {}
    with (
        (output.err() if json else output.out()).status("Reading the secrets") as status,
        options.server(ctx) as client,
        remote.stream(client, "POST", "/v1/secrets/rotation") as response,
    ):
        for line in response.iter_lines():
            one = msgspec.json.decode(line)
            changed[one["kind"]] = one["changed"]
            status.update(f"{one['kind']}: {one['checked']} read, {one['changed']} re-encrypted")
        usage = request(client, "GET", "/v1/secrets")
    if json:
        output.json({"changed": sum(changed.values()), **usage})
        return
    output.done(f"Re-encrypted {output.counted(sum(changed.values()), 'object')}")
    show_usage(usage)


@options.command(secrets, epilog=SECRETS_EPILOG)
def keys(client: "options.Bellcast") -> Iterator[Any]:
    """List the keys, and the number of secrets that each has encrypted."""
    usage = request(client, "GET", "/v1/secrets")
    yield usage
    show_usage(usage)


def show_usage(usage: dict[str, Any]) -> None:
    for one in usage["keys"]:
        use = "encrypts" if one["is_current"] else "in use" if one["secrets"] else "not in use"
        print(f"{one['id']}\t{output.counted(one['secrets'], 'secret')}\t{use}", flush=True)
    if usage["unreadable"]:
        unreadable = output.counted(usage["unreadable"], "secret")
        output.note(f"{unreadable} cannot be decrypted with these keys: add the key that encrypted them.")
