"""`bellcast serve` and `worker`: run the server, or its jobs only."""

import contextlib
import errno
import os
import resource
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from bellcast import __version__
from bellcast.cli import options, output
from bellcast.cli.output import CommandError
from bellcast.kernel import errors

if TYPE_CHECKING:  # imported when the command runs, not for --help
    from bellcast.kernel.clock import TestClock
    from bellcast.server import App
    from bellcast.settings import Settings

EPILOG = """\
[dim]Examples[/]

  [dim]# on port 8787, data in ./bellcast-data[/]
  bellcast serve
  bellcast serve --host 0.0.0.0 --port 80 --data /var/lib/bellcast
  [dim]# with Python handlers of client calls[/]
  bellcast serve --handlers shop.bells:handlers

[dim]The first start generates the project's credentials, prints them once and stores them in the data folder;[/] \
BELLCAST_PROJECT=id:key[not dim]:[/]secret [dim]sets your own.
Every limit and dialect setting is an option too (--limit-body 20000):[/] --help-all [dim]lists them, and[/] bellcast config [dim]shows their values. SIGTERM and Ctrl-C drain: \
connections close with a reconnect delay, then the server exits with status 0.[/]
"""
TestClockOption = Annotated[
    str | None,
    options.option(
        "[=TIME]",
        "For tests: stop the clock at TIME, or now, and advance it with POST /v1/test-clock.",
        "--test-clock",
        rich_help_panel="Server",
    ),
]
# Passed by the supervisor to its workers.
AsWorker = Annotated[str | None, typer.Option("--as-worker", hidden=True)]
GROUPS = ("server", "store", "access", "oidc", "channels", options.DIALECT_GROUPS, "limits")

app = typer.Typer()


class ServeCommand(options.with_settings(groups=GROUPS)):  # type: ignore[misc]  # made by a function
    """The command. `--test-clock` has a value only after an equals sign."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:
        """Replace a bare `--test-clock` with its default value."""
        return super().parse_args(ctx, [f"{arg}=now" if arg == "--test-clock" else arg for arg in args])  # type: ignore[no-any-return]  # untyped


@app.command(cls=ServeCommand, rich_help_panel="Server", epilog=EPILOG)
def serve(ctx: typer.Context, test_clock: TestClockOption = None, as_worker: AsWorker = None) -> None:
    """Run the server."""
    output.import_structlog()
    from msgspec import structs

    from bellcast import server
    from bellcast.cli import logs, supervisor
    from bellcast.kernel.identities import Project
    from bellcast.settings import credentials
    from bellcast.settings.parsers import MEMORY

    settings = options.settings(ctx)
    logs.configure(settings.server)
    credentials.prepare_folder(settings)
    # Raise the soft limit on open files to the hard one, since each live connection is an open file
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # macOS reports an unlimited hard limit but rejects it as soft limit.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if as_worker is not None:
        supervisor.run_worker(settings, as_worker)
        return
    if settings.store.broker != MEMORY:
        import structlog

        from bellcast.live.dialects import DIALECTS

        for reason in filter(None, (one.sticky_sessions for one in DIALECTS)):
            structlog.get_logger(__name__).info("sticky_sessions_needed", reason=reason)
    # An invalid setting or a port in use is reported before credentials are created and printed.
    with _listen_errors(settings):
        server.listen(settings.server).close()
    if credentials.existing_project(settings) is None:
        try:
            server.create_app(structs.replace(settings, project=Project("0", "key", "secret")))
        except errors.SettingsError as error:
            from bellcast.client.errors import NotConfigured

            # Handlers that read the credentials are loaded below, when these exist.
            if not isinstance(error.__cause__, NotConfigured):
                raise
    _create_credentials(settings)
    if settings.server.handlers and settings.server.port:
        # Clients in the module of the handlers read the address when it is loaded. `_storing` reports a failure.
        with contextlib.suppress(errors.SettingsError):
            credentials.store_url(settings, credentials.listening(settings.server.host, settings.server.port))
    if settings.server.workers > 1:
        if test_clock is not None:
            raise typer.BadParameter("expected one worker: each would have its own clock", param_hint="--test-clock")
        with _listen_errors(settings):
            started = supervisor.Supervisor(settings, _storing(settings, partial(_listening, settings)))
            raise typer.Exit(started.run(settings.server.host, settings.server.port))
    app = server.create_app(settings, test_clock=_test_clock(test_clock))
    run(app, lambda url: _listening(settings, url, app.setup_code))


def _test_clock(value: str | None) -> "TestClock | None":
    """Return the test clock at a time: an RFC 3339 text, or now."""
    from bellcast.kernel import times
    from bellcast.kernel.clock import SystemClock, TestClock

    if value is None:
        return None
    if value == "now":
        return TestClock(SystemClock().now())
    with contextlib.suppress(ValueError):
        if (moment := datetime.fromisoformat(value)).tzinfo is not None:
            return TestClock(times.milliseconds(moment))
    expected = "expected a time with an offset, such as 2030-01-31T12:00:00Z"
    raise typer.BadParameter(f"{expected}, got {value!r}", param_hint="--test-clock")


def _listening(settings: "Settings", url: str, setup_code: str | None = None) -> None:
    from bellcast.settings import credentials

    if setup_code is not None:
        link = credentials.setup_link(settings, credentials.reachable(url), setup_code)
        print(f"Set up the console within a day: {link}", file=sys.stderr, flush=True)
    print(f"Bellcast {__version__} is listening on {url}", flush=True)


def _create_credentials(settings: "Settings") -> None:
    """Generate the project's credentials if there are none, and print them, in a box if a person reads them."""
    from bellcast.settings import credentials

    project, is_new = credentials.project(settings)
    if not is_new:
        return
    rows = {"id": project.id, "key": project.key, "secret": str(project.secret)}
    rows["stored in"] = f"{credentials.credentials_file(settings)} (readable by you only)"
    if not sys.stderr.isatty():
        print("Your project's new credentials:", file=sys.stderr)
        for name, value in rows.items():
            print(f"  {name}: {value}", file=sys.stderr, flush=True)
        return
    from rich.markup import escape
    from rich.panel import Panel
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    for name, value in rows.items():
        table.add_row(f"[dim]{name}[/]", f"[bold]{escape(value)}[/]")
    output.err().print(Panel(table, title="Your project's new credentials", title_align="left", expand=False))


