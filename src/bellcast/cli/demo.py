"""`bellcast demo` and `bench`: the server with the demo apps, without configuration, and its benchmarks.

The server of the demo is in a process of its own, which the start page can kill, and which is then started again."""

import contextlib
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, MutableMapping, Sequence
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bellcast.cli import options, output
from bellcast.cli.output import CommandError

if TYPE_CHECKING:  # imported when the command runs, not for --help
    from bellcast.examples.demo.apps import DemoApp
    from bellcast.examples.demo.busy import BusyLoader
    from bellcast.examples.demo.servers import ServerUrls
    from bellcast.kernel.identities import Project
    from bellcast.live_feed import ServedRequest
    from bellcast.settings.table import ServerSettings, Settings

EPILOG = """\
[dim]Examples[/]

  bellcast demo
  bellcast demo --port 9000 --no-browser
  [dim]# with 100,000 notifications, to look at the console[/]
  bellcast demo --busy
  bellcast demo --busy --rows 5000000

[dim]The five demo apps and --busy need the extra `demo`. Without it, the demo is one page with two bells.

All data is in a temporary folder, which is deleted at the end. Settings of the environment are ignored.[/]
"""
PORT = 8787
ROWS = 100_000
# A short drain, because only a few pages reconnect. Request log lines would push the URLs off the screen.
# The demo's mail server is on this machine.
FLAGS = {"drain": "1s", "access_log": "errors", "http_allow": "127.0.0.1"}
# Seconds until a killed server is started again, so that people can look at the apps without it.
RESTART_S = 4.0
# A forked process has the imports of the fork server. They are most of the processor time until a server listens.
PRELOADED = ["bellcast.server.app", "bellcast.server.run", "bellcast.cli.serve", "bellcast.cli.logs"]
_processes = multiprocessing.get_context("forkserver")

app = typer.Typer()


@app.command(cls=options.CliCommand, rich_help_panel="Server", epilog=EPILOG)
def demo(
    port: Annotated[
        int | None, options.option("PORT", f"The server's port. Default: {PORT}, or a free one.", min=0, max=65_535)
    ] = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Do not open the browser.")] = False,
    busy: Annotated[
        bool,
        typer.Option(
            "--busy",
            help="Also create 2,000 recipients and 100,000 notifications, messages, runs, failures and refusals; then 200 "
            "connections and a send a second, more with more rows and less with fewer.",
        ),
    ] = False,
    rows: Annotated[
        int | None,
        options.option("NUMBER", f"Notifications of --busy, with messages and runs. Default: {ROWS}.", min=0),
    ] = None,
    app_ports: Annotated[list[int] | None, typer.Option("--app-port", hidden=True)] = None,
) -> None:
    """Run the server with demo apps and open a page."""
    if rows is not None and not busy:
        raise typer.BadParameter("needs --busy", param_hint="--rows")
    past = busy * (ROWS if rows is None else rows)
    from bellcast.cli import logs

    _processes.set_forkserver_preload(PRELOADED)
    forkserver.ensure_running()  # it imports while this process loads the apps
    from bellcast.examples.demo import apps
    from bellcast.examples.demo.servers import DemoServers
    from bellcast.settings import load, project

    pages, missing = apps.installed()
    if missing and busy:
        raise CommandError(f"--busy needs {missing}, which is not installed", apps.EXTRA)
    is_reset = threading.Event()

    def reset() -> None:
        is_reset.set()
        os.kill(os.getpid(), signal.SIGINT)

    with tempfile.TemporaryDirectory(prefix="bellcast-demo-") as data, DemoServers() as servers:
        server_port = port or apps.free_port(PORT if port is None else port)
        if port is None and server_port != PORT:
            output.note(f"Port {PORT} is in use; the demo uses {server_port} and other free ports.")
        ports = app_ports or range(server_port + 1, server_port + 1 + len(pages))
        for demo_app, app_port in zip(pages, ports, strict=True):
            demo_app.listen(app_port)
        flags = {**FLAGS, **apps.settings(pages)}
        values = {**flags, "data": data, "port": server_port}
        settings = load(values, {})
        logs.configure(settings.server)
        credentials = project(settings)[0]
        server = DemoServer(values, servers.urls, is_busy=busy)
        pages[-1].controls = {"reset": reset, "kill": server.kill}
        loading = _busy_loader(settings, credentials, past) if busy else None

        def ready(url: str, setup_code: str | None) -> None:
            for demo_app in pages:
                demo_app.start(url, credentials, Path(data))
            _print_urls(url, data, pages, setup_code)
            if missing:
                output.note(f"This is one page with two bells: the five demo apps need {missing}. {apps.EXTRA}.")
            if loading is not None:
                loading.start(url)
            if not no_browser:
                apps.open_page(pages[-1].url)

        try:
            server.run(ready)
        finally:
            if loading is not None:
                loading.stop()
            for demo_app in pages:
                demo_app.stop()
    output.note("The demo has ended; its data was deleted.")
    if is_reset.is_set():
        # Replace this process with a new demo on the same ports: Django cannot be configured twice in a process.
        sys.stdout.flush()
        arguments = ["--no-browser", f"--port={server_port}", *(f"--app-port={demo_app.port}" for demo_app in pages)]
        arguments += ["--busy", f"--rows={past}"] if busy else []
        os.execv(sys.executable, [sys.executable, "-m", "bellcast", "demo", *arguments])  # noqa: S606  the arguments are constant


