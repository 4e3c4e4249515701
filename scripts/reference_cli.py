"""Write the reference page of the command line, made of the commands themselves: `python scripts/reference_cli.py`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from rich.text import Text

from bellcast.cli import app

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "cli.md"

INTRODUCTION = """\
# Command line

This page is made from the code by `make docs`; change the sentences there.

Results go to standard output, everything else to standard error. A command ends with status 0 when it is done, 1 when
it could not be done, and 2 when it was asked for wrongly, a bad setting included; then one line says what is wrong and
what to do next. Colours appear on a terminal only, and not where `NO_COLOR` is set.

Options that are settings are environment variables too, with one meaning in every command: see
[the settings](settings.md). Commands that talk to a running server find it by `--url` (`BELLCAST_URL`), and take the
secret from `BELLCAST_SECRET`, or from the data folder.
"""


def page() -> str:
    """Every command, in the order of `bellcast --help`."""
    root = typer.main.get_command(app)
    ctx = typer.Context(root, info_name="bellcast")
    return INTRODUCTION + "".join(section for name in root.list_commands(ctx) for section in _sections(ctx, name))


def _sections(parent: Any, name: str) -> Iterator[str]:
    """A command's section, then those of its own commands."""
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
    """What typer would add to the sentence in --help."""
    is_given = param.default not in (None, False, "", ())
    return f" [default: {param.default}]" if is_given and param.show_default else ""


def _table(rows: list[str]) -> str:
    return "\n".join(["| | |", "|---|---|", *rows]) if rows else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _plain(markup: str) -> str:
    return Text.from_markup(markup, emoji=False).plain


def _epilog(markup: str) -> Iterator[str]:
    """Paragraphs; the indented ones are examples to copy."""
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
