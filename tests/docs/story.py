"""A page of the documentation as a story: its examples are run in order, in a folder of their own, on a real server."""

import asyncio
import contextlib
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Coroutine, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page

from bellcast.client import Bellcast
from tests import engines
from tests.docs.blocks import Block
from tests.servers import PROJECT, ServerProcess

PATIENCE = 60.0  # seconds; a loaded machine needs three
# The ports of the examples; each story has free ones in their place.
PORTS = re.compile(r"\b(8787|8000|8080|9000)\b")
# The app's own database, as the examples name it; a story that names it has an empty one in its place.
DATABASE = re.compile(r"(postgresql(?:\+\w+)?)://shop@localhost/shop\b")


class Story:
    """One page. `server` stands for the one that its reader has started; None if the page starts its own."""

    def __init__(self, folder: Path, browser: Browser, server: ServerProcess | None, *, credentials: bool) -> None:
        self.folder = folder
        self.printed = ""
        self.ports = {shown: str(quiet_port()) for shown in ("8787", "8000", "8080", "9000")}
        if server is not None:
            self.ports["8787"] = str(server.port)
        self.names: dict[str, Any] = {"__name__": "__main__"}
        self.environ = self._environ(credentials=credentials)
        self._browser = browser
        self._pages: list[Page] = []
        self._staying: list[tuple[subprocess.Popen[bytes], Path]] = []
        self._made: str | None = None

    def _environ(self, *, credentials: bool) -> dict[str, str]:
        """What the reader has in the environment: on the first pages nothing, later the project's credentials."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("BELLCAST_")}
        known = {"BELLCAST_PROJECT": ":".join(PROJECT), "BELLCAST_SECRET": PROJECT[2]} if credentials else {}
        places = {"BELLCAST_URL": self.here("http://127.0.0.1:8787"), "BELLCAST_PORT": self.ports["8787"]}
        # The doctor waits for one.
        pace = {"BELLCAST_HEARTBEAT": "2"}
        programs = {"PATH": f"{Path(sys.executable).parent}:{kept['PATH']}", "PYTHONUNBUFFERED": "1"}
        return kept | known | places | pace | programs

    def here(self, text: str) -> str:
        """The text of an example with the ports of this story."""
        text = DATABASE.sub(lambda found: self._database().replace("postgresql", found[1], 1), text)
        return PORTS.sub(lambda found: self.ports[found[0]], text)

    def _database(self) -> str:
        if self._made is None:
            self._made = f"story{quiet_port()}"
            _aside(engines.postgres().make(self._made))
        return engines.postgres().url(self._made)

    def play(self, block: Block) -> None:
        """Do what the block says."""
        text = self.here(block.text)
        match block.kind:
            case "write":
                (self.folder / block.options["file"]).write_text(text, encoding="utf-8")
            case "expect":
                self._expect(text)
            case "sh" if "stays" in block.options:
                self._stay(text, block.options["stays"])
            case "sh":
                self._run(text)
            case "stop":
                self._stop(signal.SIGTERM)
            case "python":
                self._python(text, block.line)
            case "js":
                self._javascript(text)

    # --- one method a kind

    def _run(self, text: str) -> None:
        command = ["bash", "-euo", "pipefail", "-c", text]
        done = subprocess.run(
            command, cwd=self.folder, env=self.environ, capture_output=True, text=True, timeout=3 * PATIENCE
        )
        self.printed = done.stdout + done.stderr
        assert done.returncode == 0, self.printed

    def _stay(self, text: str, port: str) -> None:
        said = self.folder / f".said{len(self._staying)}"
        with said.open("wb") as log:
            command = ["bash", "-euc", f"exec {text.strip()}"]
            process = subprocess.Popen(
                command, cwd=self.folder, env=self.environ, stdout=log, stderr=log, start_new_session=True
            )
        self._staying.append((process, said))
        ready = (lambda: _answers(int(self.ports[port]))) if port else (lambda: said.stat().st_size > 0)
        _until(lambda: ready() or process.poll() is not None)
        assert process.poll() is None, said.read_text()
        assert ready(), "not ready in time: " + said.read_text()

    def _python(self, text: str, line: int) -> None:
        """In a thread: the browser's driver keeps this one's event loop."""
        failures: list[BaseException] = []

        def run() -> None:
            try:
                exec(compile("\n" * line + text, "example", "exec"), self.names)
            except BaseException as failure:
                failures.append(failure)

        printed = StringIO()
        with contextlib.redirect_stdout(printed), self._placed():
            worker = threading.Thread(target=run)
            worker.start()
            worker.join()
        self.printed = printed.getvalue()
        if failures:
            raise failures[0]

    @contextlib.contextmanager
    def _placed(self) -> Iterator[None]:
        """In the story's folder and environment, as a reader's program would be."""
        before = dict(os.environ)
        os.environ.update(self.environ)
        try:
            with contextlib.chdir(self.folder):
                yield
        finally:
            os.environ.clear()
            os.environ.update(before)

    def _javascript(self, text: str) -> None:
        """On an empty page of a site whose server hands out tokens for Alice."""
        page, site = self.page(), f"http://127.0.0.1:{quiet_port()}"
        page.route(f"{site}/", lambda route: route.fulfill(content_type="text/html", body="<!doctype html>"))
        page.route(f"{site}/bell-token", lambda route: route.fulfill(json={"token": self._token()}))
        self.printed = ""
        page.goto(site)
        page.add_script_tag(type="module", content=text)

    def _token(self) -> str:
        with Bellcast(self.here("http://127.0.0.1:8787"), PROJECT[2]) as bell:
            return bell.token("alice", topics=["project.*", "presence-*"])

    def page(self) -> Page:
        """A new page whose console is what it prints; complaints end the story."""
        page = self._browser.new_page()
        page.set_default_timeout(PATIENCE * 1000)
        page.on("console", lambda message: self._hear(message.text))
        page.on("pageerror", lambda error: self._hear(f"error: {error}"))
        self._pages.append(page)
        return page

    def _hear(self, text: str) -> None:
        self.printed += text + "\n"

    # --- what was printed

    def _expect(self, text: str) -> None:
        """What stands in the page is what was printed, by the block before or by what stays."""
        _until(lambda: any(_fits(text, said) for said in self._heard()))
        heard = self._heard()
        assert any(_fits(text, said) for said in heard), "\n---\n".join(heard)

    def _heard(self) -> list[str]:
        for page in self._pages:
            page.wait_for_timeout(20)
        return [self.printed, *(said.read_text(encoding="utf-8") for _, said in self._staying)]

    def close(self) -> None:
        """End everything the story has begun."""
        for page in self._pages:
            page.close()
        for value in self.names.values():
            if isinstance(value, Bellcast):
                value.close()
        self._stop(signal.SIGKILL)
        if self._made is not None:
            _aside(engines.postgres().drop(self._made))

    def _stop(self, how: signal.Signals) -> None:
        while self._staying:
            process, _ = self._staying.pop()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, how)
            process.wait(timeout=PATIENCE)


def _aside(work: Coroutine[Any, Any, Any]) -> None:
    """To its end in a thread: the browser's driver keeps this one's event loop."""
    worker = threading.Thread(target=asyncio.run, args=(work,))
    worker.start()
    worker.join()


def _fits(expected: str, printed: str) -> bool:
    """Whether the expected lines stand in what was printed; `…` is anything."""
    pattern = ".*?".join(re.escape(part) for part in expected.strip().split("…"))
    return re.search(pattern, "\n".join(line.rstrip() for line in printed.splitlines()), re.DOTALL) is not None


def quiet_port() -> int:
    """A free port below those that the system gives to outgoing connections: it is still free when somebody listens."""
    while _answers(port := random.randrange(20_000, 32_000)):
        pass
    return port


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _until(ready: Any) -> None:
    """Wait until it is so, or for as long as anybody would."""
    deadline = time.monotonic() + PATIENCE
    while not ready() and time.monotonic() < deadline:
        time.sleep(0.05)