def run(app: "App", ready: Callable[[str], None]) -> None:
    """Serve until a signal. Calls `ready` with the URL once connections are accepted."""
    from bellcast import server

    with _listen_errors(app.settings):
        server.serve(app, _storing(app.settings, ready))


def _storing(settings: "Settings", ready: Callable[[str], None]) -> Callable[[str], None]:
    """Return a callback that stores the server's URL in the data folder and then calls `ready`. The URL remains when the
    server stops, so that commands can name it. If the folder is not writable, commands need --url."""
    import structlog

    from bellcast.settings import credentials

    def store(url: str) -> None:
        try:
            credentials.store_url(settings, url)
        except errors.SettingsError as error:
            structlog.get_logger(__name__).warning("server_url_not_stored", reason=error.detail)
        ready(url)

    return store


@contextlib.contextmanager
def _listen_errors(settings: "Settings") -> Iterator[None]:
    """Explain why the server cannot listen."""
    from bellcast.settings import credentials

    try:
        yield
    except OSError as error:
        port, number = settings.server.port, error.errno or 0
        at = f"{settings.server.host} port {port}"
        if number == errno.EADDRINUSE:
            last = urlsplit(credentials.stored_url(settings) or "").port
            free = (port + 3) % 65_536 if last in (None, port) else f"{last}, which {settings.store.data} had last"
            raise CommandError(f"{at} is in use", f"stop the other program, or add --port {free}") from None
        # Numbers below 0 are errors of the name lookup.
        why = os.strerror(number) if number > 0 else error.strerror or str(error)
        raise CommandError(f"cannot listen on {at}: {why}", "choose another address with --host and --port") from None


WORKER_EPILOG = """\
[dim]Examples[/]

  [dim]# servers accept requests, workers deliver[/]
  bellcast serve --no-jobs
  bellcast worker

[dim]Needs PostgreSQL, and the same settings and project as the servers. After SIGTERM the worker finishes its running jobs \
and exits with status 0.[/] [dim]If a worker dies, others continue its jobs within 40 seconds.[/]
"""
WORKER_GROUPS = ("store", "channels", "limits")
WORKER_SETTINGS = ("WORKFLOWS", "LOG_LEVEL", "LOG_FORMAT")


@app.command(
    cls=options.with_settings(*WORKER_SETTINGS, groups=WORKER_GROUPS), rich_help_panel="Server", epilog=WORKER_EPILOG
)
def worker(ctx: typer.Context) -> None:
    """Run durable jobs without serving requests."""
    output.import_structlog()
    import structlog

    from bellcast.cli import logs
    from bellcast.server import create_app, run
    from bellcast.settings import credentials
    from bellcast.settings.parsers import MEMORY

    settings = options.settings(ctx)
    if settings.store.is_file:
        raise errors.SettingsError(
            "BELLCAST_STORE: expected postgresql://…, since a SQLite store serves one process: `bellcast serve` runs its jobs."
        )
    logs.configure(settings.server)
    credentials.prepare_folder(settings)
    if settings.store.broker == MEMORY:
        structlog.get_logger(__name__).warning(
            "broker_needed",
            reason="open inboxes show notifications from this worker only after they reconnect: set BELLCAST_BROKER",
        )
    _create_credentials(settings)
    run.work(create_app(settings), lambda: print("Bellcast worker is running", flush=True))
