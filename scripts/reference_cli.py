"""Generates the command line reference from the commands: `python scripts/reference_cli.py`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from rich.text import Text

from bellcast.cli import app

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "cli.md"

INTRODUCTION = """\
# Command line

This page is generated from the code by `make docs`; edit the texts there.

Commands write results to standard output and everything else to standard error. The exit status is 0 on success, 1 on failure, and
2 for invalid arguments or settings, with one line that states the problem and how to fix it. Output is coloured only on a
terminal, and only if `NO_COLOR` is not set.

Options that are settings can also be set as environment variables and mean the same in every command: see
[the settings](settings.md). Commands for a running server read its URL from `--url` (`BELLCAST_URL`), and the
secret from `BELLCAST_SECRET` or from the data folder.
"""


def page() -> str:
    """Return the page: every command, in the order of `bellcast --help`."""
    root = typer.main.get_command(app)
    ctx = typer.Context(root, info_name="bellcast")
    return INTRODUCTION + "".join(section for name in root.list_commands(ctx) for section in _sections(ctx, name))


def _sections(parent: Any, name: str) -> Iterator[str]:
    """Yield the section of a command, then those of its subcommands."""
    command = parent.command.get_command(parent, name)
    ctx = typer.Context(command, info_name=name, parent=parent)
    yield _section(ctx)
    for inner in getattr(command, "commands", {}):
        yield from _sections(ctx, inner)


def _section(ctx: Any) -> str:
    command = ctx.command
    usage = " ".join([ctx.command_path, *command.collect_usage_pieces(ctx)])
    params = [param for param in command.get_params(ctx) if not getattr(param, "hidden", False)]
    rows = [_row(param) for param in params if param.name != "help"]
    parts = [f"## {ctx.command_path}", command.help, f"```\n{usage}\n```", _table(rows), *_epilog(command.epilog or "")]
    return "".join(f"\n{part.strip()}\n" for part in parts if part)


def _row(param: Any) -> str:
    if param.param_type_name == "argument":
        shown = f"`{param.metavar}`"
    else:
        value = "" if param.is_flag else f" {param.metavar}"
        shown = f"`{', '.join(sorted(param.opts))}{value}`"
    return f"| {_cell(shown)} | {_cell(_plain(param.help or ''))}{_default(param)} |"


def _default(param: Any) -> str:
    """Return the default as typer shows it in --help."""
    has_default = param.default not in (None, False, "", ())
    return f" [default: {param.default}]" if has_default and param.show_default else ""


def _table(rows: list[str]) -> str:
    return "\n".join(["| | |", "|---|---|", *rows]) if rows else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _plain(markup: str) -> str:
    return Text.from_markup(markup, emoji=False).plain


def _epilog(markup: str) -> Iterator[str]:
    """Yield the paragraphs; indented ones are examples and become code blocks."""
    for paragraph in _plain(markup).strip("\n").split("\n\n"):
        if paragraph.startswith("  "):
            yield "```sh\n" + "\n".join(line.removeprefix("  ") for line in paragraph.splitlines()) + "\n```"
        elif paragraph not in ("Example", "Examples"):
            yield paragraph


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE.relative_to(Path.cwd()) if PAGE.is_relative_to(Path.cwd()) else PAGE)


if __name__ == "__main__":
    main()
