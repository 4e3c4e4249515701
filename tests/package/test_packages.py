"""Every package works in an empty environment: the server serves the bell, commands send, the client receives."""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, expect
from scripts import package

from tests.chromium import chromium
from tests.deploy.test_install import Machine
from tests.servers import PROJECT, ServerProcess, free_port

pytestmark = pytest.mark.thorough

ROOT = Path(__file__).parents[2]
TIMEOUT = 60_000  # milliseconds; a loaded machine needs several seconds
UV = str(Path(sys.executable).with_name("uv"))
PAGE = """<!doctype html><title>Shop</title>
    <bellcast-bell token="{token}"></bellcast-bell><script type="module" src="/bellcast.js"></script>"""
# Like an app on Node. Node 20 has no WebSocket, so the session falls back to its next transport.
RECEIVER = """
import { Session } from 'bellcast/session';

const [server, token] = process.argv.slice(2);
const session = new Session({ server, token });
session.addEventListener('notification', ({ detail }) => { console.log(detail.title); process.exit(); });
session.addEventListener('change', function live() {
  if (session.state.status !== 'live') return;
  session.removeEventListener('change', live);
  console.log('live');
});
session.open();
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def packages(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Packages by kind: those of `--packages`, or newly built ones, and the wheel of a clean clone without npm."""
    folder = request.config.getoption("--packages")
    if folder is None:
        folder = tmp_path_factory.mktemp("packages")
        package.build_python(ROOT, folder)
        package.build_npm(folder)
    clone, unbuilt = tmp_path_factory.mktemp("clone"), tmp_path_factory.mktemp("unbuilt")
    copy_tracked_files(clone)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(Path(sys.executable).parent))  # a path without npm
        package.build_python(clone, unbuilt, "--wheel")
    return {
        "wheel": only_match(folder, "*.whl"),
        "sdist": only_match(folder, "*.tar.gz"),
        "npm": only_match(folder, "*.tgz"),
        "unbuilt": only_match(unbuilt, "*.whl"),
    }


