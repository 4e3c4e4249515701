"""A command and a server at rest import only what they need: what is imported at its first use costs no start and no memory."""

import json
import subprocess
import sys

import pytest

COMMAND = """
import sys
from bellcast.cli import main
sys.argv = ["bellcast", "--version"]
try:
    main()
except SystemExit:
    print()
"""
SERVER = """
import asyncio, sys
from bellcast.cli import output
output.import_structlog()
from bellcast import server
from bellcast.server import run
from bellcast.settings import load
app = server.create_app(load({"data": sys.argv[1]}))
async def start():
    await app.start(is_mounted=False)
    await app.stop()
asyncio.run(start())
"""
SETTINGS = """
from bellcast.settings import load
load({})
"""
PLUGIN = """
import importlib.metadata, sys
for point in importlib.metadata.entry_points(group="pytest11", name="bellcast"):
    point.load()
"""
OUTBOX = "import bellcast.outbox"
REPORT = "\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"


def imported(script: str, *arguments: str) -> set[str]:
    """Return the modules that a process has imported after a script."""
    command = [sys.executable, "-c", script + REPORT, *arguments]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    names = json.loads(printed.splitlines()[-1])
    return set(names)


@pytest.fixture(scope="module")
def of_a_command() -> set[str]:
    return imported(COMMAND)


@pytest.fixture(scope="module")
def of_the_settings() -> set[str]:
    return imported(SETTINGS)


@pytest.fixture(scope="module")
def of_the_plugin() -> set[str]:
    return imported(PLUGIN)


@pytest.fixture(scope="module")
def of_a_server(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    return imported(SERVER, str(tmp_path_factory.mktemp("server")))


@pytest.mark.parametrize(
    "name", ["asyncio", "bellcast.client", "bellcast.server", "httpx", "msgspec", "pydantic", "rich"]
)
def test_version_is_printed_without(name: str, of_a_command: set[str]) -> None:
    assert name not in of_a_command


@pytest.mark.parametrize(
    "name",
    [
        "asyncpg",
        "bellcast.client",
        "fido2",
        "h2",
        "httpcore",
        "httpx",
        "mrml",
        "opentelemetry",
        "pydantic",
        "pygments",
        "rich.console",
        "yaml",
    ],
)
def test_server_at_rest_has_not_imported(name: str, of_a_server: set[str]) -> None:
    assert name not in of_a_server


@pytest.mark.parametrize("name", ["asyncio", "structlog"])
def test_settings_are_read_without(name: str, of_the_settings: set[str]) -> None:
    """Nearly every command reads them."""
    assert name not in of_the_settings


@pytest.mark.parametrize("name", ["bellcast.client", "bellcast.server", "httpx"])
def test_pytest_plugin_is_loaded_without(name: str, of_the_plugin: set[str]) -> None:
    """Every pytest of an environment with Bellcast loads it."""
    assert "bellcast.contrib.pytest_plugin" in of_the_plugin
    assert name not in of_the_plugin


def test_outbox_is_imported_without_the_store() -> None:
    """Apps import it to write rows: loading the engines would take 100 ms."""
    assert not imported(OUTBOX) & {"asyncio", "bellcast.kernel.db.engine", "msgspec"}
