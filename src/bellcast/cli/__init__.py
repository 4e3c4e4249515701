"""The command line, assembled from one module per command.

Commands import their dependencies inside functions, so that help and completion are fast."""

import errno
import os
import sys
from typing import Annotated, NoReturn

import typer

from bellcast import build, errors
from bellcast.cli import (
    api,
    audit,
    backup,
    bench,
    config,
    console,
    demo,
    doctor,
    encryption,
    env,
    explain,
    imports,
    job,
    key,
    live_feed,
    mailbox,
    message,
    migrate,
    notify,
    operator,
    options,
    preference,
    provider,
    pusher_app,
    relay,
    replay,
    restore,
    run,
    schedule,
    serve,
    settings,
    source,
    sql,
    stored_secrets,
    suppression,
    tail,
    template,
    token,
    trigger,
    types,
    webhook,
    worker,
    workflow,
)
from bellcast.cli.console import CommandError

DISK_FULL_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
EPILOG = """\
[dim]Start with[/] bellcast demo[dim], or with[/] bellcast serve [dim]and, in another terminal,[/] bellcast notify alice "Hello"[dim].
Options are environment variables too:[/] --port 80 [dim]is[/] BELLCAST_PORT=80[dim]. \
Scripts use[/] --json[dim]; every command has[/] --help[dim].[/]
"""

app = typer.Typer(name="bellcast", cls=options.CliGroup, rich_markup_mode="rich", pretty_exceptions_enable=False)
for command in (
    demo,
    serve,
    worker,
    notify,
    imports,
    trigger,
    workflow,
    run,
    schedule,
    source,
    template,
    types,
    message,
    replay,
    suppression,
    webhook,
    preference,
    provider,
    explain,
    mailbox,
    job,
    tail,
    token,
    key,
    operator,
    settings,
    pusher_app,
    audit,
    live_feed,
    api,
    env,
    sql,
    relay,
    config,
    doctor,
    encryption,
    stored_secrets,
    backup,
    restore,
    migrate,
    bench,
):
    app.add_typer(command.app)


@app.callback(invoke_without_command=True, epilog=EPILOG)
def bellcast(
    ctx: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """A self-hosted notification server: one durable inbox for every live client."""
    if version:
        print(f"bellcast {build.version()}")
    elif ctx.invoked_subcommand is None:
        ctx.get_help()  # rich prints it


def main() -> NoReturn:
    """Run the command. Exit status 0: success, 1: failure, 2: wrong usage or settings."""
    try:
        status = app(prog_name="bellcast", standalone_mode=False)
        sys.stdout.flush()
        sys.exit(status)
    except CommandError as error:
        console.fail(str(error), error.status)
    except typer.TyperException as error:
        console.fail(*console.usage(error))
    except errors.SettingsError as error:
        console.fail(error.detail, 2)
    except errors.BellcastError as error:
        console.fail(error.detail, 1)
    except OSError as error:
        if error.errno not in DISK_FULL_ERRORS or error.filename is not None:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python flushes the rest of the output when it exits
        console.fail(f"the output cannot be written: {error.strerror}.", 1)
    except ValueError as error:
        console.fail(_invalid_value(error), 2)
    except typer.Abort:
        console.fail("Stopped.", 1)


def _invalid_value(error: ValueError) -> str:
    """Return the message for a value that the client refuses or that is not UTF-8. Raises any other error again."""
    from bellcast.client import InvalidArgument

    if isinstance(error, InvalidArgument):
        return f"{error}; nothing was sent."
    if isinstance(error, UnicodeEncodeError | UnicodeDecodeError) and error.encoding == "utf-8":
        return "a text is not valid UTF-8; pass UTF-8. Nothing was sent."
    raise error
