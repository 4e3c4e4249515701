"""A send and an e-mail step pass the functions that ARCHITECTURE.md names, in their order, and no others on the way."""

import asyncio
import re
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import httpx
import pytest
import uvicorn
from websockets.asyncio.client import connect

from bellcast.auth import tokens
from bellcast.live.http.fast_path import FastPathFactory
from bellcast.server.app import create_app
from bellcast.settings import load
from tests.smtp_server import Mailbox, smtp_server

ROOT = Path(__file__).parents[2]
SOURCE = f"{ROOT}/src/bellcast/"
STEP = re.compile(r"^ *\d+ +(\S+\.py) +(\S+) ", re.MULTILINE)
PATHS = {"The path of one notification": 14, "The path of an e-mail step": 16}


class Function(NamedTuple):
    """A function of the package: its file and its qualified name."""

    file: str
    name: str


class Trace:
    """The calls of functions in their order, each as the stack of those that wait for it."""

    def __init__(self) -> None:
        self.stacks: list[list[Function]] = []
        self._started: dict[int, FrameType] = {}

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        is_ours = event == "call" and frame.f_code.co_filename.startswith(SOURCE)
        if is_ours and id(frame) not in self._started:
            self._started[id(frame)] = frame  # a generator is called once, and then resumed
            self.stacks.append([function_of(one) for one in stack_of(frame)])


def stack_of(frame: FrameType | None) -> Iterator[FrameType]:
    """Yield the frames of the package that wait for this one, and this one."""
    while frame is not None:
        if frame.f_code.co_filename.startswith(SOURCE):
            yield frame
        frame = frame.f_back


def function_of(frame: FrameType) -> Function:
    return Function(frame.f_code.co_filename.removeprefix(SOURCE), frame.f_code.co_qualname)


@contextmanager
def tracing() -> Iterator[Trace]:
    trace, before = Trace(), sys.getprofile()
    sys.setprofile(trace)
    try:
        yield trace
    finally:
        sys.setprofile(before)


@pytest.fixture
async def mailbox() -> AsyncIterator[Mailbox]:
    async with smtp_server() as mailbox:
        yield mailbox


@asynccontextmanager
async def running(folder: Path, mailbox: Mailbox) -> AsyncIterator[tuple[httpx.AsyncClient, str]]:
    """Run a server in this process, which sends its e-mails to the mailbox. Yield its client, and the URL of a device."""
    email = f"smtp://127.0.0.1:{mailbox.port}?from=bells@example.com"
    app = create_app(load({"data": str(folder), "email": email}))
    protocol: Any = FastPathFactory(app.begins_live, app.request_log.head_refused)
    server = uvicorn.Server(uvicorn.Config(app, http=protocol, ws="none", lifespan="on", log_config=None))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        task = asyncio.create_task(server.serve([listening]))
        credentials = {"authorization": f"Bearer {app.project.secret}"}
        now = app.engines.clock.now()
        token = tokens.sign(app.project, "alice", now=now, expires_at=now + 3_600_000)
        async with httpx.AsyncClient(base_url=f"http://{address}", headers=credentials) as client:
            yield client, f"ws://{address}/v1/ws?token={token}"
        server.should_exit = True
        await task


def path_of(title: str) -> list[Function]:
    """Return the functions that a section of the page names."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    _, section = text.split(f"\n## {title}\n")
    return [Function(*step) for step in STEP.findall(section.split("\n## ")[0])]


def assert_passes(trace: Trace, path: list[Function], ends: tuple[str, ...]) -> None:
    """The path's functions are called in their order, while others may run. Where one of them waits for one of the `ends`, every
    function in between is on the path."""
    calls = iter(trace.stacks)
    missing = [function for function in path if not any(stack[0] == function for stack in calls)]
    assert missing == []
    for stack in trace.stacks:
        if stack[0] in path and stack[0].name.rpartition(".")[2] in ends:
            first = max(index for index, function in enumerate(stack) if function in path)
            assert [function for function in stack[:first] if function not in path] == []


@pytest.mark.parametrize("title", PATHS)
def test_path_on_the_page_is_short(title: str) -> None:
    assert 0 < len(path_of(title)) <= PATHS[title]


async def test_send_passes_the_functions_on_the_page(tmp_path: Path, mailbox: Mailbox) -> None:
    async with running(tmp_path, mailbox) as (client, url), connect(url) as device:
        await device.recv()
        await client.post("/v1/notifications", json={"to": "alice", "title": "First"})
        await device.recv()
        with tracing() as trace:
            await client.post("/v1/notifications", json={"to": "alice", "title": "Second"})
            assert "Second" in str(await device.recv())
    assert_passes(trace, path_of("The path of one notification"), ("enqueue", "run", "encode", "write"))


async def test_email_step_passes_the_functions_on_the_page(tmp_path: Path, mailbox: Mailbox) -> None:
    async with running(tmp_path, mailbox) as (client, _):
        await client.put("/v1/recipients/alice", json={"email": "alice@example.com"})
        step = {"key": "mail", "type": "email", "subject": "Paid", "text": "{{ data.amount }}"}
        assert (await client.put("/v1/workflows/paid", json={"steps": [step]})).status_code == 201
        with tracing() as trace:
            await client.post("/v1/workflows/paid/trigger", json={"to": "alice", "data": {"amount": 12}})
            (mail,) = await mailbox.wait_for(1)
    assert mail["subject"] == "Paid"
    assert_passes(trace, path_of("The path of an e-mail step"), ("start", "external", "commit", "send"))
