"""Clients that code generators create from the OpenAPI document, with the default options of the generators."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.servers import ServerProcess

pytestmark = pytest.mark.thorough  # tools of others create, install and compile packages

NODE = Path(__file__).parent / "openapi_node"
TIMEOUT = 100  # seconds for one tool on a loaded machine
USE = """
import importlib, json, pkgutil, sys
import bellcast_client
from bellcast_client import AuthenticatedClient
from bellcast_client.api.inbox import inbox_listing, inbox_mark_read
from bellcast_client.api.live import events_publish
from bellcast_client.api.sending import notifications_send
from bellcast_client.models import ActionOutcome, Draft, EventDraft, InboxListing, Problem, Selection, Sent

url, secret, token = sys.argv[1:]
app, alice = (AuthenticatedClient(base_url=url, token=one) for one in (secret, token))

sent = notifications_send.sync(client=app, body=Draft(to="openapi-bob", title="From Python"))
assert isinstance(sent, Sent)
assert isinstance(sent.notifications, list)
events_publish.sync(client=app, body=EventDraft(name="hello", recipient="openapi-bob"))
read = inbox_mark_read.sync(client=alice, body=Selection(all_=True))
assert isinstance(read, ActionOutcome)
page = inbox_listing.sync(client=alice)
assert isinstance(page, InboxListing)
first = page.notifications[0]
refused = notifications_send.sync(client=app, body=Draft(to="openapi-bob", title=""))
assert isinstance(refused, Problem)

modules = [one.name for one in pkgutil.walk_packages(bellcast_client.__path__, "bellcast_client.")]
for name in modules:
    importlib.import_module(name)
operations = [name for name in modules if name.startswith("bellcast_client.api.") and name.count(".") == 3]
print(json.dumps([sent.notifications[0].id == first.id, first.title, read.changed, refused.code, len(operations)]))
"""


@pytest.fixture
def document(bellcast_server: ServerProcess, tmp_path: Path) -> Path:
    file = tmp_path / "openapi.json"
    file.write_bytes(httpx.get(f"{bellcast_server.url}/openapi.json").content)
    return file


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command, which must succeed, and return its output."""
    completed = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=TIMEOUT)
    assert completed.returncode == 0, f"{command}: {completed.stdout[-4000:]}{completed.stderr[-4000:]}"
    return completed.stdout


def test_openapi_python_client_generates_a_typed_client_of_every_operation(
    bellcast_server: ServerProcess, document: Path, tmp_path: Path
) -> None:
    generated = tmp_path / "made"
    scripts = Path(sys.executable).parent
    run(scripts / "openapi-python-client", "generate", "--path", document, "--output-path", generated, cwd=tmp_path)
    (generated / "use.py").write_text(USE)
    run(
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--cache-dir",
        tmp_path / "mypy",
        "bellcast_client",
        "use.py",
        cwd=generated,
    )
    credentials = bellcast_server.secret, bellcast_server.token("openapi-bob")
    printed = run(sys.executable, "use.py", bellcast_server.url, *credentials, cwd=generated)
    operations = sum(len(item) for item in json.loads(document.read_bytes())["paths"].values())
    assert json.loads(printed) == [True, "From Python", 1, "invalid", operations]


def test_openapi_typescript_generates_types_that_compile(
    bellcast_server: ServerProcess, document: Path, tmp_path: Path
) -> None:
    for name in ("send.ts", "tsconfig.json", "package.json"):
        shutil.copy(NODE / name, tmp_path)
    (tmp_path / "node_modules").symlink_to(NODE / "node_modules")
    tools = NODE / "node_modules" / ".bin"
    run(tools / "openapi-typescript", document, "-o", "schema.ts", cwd=tmp_path)
    run(tools / "tsc", "-p", ".", cwd=tmp_path)
    credentials = bellcast_server.secret, bellcast_server.token("openapi-alice")
    printed = json.loads(run("node", "send.js", bellcast_server.url, *credentials, cwd=tmp_path))
    assert printed[:4] == [True, "From TypeScript", "normal", 1]
    assert printed[4].startswith("title: ")
