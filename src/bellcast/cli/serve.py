"""`bellcast serve`: the server."""

import contextlib
import errno
import os
import resource
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from bellcast import __version__, errors
from bellcast.cli import console, options
from bellcast.cli.console import CommandError

if TYPE_CHECKING:  # the house is imported when the server starts, not for --help
    from bellcast.model.identities import Project
    from bellcast.server import App
    from bellcast.settings import Settings

EPILOG = """\
[dim]Examples[/]

  [dim]# on port 8787, data in ./bellcast-data[/]
  bellcast serve
  bellcast serve --host 0.0.0.0 --port 80 --data /var/lib/bellcast
  [dim]# your Python handlers respond to what clients call[/]
  bellcast serve --handlers shop.bells:handlers

[dim]The first start makes the project's credentials, prints them once and keeps them in the data folder;[/] \
BELLCAST_PROJECT=id:key[not dim]:[/]secret [dim]gives your own.
Every limit and dialect setting is an option too (--limit-body 20000);[/] bellcast config [dim]lists them. SIGTERM and Ctrl-C drain: \
clients are told to come back, then it ends with status 0.[/]
"""
# What a parent tells its workers; nobody types it.
AsWorker = Annotated[str | None, typer.Option("--as-worker", hidden=True)]
GROUPS = ("server", "store", "access", "native", "pusher", "socketio", "limits")

app = typer.Typer()


@app.command(cls=options.with_settings(groups=GROUPS), rich_help_panel="Server", epilog=EPILOG)
def serve(ctx: typer.Context, as_worker: AsWorker = None) -> None:
    """Run the server."""
    from bellcast import server
    from bellcast.cli import data_folder, logs
    from bellcast.settings import project
    from bellcast.settings.groups import MEMORY

    settings = options.settings(ctx)
    logs.configure(settings.server)
    data_folder.prepare(settings)
    _allow_files()
    if as_worker is not None:
        _work(settings, as_worker)
        return
    if settings.store.broker != MEMORY:
        _warn_of_machines()
    made, is_new = project(settings)
    if is_new:
        introduce(made, settings)
    if settings.server.workers > 1:
        _supervise(settings)
    else:
        run(server.create_app(settings), _listening)


def _warn_of_machines() -> None:
    """What several machines need that one does not."""
    import structlog

    said = "over several machines, Socket.IO's polling needs a balancer that keeps each client on one of them"
    structlog.get_logger(__name__).info(said)


def _listening(url: str) -> None:
    print(f"Bellcast {__version__} is listening on {url}", flush=True)


def _supervise(settings: "Settings") -> None:
    """Be the parent of the workers."""
    from bellcast.cli import supervisor

    try:
        with _stored_address(settings, _listening) as ready:
            status = supervisor.Supervisor(settings, ready).run(settings.server.host, settings.server.port)
    except OSError as reason:
        raise _no_start(reason, settings) from None
    if status:
        raise typer.Exit(status)


def _work(settings: "Settings", told: str) -> None:
    """Be one of the workers."""
    from msgspec import structs

    from bellcast import server
    from bellcast.cli import supervisor
    from bellcast.live.socketio.socket_handoff import SocketHandoff

    at = supervisor.parse_worker_args(told)
    supervisor.end_with_parent(at)
    own = structs.replace(settings, server=structs.replace(settings.server, port=at.port))
    app = server.create_app(own, neighbours=SocketHandoff(at.doors))
    server.serve(app, lambda url: supervisor.told_ready(at, url), shared=True)


def introduce(project: "Project", settings: "Settings") -> None:
    """Show new credentials, once."""
    from rich.markup import escape
    from rich.panel import Panel
    from rich.table import Table

    from bellcast.cli import data_folder

    table = Table.grid(padding=(0, 2))
    for name, value in (("id", project.id), ("key", project.key), ("secret", str(project.secret))):
        table.add_row(f"[dim]{name}[/]", f"[bold]{value}[/]")
    table.add_row("[dim]kept in[/]", f"{escape(str(data_folder.credentials(settings)))} [dim](readable by you only)[/]")
    console.err.print(Panel(table, title="Your project's new credentials", title_align="left", expand=False))


def _allow_files() -> None:
    """Each live connection is an open file: take as many as the system lets us."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # macOS names no hard limit, and refuses what it names.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def run(app: "App", ready: Callable[[str], None]) -> None:
    """Serve until told to end; `ready` hears the URL once connections are accepted."""
    from bellcast import server

    try:
        with _stored_address(app.settings, ready) as stores:
            server.serve(app, stores)
    except OSError as reason:
        raise _no_start(reason, app.settings) from None
    except errors.Unavailable as error:
        if not app.settings.store.is_file:
            raise
        todo = "correct BELLCAST_DATA or BELLCAST_STORE, or restore a backup with `bellcast restore`"
        raise CommandError(f"{app.settings.store.path}: {error.detail}", todo) from None


@contextlib.contextmanager
def _stored_address(settings: "Settings", ready: Callable[[str], None]) -> Iterator[Callable[[str], None]]:
    """Keep the server's URL in the data folder from the call of the returned `ready` to the end of the block.

    A folder that cannot be written does not stop the server: commands then need --url."""
    import structlog

    from bellcast.settings import address

    stored: list[str] = []

    def store(url: str) -> None:
        try:
            address.store(settings, url)
            stored.append(url)
        except OSError as error:
            structlog.get_logger(__name__).warning(
                "server_url_not_stored", folder=str(settings.store.data), error=str(error)
            )
        ready(url)

    try:
        yield store
    finally:
        for url in stored:
            with contextlib.suppress(OSError):
                address.remove(settings, url)


def _no_start(reason: OSError, settings: "Settings") -> CommandError:
    """Why it cannot listen."""
    where = f"{settings.server.host} port {settings.server.port}"
    if reason.errno == errno.EADDRINUSE:
        return CommandError(f"{where} is in use", "stop what listens there, or choose another with --port")
    why = os.strerror(reason.errno) if reason.errno else str(reason)
    return CommandError(f"cannot listen on {where}: {why}", "choose another with --host and --port")
