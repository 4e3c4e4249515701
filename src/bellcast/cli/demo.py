"""`bellcast demo`: runs the server with the demo apps, without configuration."""

import os
import shutil
import signal
import sys
import tempfile
import threading
from multiprocessing import forkserver
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bellcast.cli import console, options

if TYPE_CHECKING:  # imported when the command runs, not for --help
    from bellcast.examples.demo.apps import DemoApp
    from bellcast.examples.demo.busy import BusyLoader
    from bellcast.kernel.identities import Project

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
    from bellcast.cli import demo_server, logs

    forkserver.ensure_running()  # it imports while this process loads the apps
    from bellcast.examples.demo import apps
    from bellcast.examples.demo.servers import DemoServers
    from bellcast.settings import load, project

    pages, missing = apps.installed()
    if missing and busy:
        raise console.CommandError(f"--busy needs {missing}, which is not installed", apps.EXTRA)
    is_reset = threading.Event()

    def reset() -> None:
        is_reset.set()
        os.kill(os.getpid(), signal.SIGINT)

    with tempfile.TemporaryDirectory(prefix="bellcast-demo-") as data, DemoServers() as servers:
        server_port = port or apps.free_port(PORT if port is None else port)
        if port is None and server_port != PORT:
            console.note(f"Port {PORT} is in use; the demo uses {server_port} and other free ports.")
        ports = app_ports or range(server_port + 1, server_port + 1 + len(pages))
        for demo_app, app_port in zip(pages, ports, strict=True):
            demo_app.listen(app_port)
        flags = {**FLAGS, **apps.settings(pages)}
        values = {**flags, "data": data, "port": server_port}
        settings = load(values, {})
        logs.configure(settings.server)
        _write_past(settings.store.path, past)
        credentials = project(settings)[0]
        server = demo_server.DemoServer(values, servers.urls, is_busy=busy)
        pages[-1].controls = {"reset": reset, "kill": server.kill}
        loading = _busy_loader(credentials, past) if busy else None

        def ready(url: str, setup_code: str | None) -> None:
            for demo_app in pages:
                demo_app.start(url, credentials, Path(data))
            _print_urls(url, data, pages, setup_code)
            if missing:
                console.note(f"This is one page with two bells: the five demo apps need {missing}. {apps.EXTRA}.")
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
    console.note("The demo has ended; its data was deleted.")
    if is_reset.is_set():
        # Replace this process with a new demo on the same ports: Django cannot be configured twice in a process.
        sys.stdout.flush()
        arguments = ["--no-browser", f"--port={server_port}", *(f"--app-port={demo_app.port}" for demo_app in pages)]
        arguments += ["--busy", f"--rows={past}"] if busy else []
        os.execv(sys.executable, [sys.executable, "-m", "bellcast", "demo", *arguments])  # noqa: S606  the arguments are constant


def _write_past(path: Path, rows: int) -> None:
    """Write the notifications of `--busy` before the server opens its database."""
    if rows == 0:
        return
    from bellcast.examples.demo import history

    console.note(f"Writing {rows:,} notifications of the last 30 days to {path}.")
    with console.progress("Writing notifications") as show:
        history.write(path, rows, show)


def _busy_loader(project: "Project", rows: int) -> "BusyLoader":
    from bellcast.examples.demo.busy import BusyLoader  # needs the extra `demo`

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
    console.out().print(Panel(table, title="Bellcast demo", title_align="left", expand=False, padding=(1, 2)))
    # Outside the panel, so that they can be copied in one line.
    if setup_code is not None:
        console.out().print(f"[dim]Set up the console:[/]\n  {url}/console/setup#code={setup_code}", soft_wrap=True)
    console.out().print("[dim]Send a notification from another terminal:[/]")
    script = Path(sys.executable).with_name("bellcast")  # `make demo` does not activate a virtual environment
    is_on_path = shutil.which("bellcast") and "UV" not in os.environ  # noqa: TID251  uvx adds it to the path of this process only
    command = "bellcast" if is_on_path else min(os.path.relpath(script), str(script), key=len)
    to = 'clara "Hello" --tenant oriel' if len(apps) > 1 else 'bob "Hello"'
    console.out().print(f"  {command} notify {to} --url {url} --data {data}\n", soft_wrap=True)
