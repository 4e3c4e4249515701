"""The command line: one file a command, put together here.

A command imports what it works with inside its function, so that help and completion answer at once."""

import sys
from typing import Annotated, NoReturn

import typer

from bellcast import __version__, errors
from bellcast.cli import (
    backup,
    bench,
    config,
    console,
    demo,
    doctor,
    env,
    key,
    migrate,
    notify,
    options,
    restore,
    serve,
    sql,
    tail,
    token,
)
from bellcast.cli.console import CommandError

EPILOG = """\
[dim]Begin with[/] bellcast demo[dim], or with[/] bellcast serve [dim]and, beside it,[/] bellcast notify alice "Hello"[dim].
Options are environment variables too:[/] --port 80 [dim]is[/] BELLCAST_PORT=80[dim]. \
Scripts read[/] --json[dim]; every command has[/] --help[dim].[/]
"""

app = typer.Typer(name="bellcast", cls=options.Group, rich_markup_mode="rich", pretty_exceptions_enable=False)
for command in (demo, serve, notify, tail, token, key, env, sql, config, doctor, backup, restore, migrate, bench):
    app.add_typer(command.app)


@app.callback(invoke_without_command=True, epilog=EPILOG)
def bellcast(
    ctx: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    """A self-hosted notification server: one durable inbox behind every live client."""
    if version:
        print(f"bellcast {__version__}")
    elif ctx.invoked_subcommand is None:
        ctx.get_help()  # rich prints it


def main() -> NoReturn:
    """Run the command that was asked for. Status 0: done, 1: it could not be done, 2: it was asked for wrongly."""
    try:
        sys.exit(app(prog_name="bellcast", standalone_mode=False))
    except CommandError as stop:
        console.fail(str(stop), stop.status)
    except typer.TyperException as refusal:
        console.fail(*console.usage(refusal))
    except errors.SettingsError as wrong:
        console.fail(wrong.detail, 2)
    except errors.BellcastError as refusal:
        console.fail(refusal.detail, 1)
    except typer.Abort:
        console.fail("Stopped.", 1)
