"""The reference page says what the commands say."""

import importlib.util
from pathlib import Path

COMMANDS = [
    "demo",
    "serve",
    "migrate",
    "config",
    "doctor",
    "token",
    "key",
    "notify",
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


def test_the_page_is_up_to_date():
    made = generator()
    assert made.PAGE.read_text(encoding="utf-8") == made.page(), "run `make docs`"


def test_every_command_of_the_contract_is_on_it():
    page = generator().page()
    for name in COMMANDS:
        assert f"\n## bellcast {name}\n" in page