def _busy_loader(settings: "Settings", project: "Project", rows: int) -> "BusyLoader":
    """Write the notifications of `--busy` before the server opens its database, and return what sends more."""
    from bellcast.examples.demo import history
    from bellcast.examples.demo.busy import BusyLoader  # needs the extra `demo`

    if rows:
        output.note(f"Writing {rows:,} notifications of the last 30 days to {settings.store.path}.")
        with output.progress("Writing notifications") as show:
            history.write(settings.store.path, rows, show)
    return BusyLoader(str(project.secret), project.key, rows)


def _print_urls(url: str, data: str, apps: list["DemoApp"], setup_code: str | None) -> None:
    """Print the URLs, that of the last page first, and a command to try."""
    from rich.panel import Panel
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    for demo_app in (apps[-1], *apps[:-1]):
        table.add_row(f"[bold]{demo_app.name}[/]", f"[bold cyan]{demo_app.url}[/]")
    table.add_row("Server", f"[cyan]{url}[/]")
    table.add_row("API", f"[cyan]{url}/docs[/]")
    table.add_row("Stop", "Ctrl-C [dim](all data is deleted)[/]")
    output.out().print(Panel(table, title="Bellcast demo", title_align="left", expand=False, padding=(1, 2)))
    # Outside the panel, so that they can be copied in one line.
    if setup_code is not None:
        output.out().print(f"[dim]Set up the console:[/]\n  {url}/console/setup#code={setup_code}", soft_wrap=True)
    output.out().print("[dim]Send a notification from another terminal:[/]")
    script = Path(sys.executable).with_name("bellcast")  # `make demo` does not activate a virtual environment
    is_on_path = shutil.which("bellcast") and "UV" not in os.environ  # noqa: TID251  uvx adds it to the path of this process only
    command = "bellcast" if is_on_path else min(os.path.relpath(script), str(script), key=len)
    to = 'clara "Hello" --tenant oriel' if len(apps) > 1 else 'bob "Hello"'
    output.out().print(f"  {command} notify {to} --url {url} --data {data}\n", soft_wrap=True)


