"""The reference page matches the commands."""

import importlib.util
import re
from pathlib import Path

import typer

from bellcast import cli

COMMANDS = [
    "demo",
    "serve",
    "migrate",
    "config",
    "doctor",
    "token",
    "key",
    "notify",
    "explain",
    "tail",
    "backup",
    "restore",
    "bench",
]
ROOT = Path(__file__).parents[3]


def generator():
    spec = importlib.util.spec_from_file_location("reference_cli", ROOT / "scripts" / "reference_cli.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_page_is_up_to_date():
    generated = generator()
    assert generated.PAGE.read_text(encoding="utf-8") == generated.page(), "run `make docs`"


def test_every_contract_command_is_on_the_page():
    page = generator().page()
    for name in COMMANDS:
        assert f"\n## bellcast {name}\n" in page


def test_every_command_named_in_docs_and_settings_exists():
    commands = set(typer.main.get_command(cli.app).list_commands(None))
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "src").rglob("*.py")]
    named = {
        name for page in pages for name in re.findall(r"`bellcast ([a-z][a-z-]*)", page.read_text(encoding="utf-8"))
    }
    assert {"serve", "notify"} <= named
    assert named <= commands
