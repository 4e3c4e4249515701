"""Runs the examples of a documentation page in order, in a separate folder, on a real server."""

import asyncio
import atexit
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4

from playwright.sync_api import Browser, Page

from bellcast.client import Bellcast
from tests import engines, forked_commands
from tests.docs.blocks import Block
from tests.servers import PROJECT, ServerProcess, free_port

TIMEOUT = 60.0  # seconds; a loaded machine needs three
# The ports of the examples; each page gets free ones instead.
PORTS = re.compile(r"\b(8787|8000|8080|9000|4222)\b")
INVENTED = "https://bell.example.com"
CLIENT = Path(__file__).parents[2] / "client"
REFUSED = '"type":"/errors/'
NODE_CLIENT = "import { Bellcast } from 'bellcast/server'; const bell = new Bellcast();\n"
# The app's database as the examples name it; a page that names it gets an empty one instead.
DATABASE = re.compile(r"(postgresql(?:\+\w+)?)://shop@localhost/shop\b")


class PageRunner:
    """One page. `server` is the one its reader has started, or None if the page starts one."""

    def __init__(self, folder: Path, browser: Browser, server: ServerProcess | None, *, credentials: bool) -> None:
        self.folder = folder
        self.printed = ""
        self.errors: list[str] = []  # of scripts in pages
        self.ports = {shown: str(free_port()) for shown in ("8787", "8000", "8080", "9000", "4222")}
        if server is not None:
            self.ports["8787"] = str(server.port)
        self.names: dict[str, Any] = {"__name__": "__main__"}
        self.environ = self._environ(credentials=credentials)
        self._browser = browser
        self._pages: list[Page] = []
        self._background: list[tuple[subprocess.Popen[bytes], Path]] = []
        self._database_name: str | None = None
        self._thread = ThreadPoolExecutor(1)  # one for all blocks, which may share a SQLite connection

    def _environ(self, *, credentials: bool) -> dict[str, str]:
        """The reader's environment: empty on the first pages, with the project's credentials on later ones."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("BELLCAST_")}
        credentials_environ = (
            {"BELLCAST_PROJECT": ":".join(PROJECT), "BELLCAST_SECRET": PROJECT[2]} if credentials else {}
        )
        addresses = {"BELLCAST_URL": self.localized("http://127.0.0.1:8787"), "BELLCAST_PORT": self.ports["8787"]}
        pace = {"BELLCAST_HEARTBEAT": "2"}
        programs = {
            "PATH": f"{Path(sys.executable).parent}:{inherited['PATH']}:{engines.BUILT}",
            "PYTHONUNBUFFERED": "1",
        }
        # A new machine compiles Go's standard library first: 20 s of CPU time, 27 with optimizations.
        go = {"CGO_ENABLED": "0", "GOFLAGS": "'-gcflags=all=-N -l'"}
        return inherited | credentials_environ | addresses | pace | programs | go

    def localized(self, text: str) -> str:
        """Replace the ports and the database of an example with those of this page."""
        text = DATABASE.sub(lambda match: self._database().replace("postgresql", match[1], 1), text)
        return PORTS.sub(lambda match: self.ports[match[0]], text)

    def _database(self) -> str:
        if self._database_name is None:
            self._database_name = f"page_{uuid4().hex}"
            self._wait_for(engines.postgres().make(self._database_name))
        return engines.postgres().url(self._database_name)

    def run(self, block: Block) -> None:
        """Execute a block by its kind."""
        text = self.localized(block.text)
        if block.kind != "expect":
            self.check()
        match block.kind:
            case "write":
                file = self.folder / block.options["file"]
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8")
            case "expect":
                self._expect(text)
            case "sh" if "stays" in block.options:
                self._start(text, block.options["stays"])
            case "sh":
                self._run(text)
            case "stop":
                self._stop(signal.SIGTERM)
            case "python":
                self._python(text, block.line)
            case "js":
                self._javascript(text)
            case "node":
                self._node(text)

    def check(self) -> None:
        """A refused request, which `curl -s` does not report, fails the page unless its output is on the page."""
        assert REFUSED not in self.printed, self.printed

    # --- kinds of blocks

    def _run(self, text: str) -> None:
        command = ["bash", "-euo", "pipefail", "-c", text]
        environ = self.environ | {"PATH": f"{_commands()}:{self.environ['PATH']}"}
        result = subprocess.run(
            command, cwd=self.folder, env=environ, capture_output=True, text=True, timeout=3 * TIMEOUT
        )
        self.printed = result.stdout + result.stderr
        assert result.returncode == 0, self.printed

    def _start(self, text: str, port: str) -> None:
        output = self.folder / f".output{len(self._background)}"
        with output.open("wb") as log:
            command = ["bash", "-euc", f"exec {text.strip()}"]
            process = subprocess.Popen(
                command, cwd=self.folder, env=self.environ, stdout=log, stderr=log, start_new_session=True
            )
        self._background.append((process, output))
        ready = (lambda: _is_listening(int(self.ports[port]))) if port else (lambda: output.stat().st_size > 0)
        _wait_until(lambda: ready() or process.poll() is not None)
        assert process.poll() is None, output.read_text()
        assert ready(), "not ready in time: " + output.read_text()

    def _python(self, text: str, line: int) -> None:
        """Execute in the page's thread, because the browser's driver occupies the event loop of this one."""
        printed = StringIO()
        with contextlib.redirect_stdout(printed), self._reader_context():
            code = compile("\n" * line + text, "example", "exec")
            self._thread.submit(exec, code, self.names).result()
        self.printed = printed.getvalue()

    @contextlib.contextmanager
    def _reader_context(self) -> Iterator[None]:
        """Set the folder and the environment of a reader's program."""
        before = dict(os.environ)
        os.environ.update(self.environ)
        try:
            with contextlib.chdir(self.folder):
                yield
        finally:
            os.environ.clear()
            os.environ.update(before)

    def _node(self, text: str) -> None:
        """Execute as a module of an app in which the package is installed."""
        installed = self.folder / "node_modules" / "bellcast"
        if not installed.exists():
            installed.parent.mkdir(exist_ok=True)
            installed.symlink_to(CLIENT)
        client = "" if "new Bellcast(" in text else NODE_CLIENT
        (self.folder / "example.mjs").write_text(client + text, encoding="utf-8")
        self._run("node example.mjs")

    def _javascript(self, text: str) -> None:
        """Execute on an empty page of a site that issues tokens for Alice."""
        page, site = self.page(), f"http://127.0.0.1:{free_port()}"
        page.route(f"{site}/", lambda route: route.fulfill(content_type="text/html", body="<!doctype html>"))
        page.route(f"{site}/bell-token", lambda route: route.fulfill(json={"token": self._token()}))
        self.printed = ""
        page.goto(site)
        page.add_script_tag(type="module", content=self._with_server(text))

    def _token(self) -> str:
        with Bellcast(self.localized("http://127.0.0.1:8787"), PROJECT[2]) as bell:
            return bell.token("alice", topics=["project.*", "presence-*"])

    def show(self, html: str) -> Page:
        """Open a site's page with this HTML, whose paths issue tokens for Alice, with the server in place of its examples."""
        page, site = self.page(), f"http://127.0.0.1:{free_port()}"
        body = "<!doctype html>" + self._with_server(re.sub(r'(?<=")/bell(?=["/])', INVENTED, html))
        if "bellcast.js" not in body:  # the page names another location of the script
            body += self._with_server(f'<script type="module" src="{INVENTED}/bellcast.js"></script>')
        page.route(f"{site}/**", lambda route: route.fulfill(json={"token": self._token()}))
        page.route(f"{site}/", lambda route: route.fulfill(content_type="text/html", body=body))
        loader = CLIENT / "src" / "bellcast-load.js"
        page.route(f"{site}/static/{loader.name}", lambda route: route.fulfill(path=loader))
        page.goto(site)
        return page

    def _with_server(self, text: str) -> str:
        """Write the server's address in place of the invented one, as readers do."""
        return text.replace(INVENTED, self.environ["BELLCAST_URL"])

    def page(self) -> Page:
        """Open a page and collect its console messages and errors."""
        page = self._browser.new_page()
        page.set_default_timeout(TIMEOUT * 1000)
        page.on("console", lambda message: self._record(message.text))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        self._pages.append(page)
        return page

    def _record(self, text: str) -> None:
        self.printed += text + "\n"

    # --- output

    def _expect(self, text: str) -> None:
        """Wait until the expected text is in the output of the block before or of a background process."""
        _wait_until(lambda: any(_matches(text, output) for output in self._outputs()))
        outputs = self._outputs()
        assert any(_matches(text, output) for output in outputs), "\n---\n".join(outputs)
        if re.search("error|detail", text):
            self.printed = ""

    def _outputs(self) -> list[str]:
        for page in self._pages:
            page.wait_for_timeout(20)
        return [self.printed, *(output.read_text(encoding="utf-8") for _, output in self._background)]

    def close(self) -> None:
        """End every process and page of this run."""
        for page in self._pages:
            page.close()
        for value in self.names.values():
            if isinstance(value, Bellcast):
                value.close()
        self._stop(signal.SIGKILL)
        if self._database_name is not None:
            self._wait_for(engines.postgres().drop(self._database_name))
        self._thread.shutdown()

    def _wait_for(self, work: Coroutine[Any, Any, Any]) -> None:
        self._thread.submit(asyncio.run, work).result()

    def _stop(self, how: signal.Signals) -> None:
        while self._background:
            process, _ = self._background.pop()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, how)
            process.wait(timeout=TIMEOUT)


def _matches(expected: str, printed: str) -> bool:
    """True if the printed text contains the expected lines; `…` matches anything."""
    pattern = ".*?".join(re.escape(part) for part in expected.strip().split("…"))
    return re.search(pattern, "\n".join(line.rstrip() for line in printed.splitlines()), re.DOTALL) is not None


@cache
def _commands() -> str:
    """A folder with a `bellcast` that starts faster. Commands that stay, as `bellcast serve`, are those of the reader."""
    folder = tempfile.mkdtemp(prefix="bellcast-test-")
    atexit.register(shutil.rmtree, folder)
    forked_commands.write_command(Path(folder))
    return folder


def _is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _wait_until(ready: Any) -> None:
    """Wait until `ready()` is true, or for TIMEOUT."""
    deadline = time.monotonic() + TIMEOUT
    while not ready() and time.monotonic() < deadline:
        time.sleep(0.05)