class DemoServer:
    """A server with these settings and a past at `servers`. It does not outlive this process."""

    def __init__(self, settings: dict[str, Any], servers: "ServerUrls", *, is_busy: bool) -> None:
        self._settings = settings
        self._servers = servers
        self._is_busy = is_busy
        self._is_stopped = threading.Event()
        self._process: Any = None

    def run(self, ready: Callable[[str, str | None], None]) -> None:
        """Serve until a signal, and restart after a kill. Calls `ready` with the URL and the set-up code once, when the
        server accepts connections. Raises CommandError if it does not start."""

        def stop(*_: object) -> None:
            self._is_stopped.set()
            if self._process is not None:
                self._process.terminate()

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, stop)
        is_first = True
        while not self._is_stopped.is_set():
            receiver, sender = _processes.Pipe(duplex=False)
            past = (self._servers, self._is_busy) if is_first else None
            self._process = _processes.Process(target=_run_server, args=(self._settings, past, sender))
            self._process.start()
            sender.close()
            try:
                url, setup_code, failure = receiver.recv()
            except EOFError:  # it ended before it listened
                url = setup_code = failure = None
            if failure is not None:
                raise CommandError(*failure)
            if url is not None and is_first and not self._is_stopped.is_set():
                ready(url, setup_code)
                is_first = False
            # The pipe ends with the server. `join` would also return when a signal to all processes ends the fork server.
            with contextlib.suppress(EOFError):
                receiver.recv()
            self._process.join()
            if not self._is_stopped.is_set() and self._process.exitcode != -signal.SIGKILL:
                raise CommandError(f"the server ended with status {self._process.exitcode}", "see the log above")
            self._is_stopped.wait(RESTART_S)

    def kill(self) -> None:
        """End the server as a crash does, without any clean-up."""
        if self._process is not None:
            self._process.kill()


def _run_server(settings: dict[str, Any], past: tuple["ServerUrls", bool] | None, parent: Connection) -> None:
    """Serve in the new process; first write the past, unless the database has one."""
    from bellcast import server
    from bellcast.cli import serve
    from bellcast.settings import load

    os.setpgrp()  # Ctrl-C in the terminal reaches the demo only, which then ends this process
    loaded = load(settings, {})

    def end_with_parent() -> None:
        if (process := multiprocessing.parent_process()) is not None:
            process.join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=end_with_parent, name="bellcast-parent", daemon=True).start()
    try:
        requests: Sequence[ServedRequest] = ()
        if past is not None:
            from bellcast.examples.demo.past import write

            requests = write(settings, past[0], is_busy=past[1])
        configure_log(loaded.server)
        app = server.create_app(loaded)
        for request in requests:
            app.feed.add_request(request)
        serve.run(app, lambda url: parent.send((url, app.setup_code, None)))
    except CommandError as error:
        parent.send((None, None, (error.problem, error.hint)))


def configure_log(server: "ServerSettings") -> None:
    """Configure the log, without the lines for comparisons with an audit log: a demo's are not compared."""
    import structlog

    from bellcast.cli import logs

    def leave_out(_: object, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        if line["event"] == "audit_head":
            raise structlog.DropEvent
        return line

    logs.configure(server)
    structlog.configure(processors=[leave_out, *structlog.get_config()["processors"]])


CHECKOUT = Path(__file__).parents[3]

BENCH_EPILOG = """\
[dim]Examples[/]

  bellcast bench --list
  bellcast bench ingest inbox --quick

[dim]It starts its own servers and the installed peers, and needs Linux. All benchmarks take about fifteen minutes.[/]
"""


@app.command(cls=options.CliCommand, rich_help_panel="Maintenance", epilog=BENCH_EPILOG)
def bench(
    names: Annotated[list[str] | None, options.argument("[NAME]…", "Benchmarks to run. Default: all.")] = None,
    list_: Annotated[bool, typer.Option("--list", help="List the benchmarks.")] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="Small sizes: a two-minute check that everything works.")
    ] = False,
    connections: Annotated[
        int | None, options.option("NUMBER", "Live clients in fanout, memory and dialects.", min=1)
    ] = None,
    json: output.JsonFlag = False,
) -> None:
    """Run the benchmarks of this server and its peers, from a checkout of the sources."""
    if not (CHECKOUT / "benchmarks").is_dir():
        raise CommandError(
            "The benchmarks are in Bellcast's sources, not in the installed package", "run `make bench` in a checkout"
        )
    flags = {"--list": list_, "--quick": quick, "--json": json, f"--connections={connections}": connections}
    command = [sys.executable, "-m", "benchmarks", *(names or ()), *(flag for flag, given in flags.items() if given)]
    raise typer.Exit(subprocess.run(command, cwd=CHECKOUT, check=False).returncode)  # noqa: S603  this Python runs them
