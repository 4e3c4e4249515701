"""Examples in --help fit a terminal of 80 columns, because a wrapped line cannot be copied."""

import typer
from rich.text import Text

from bellcast import cli

# rich indents the epilog by a column on either side.
COLUMNS = 78


def commands(path, command):
    yield path, command
    for name in command.list_commands(None) if hasattr(command, "commands") else ():
        inner = command.get_command(None, name)
        yield from commands(f"{path} {name}", inner)


ALL = list(commands("bellcast", typer.main.get_command(cli.app)))


def test_examples_fit_a_terminal():
    texts = [(path, Text.from_markup(command.epilog or "", emoji=False).plain) for path, command in ALL]
    examples = [(path, line) for path, text in texts for line in text.splitlines() if line.startswith("  ")]
    assert examples
    assert [(path, line) for path, line in examples if len(line) > COLUMNS] == []
