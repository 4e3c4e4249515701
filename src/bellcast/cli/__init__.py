"""The command line, assembled from modules of one or more commands.

Commands import their dependencies inside functions, so that help and completion are fast."""

import errno
import importlib
import os
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from bellcast import build
from bellcast.cli import options, output
from bellcast.cli.output import CommandError
from bellcast.kernel import errors

DISK_FULL_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
EPILOG = """\
[dim]Start with[/] bellcast demo[dim], or with[/] bellcast serve [dim]and, in another terminal,[/] bellcast notify alice "Hello"[dim].
Options are environment variables too:[/] --port 80 [dim]is[/] BELLCAST_PORT=80[dim]. \
Scripts use[/] --json[dim]; every command has[/] --help[dim].[/]
"""
# The commands that `--help` shows first.
FIRST_WEEK = ("demo", "serve", "notify", "token", "env", "explain", "mailbox", "template", "workflow", "doctor")
# The modules and their commands, in the order of the help.
COMMANDS = (
    ("demo", "demo"),
    ("serve", "serve worker"),
    ("notifications", "notify import"),
    ("definitions", "trigger workflow run schedule source template type"),
    ("git", "pull diff plan push promote"),
    ("data_types", "schema types"),
    ("channels", "message replay suppression"),
    ("definitions", "webhook"),
    ("channels", "preference provider explain mailbox job"),
    ("requests", "tail"),
    ("access", "token key"),
    ("requests", "mcp"),
    ("access", "operator"),
    ("settings", "settings"),
    ("access", "audit"),
    ("requests", "feed requests api"),
    ("settings", "env"),
    ("sql", "sql relay"),
    ("settings", "config"),
    ("doctor", "doctor"),
    ("store", "encryption secrets backup restore migrate"),
    ("demo", "bench"),
)
MODULES = {name: module for module, names in COMMANDS for name in names.split()}

# The commands of a dialect are in its folder.
DIALECT_MODULES = [
    f"bellcast.live.{file.parent.name}.cli" for file in sorted((Path(__file__).parents[1] / "live").glob("*/cli.py"))
]


class AllCommands(options.CliGroup):
    """All commands: those of the first week, then the others by group. A command is imported when it is used: most starts need one."""

    def list_commands(self, ctx: Any) -> list[str]:
        self._import(*dict.fromkeys(f"{__name__}.{module}" for module in MODULES.values()), *DIALECT_MODULES)
        self.commands = {name: self.commands[name] for name in {**MODULES, **self.commands}}
        return [*FIRST_WEEK, *(name for name in self.commands if name not in FIRST_WEEK)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command, in the panel that the list of commands shows it in."""
        if cmd_name not in self.commands:
            self._import(*([f"{__name__}.{MODULES[cmd_name]}"] if cmd_name in MODULES else DIALECT_MODULES))
        if cmd_name not in self.commands:
            self.list_commands(ctx)  # for a wrong name, typer suggests one of all
        command: Any = super().get_command(ctx, cmd_name)
        if cmd_name in FIRST_WEEK:
            command.rich_help_panel = "First week"
        elif command is not None and not command.rich_help_panel.startswith(MORE):
            command.rich_help_panel = f"{MORE}{command.rich_help_panel.lower()}"
        return command

    def _import(self, *modules: str) -> None:
        for module in modules:
            self.commands.update(typer.main.get_group(importlib.import_module(module).app).commands)


MORE = "More: "
app = typer.Typer(name="bellcast", cls=AllCommands, rich_markup_mode="rich", pretty_exceptions_enable=False)


@app.callback(invoke_without_command=True, epilog=EPILOG)
def bellcast(
    ctx: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """A self-hosted notification server: one durable inbox for every live client."""
    if version:
        print(f"bellcast {build.name()}")
    elif ctx.invoked_subcommand is None:
        ctx.get_help()  # rich prints it


def main() -> NoReturn:
    """Run the command. Exit status 0: success, 1: failure, 2: wrong usage or settings."""
    try:
        status = app(prog_name="bellcast", standalone_mode=False)
        sys.stdout.flush()
        sys.exit(status)
    except CommandError as error:
        output.fail(str(error), error.status)
    except typer.TyperException as error:
        output.fail(*output.usage(error))
    except errors.SettingsError as error:
        output.fail(error.detail, 2)
    except errors.BellcastError as error:
        output.fail(error.detail, 1)
    except OSError as error:
        if error.filename is not None:
            advice = "" if error.errno in DISK_FULL_ERRORS else "; check the path, and its permissions"
            output.fail(f"{error.filename} cannot be used: {error.strerror}{advice}.", 1)
        if error.errno not in DISK_FULL_ERRORS:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python flushes the rest of the output when it exits
        output.fail(f"the output cannot be written: {error.strerror}.", 1)
    except ValueError as error:
        from bellcast.client import InvalidArgument

        if isinstance(error, InvalidArgument):
            output.fail(f"{error}; nothing was sent.", 2)
        if isinstance(error, UnicodeEncodeError | UnicodeDecodeError) and error.encoding == "utf-8":
            output.fail("a text is not valid UTF-8; pass UTF-8. Nothing was sent.", 2)
        raise
    except typer.Abort:
        output.fail("Stopped.", 1)
