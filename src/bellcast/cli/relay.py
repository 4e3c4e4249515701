"""`bellcast relay`: sends the rows of the table `bellcast_outbox` in the app's database."""

from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from bellcast.cli import console, options
from bellcast.cli.console import CommandError

if TYPE_CHECKING:
    from bellcast.contrib.outbox_rows import OutboxRows
    from bellcast.contrib.relay import Round

EPILOG = """\
[dim]Examples[/]

  bellcast sql outbox postgresql | psql shop
  bellcast relay postgresql://shop@db/shop
  bellcast relay sqlite:///shop.db --once

[dim]Run it next to an app in any language; several relays on one table are safe. Rows that the server refuses stay in the table with the \
reason in[/] error[dim]. After SIGTERM or Ctrl-C, the relay finishes its current request and exits with status 0.[/]
"""
app = typer.Typer()


@app.command(cls=options.RequestCommand, rich_help_panel="Send and follow", epilog=EPILOG)
def relay(
    ctx: typer.Context,
    database: Annotated[
        str, typer.Argument(metavar="DATABASE_URL", help="sqlite:///file.db, postgresql://… or mysql://…")
    ],
    once: Annotated[bool, typer.Option("--once", help="Send all due rows and exit; status 1 if any remain.")] = False,
) -> None:
    """Send the rows of the app's outbox table."""
    from bellcast import settings
    from bellcast.cli import remote
    from bellcast.client import Bellcast, Retries
    from bellcast.contrib.relay import Relay, stop_event
    from bellcast.contrib.relay_thread import DatabaseRelay

    loaded = options.settings(ctx)
    with Bellcast(settings.url(loaded), remote.credentials(loaded), retries=Retries(tries=1)) as bell:
        if once:
            with closing(_connect(database)) as rows:
                try:
                    done = Relay(rows, bell).run()
                except Exception as error:  # every driver has its own error classes
                    raise CommandError(f"the outbox cannot be read: {error}", "see `bellcast sql outbox`") from error
            _print(done)
            if done.failure is not None:
                raise CommandError(f"rows are still due: {done.failure}", "the next run sends them")
            return
        # A wrong URL or a missing driver is an error. If the database becomes unavailable later, the relay waits for
        # it.
        _connect(database).close()
        run = DatabaseRelay(database, bell).run
        stopped = stop_event()
        console.note("The relay runs. Ctrl-C ends it.")
        while not stopped.is_set():
            done = run()
            _print(done)
            stopped.wait(max(0.05, done.wait or 0.0))


def _connect(database: str) -> "OutboxRows":
    from bellcast.contrib import outbox_rows

    try:
        return outbox_rows.connect(database)
    except ImportError as error:
        raise CommandError(f"the driver {error.name} is not installed", f"pip install {error.name}") from None
    except ValueError as error:
        raise CommandError(str(error), "see bellcast relay --help", 2) from None
    except Exception as error:  # every driver has its own error classes
        raise CommandError(f"the database cannot be used: {error}", "check the URL") from error


def _print(done: "Round") -> None:
    if done.sent:
        console.done(f"{len(done.sent)} sent")
    for id, reason in done.refused.items():
        console.note(f"Row {id} was refused: {reason}")
    if done.failure is not None:
        console.note(f"Bellcast does not accept rows: {done.failure}; the next attempt is in {done.wait:.0f} s.")