def copy_tracked_files(folder: Path) -> None:
    """Copy the files of a clone: those git tracks and new ones, without build results."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_symlink() or (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name, follow_symlinks=False)


def only_match(folder: Path, pattern: str) -> Path:
    (path,) = folder.glob(pattern)
    return path.resolve()


def install(folder: Path, file: Path) -> list[str]:
    """Install a Python package into an empty environment. Return the command prefix."""
    python = folder / "bin" / "python"
    run(UV, "venv", "--quiet", "--python", sys.executable, str(folder))
    pins = ["--constraint", str(ROOT / "requirements.lock")]  # the locked dependencies, not the newest
    # Links to uv's cache, which may be on another disk, instead of copies of every dependency.
    run(UV, "pip", "install", "--quiet", "--link-mode", "symlink", "--python", str(python), *pins, str(file))
    return [str(folder / "bin" / "bellcast")]


def run(*command: str, cwd: Path | None = None, **environ: str) -> str:
    result = subprocess.run(command, cwd=cwd, env=os.environ | environ, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.mark.parametrize("kind", ["wheel", "sdist", "unbuilt"])
def test_installed_server_serves_a_working_bell(
    packages: dict[str, Path], browser: Browser, tmp_path: Path, kind: str
) -> None:
    server = ServerProcess(tmp_path / "data")
    server.program = install(tmp_path / "env", packages[kind])
    with server, browser.new_context(base_url=server.url) as context:
        page = context.new_page()
        page.route("**/shop", lambda route: route.fulfill(content_type="text/html", body=shop_page(server)))
        page.goto("/shop")
        expect(page.get_by_role("button", name="Notifications")).to_be_visible(timeout=TIMEOUT)
        project = ":".join(PROJECT)
        run(*server.program, "notify", "alice", "Hello", "--url", server.url, cwd=tmp_path, BELLCAST_PROJECT=project)
        expect(page.get_by_role("button", name="Notifications, 1 unread")).to_be_visible(timeout=TIMEOUT)
        served = context.request.get("/bellcast.js").body()
    folder = "src" if kind == "unbuilt" else "dist"
    assert served == (ROOT / "client" / folder / "bellcast.js").read_bytes()


def test_demo_of_a_wheel_needs_no_installation_and_no_extra(packages: dict[str, Path], tmp_path: Path) -> None:
    port, started = free_port(), time.monotonic()
    command = [UV, "tool", "run", "--quiet", "--from", str(packages["wheel"]), "bellcast", "demo", "--no-browser"]
    with subprocess.Popen([*command, f"--port={port}"], cwd=tmp_path, stdout=subprocess.PIPE, text=True) as demo:
        try:
            assert demo.stdout is not None
            url = next(found[1] for line in demo.stdout if (found := re.search(r"Two bells\s+(http://\S+)", line)))
            assert httpx.get(url).text.count("<bellcast-bell ") == 2
            assert time.monotonic() - started < 60
        finally:
            demo.terminate()


def test_script_installs_the_wheel_and_its_unit_starts_it(packages: dict[str, Path], tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    settings = machine.root / "etc" / "bellcast" / "bellcast.env"
    settings.write_text(f"BELLCAST_PORT={machine.port}\nBELLCAST_DATA={tmp_path / 'data'}\n")
    environ = os.environ | machine.environ | {"PYTHON": sys.executable, "EXTRAS": "postgres"}
    command = [str(machine.download / "install.sh"), str(packages["wheel"])]
    try:
        done = subprocess.run(command, env=environ, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        assert json.loads(machine.served)["status"] == "ready"
    finally:
        machine.stop()


def shop_page(server: ServerProcess) -> str:
    return PAGE.format(token=server.token("alice"))


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_package_names_its_commit(packages: dict[str, Path], tmp_path: Path, kind: str) -> None:
    program = install(tmp_path / "env", packages[kind])[0]
    assert re.fullmatch(r"bellcast [\d.]+ \([0-9a-f]{7,}(-dirty)?\)\n", run(program, "--version", cwd=tmp_path))


def test_wheel_contains_the_built_examples(packages: dict[str, Path]) -> None:
    examples = ROOT / "examples"
    built = [*examples.glob("*/libraries/**/*.js"), examples / "service_marketplace" / "static" / "today.js"]
    assert len(built) == 4
    names = set(zipfile.ZipFile(packages["wheel"]).namelist())
    assert [file for file in built if f"bellcast/examples/{file.relative_to(examples)}" not in names] == []


def test_packages_contain_the_libraries_of_pages_with_their_licences(packages: dict[str, Path]) -> None:
    package = ROOT / "src" / "bellcast"
    vendored = package / "console" / "pages" / "console" / "files" / "vendor"
    built = {str(file.relative_to(package)) for file in vendored.iterdir()}
    libraries = {"preact.js", "pusher-js.js", "socket.io-client.js"}
    assert {file.rpartition("/")[2] for file in built} == {*libraries, "LICENSES.txt"}
    assert {f"bellcast/{file}" for file in built} <= set(zipfile.ZipFile(packages["wheel"]).namelist())
    with tarfile.open(packages["sdist"]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert {f"src/bellcast/{file}" for file in built} <= names


@pytest.mark.parametrize("kind", ["wheel", "unbuilt"])
def test_wheel_contains_every_module_and_example(packages: dict[str, Path], kind: str) -> None:
    names = set(zipfile.ZipFile(packages[kind]).namelist())
    expected = {f"bellcast/{path.relative_to(ROOT / 'src' / 'bellcast')}" for path in modules()}
    assert len(expected) > 200
    assert sorted(expected - names) == []
    assert {name for name in names if "node_modules" in name or name.endswith(".d.ts")} == set()


def modules() -> list[Path]:
    """All Python and SQL files of the package, those of the examples through their link."""
    package = ROOT / "src" / "bellcast"
    return [*package.rglob("*.py"), *package.rglob("*.sql"), *(package / "examples").rglob("*.py")]


def test_npm_package_receives_a_notification(
    packages: dict[str, Path], bellcast_server: ServerProcess, tmp_path: Path
) -> None:
    (tmp_path / "package.json").write_text(json.dumps({"type": "module", "private": True}))
    (tmp_path / "receive.js").write_text(RECEIVER)
    run("npm", "install", "--silent", "--no-audit", "--no-fund", str(packages["npm"]), cwd=tmp_path)
    command = ["node", "receive.js", bellcast_server.url, bellcast_server.token("npm-reader")]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as receiver:
        try:
            assert receiver.stdout is not None
            assert receiver.stdout.readline() == "live\n"
            send(bellcast_server, "npm-reader", "Hello")
            assert receiver.stdout.readline() == "Hello\n"
        finally:
            receiver.kill()


def send(server: ServerProcess, recipient: str, title: str) -> None:
    response = httpx.post(
        f"{server.url}/v1/notifications", headers=server.as_app(), json={"to": recipient, "title": title}
    )
    assert response.status_code == 201, response.text


def test_npm_package_contains_its_licence_and_every_export(packages: dict[str, Path], tmp_path: Path) -> None:
    shutil.unpack_archive(packages["npm"], tmp_path, "gztar")
    folder = tmp_path / "package"
    assert (folder / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    exports = json.loads((folder / "package.json").read_text())["exports"]
    files = [file for name, export in exports.items() if name != "./package.json" for file in export.values()]
    assert len(files) == 21  # the entry for servers has one condition per runtime
    assert [file for file in files if not (folder / file).is_file()] == []
