"""`bellcast worker`: runs durable jobs without serving requests."""

import typer

from bellcast.cli import console, options

EPILOG = """\
[dim]Examples[/]

  [dim]# servers accept requests, workers deliver[/]
  bellcast serve --no-jobs
  bellcast worker

[dim]Needs PostgreSQL, and the same settings and project as the servers. After SIGTERM the worker finishes its running jobs \
and exits with status 0.[/] [dim]If a worker dies, others continue its jobs within 40 seconds.[/]
"""
GROUPS = ("store", "channels", "limits")
SERVER = ("WORKFLOWS", "LOG_LEVEL", "LOG_FORMAT")

app = typer.Typer()


@app.command(cls=options.with_settings(*SERVER, groups=GROUPS), rich_help_panel="Server", epilog=EPILOG)
def worker(ctx: typer.Context) -> None:
    """Run durable jobs without serving requests."""
    console.import_structlog()
    import structlog

    from bellcast import server
    from bellcast.cli import data_folder, logs
    from bellcast.cli.serve import print_credentials
    from bellcast.kernel import errors
    from bellcast.server.run import work
    from bellcast.settings import project
    from bellcast.settings.groups import MEMORY

    settings = options.settings(ctx)
    if settings.store.is_file:
        raise errors.SettingsError(
            "BELLCAST_STORE: expected postgresql://…, since a SQLite store serves one process: `bellcast serve` runs its jobs."
        )
    logs.configure(settings.server)
    data_folder.prepare(settings)
    if settings.store.broker == MEMORY:
        structlog.get_logger(__name__).warning(
            "broker_needed",
            reason="open inboxes show notifications from this worker only after they reconnect: set BELLCAST_BROKER",
        )
    credentials, is_new = project(settings)
    if is_new:
        print_credentials(credentials, settings)
    work(server.create_app(settings), lambda: print("Bellcast worker is running", flush=True))
