"""The commands in the READMEs of the example apps, word by word: in an empty folder, with another Bellcast on port 8787."""

import asyncio
import contextlib
import functools
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from bellcast.examples.start_page.tiles import TILES
from bellcast.examples.start_page.visitors import Visitor
from tests.faults.raw_sockets import eventually
from tests.servers import ServerProcess
from tests.thoroughness import sampled

EXAMPLES = Path(__file__).parents[2] / "examples"
BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)
TILE = {
    "photo_studio": "oriel",
    "service_marketplace": "gable",
    "lead_market": "leadwell",
    "celebrity_booking": "starlight",
    "shop_suite": "suite",
}


@contextlib.contextmanager
def shell(commands: str, folder: Path, name: str) -> Iterator[Path]:
    """Run commands as in a terminal, and end them with Ctrl-C. Yields the file with their output."""
    log = folder.parent / f"{name}.log"
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environ = {key: value for key, value in os.environ.items() if not key.startswith("BELLCAST_")} | {"PATH": path}
    with log.open("w") as output:
        terminal = subprocess.Popen(
            ["bash", "-ec", commands], cwd=folder, env=environ, stdout=output, stderr=output, start_new_session=True
        )
    try:
        yield log
    finally:
        os.killpg(terminal.pid, signal.SIGINT)
        try:
            terminal.wait(15)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(terminal.pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def other_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Another Bellcast on the default port, with a project of its own."""
    server = ServerProcess(tmp_path_factory.mktemp("other"))
    server.port = 8787
    with socket.socket() as probe:
        is_in_use = probe.connect_ex(("127.0.0.1", server.port)) == 0  # as good
    with contextlib.nullcontext() if is_in_use else server:
        yield


def answers(url: str) -> bool:
    try:
        return httpx.get(url, follow_redirects=True).status_code == 200
    except httpx.HTTPError:
        return False


async def unread_after_ring(name: str, url: str, server: str) -> int:
    """Cause the event of the start page, and return the number of the owner's unread notifications."""
    (tile,) = (tile for tile in TILES if tile.slug == TILE[name])
    owner, actor = (Visitor(url, person, has_forms=tile.has_forms) for person in (tile.owner, tile.actor))
    try:
        await tile.ring(actor)
        token = (await owner.get(tile.token_path))["token"]
        async with httpx.AsyncClient(base_url=server, headers={"authorization": f"Bearer {token}"}) as client:
            for _ in range(100):
                if unread := (await client.get("/v1/inbox/counts")).json()["unread"]:
                    return int(unread)
                await asyncio.sleep(0.1)
    finally:
        await owner.close()
        await actor.close()
    return 0


def run_and_ring(commands: list[str], names: list[str], folder: Path) -> None:
    """Start the server with the first commands, an app with each of the next, and run the rest beside them."""
    folder.mkdir()
    with contextlib.ExitStack() as terminals:
        server = terminals.enter_context(shell(commands[0], folder, "server"))

        def found() -> re.Match[str] | None:
            return re.search(r"is listening on (\S+)", server.read_text())

        assert eventually(lambda: found() is not None, 60), server.read_text()
        for name, command in zip(names, commands[1:], strict=False):
            (url,) = re.findall(r"http://127\.0\.0\.1:\d+", command)
            log = terminals.enter_context(shell(command, folder, name))
            assert eventually(functools.partial(answers, url), 60), log.read_text()
            (listening,) = re.findall(r"is listening on (\S+)", server.read_text())
            assert asyncio.run(unread_after_ring(name, url, listening)) > 0, log.read_text()
        for number, command in enumerate(commands[1 + len(names) :]):
            with shell(f"{command}\necho finished", folder, f"more{number}") as log:
                assert eventually(lambda log=log: log.read_text().endswith("finished\n"), 60), log.read_text()


@pytest.mark.xdist_group("ports of the example apps")
@pytest.mark.parametrize("name", sampled(TILE))
def test_commands_of_an_example_run_it_in_an_empty_folder(tmp_path: Path, other_server: None, name: str) -> None:
    commands = BLOCK.findall((EXAMPLES / name / "README.md").read_text(encoding="utf-8"))
    run_and_ring(commands, [name], tmp_path / "app")


@pytest.mark.thorough
@pytest.mark.xdist_group("ports of the example apps")
def test_commands_for_several_examples_share_a_server(tmp_path: Path, other_server: None) -> None:
    commands = BLOCK.findall((EXAMPLES / "README.md").read_text(encoding="utf-8"))
    run_and_ring(commands[1:], ["photo_studio", "shop_suite"], tmp_path / "apps")


@pytest.mark.parametrize("name", TILE)
def test_notifications_of_an_example_are_one_short_file(name: str) -> None:
    row = re.search(
        rf"^\| \[{name}\].*\]\(({name}/[^)]+\.py)\) \|$", (EXAMPLES / "README.md").read_text(), re.MULTILINE
    )
    assert row, name
    assert len((EXAMPLES / row[1]).read_text(encoding="utf-8").splitlines()) < 150


@pytest.mark.parametrize("module", ["bellcast.examples.shop_suite", "bellcast.examples"])
def test_example_without_its_packages_names_them_and_the_command(tmp_path: Path, module: str) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['django'] = sys.modules['pusher'] = None\n")
    command = [sys.executable, "-m", module, "photo_studio", "--settings"]
    environ = os.environ | {"PYTHONPATH": str(tmp_path)}
    ended = subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert "not installed (django, pusher): run pip install 'bellcast[demo]'" in ended.stderr
