"""Examples in --help fit a terminal of 80 columns, because a wrapped line cannot be copied."""

import pytest
import typer
from rich.text import Text

from bellcast import cli

# rich indents the epilog by a column on either side.
COLUMNS = 78


def commands(path, command):
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(f"{path} {name}", inner)


ALL = list(commands("bellcast", typer.main.get_command(cli.app)))


@pytest.mark.parametrize(("path", "command"), ALL, ids=[path for path, _ in ALL])
def test_examples_fit_a_terminal(path, command):
    text = Text.from_markup(command.epilog or "", emoji=False).plain
    examples = [line for line in text.splitlines() if line.startswith("  ")]
    assert [line for line in examples if len(line) > COLUMNS] == []
