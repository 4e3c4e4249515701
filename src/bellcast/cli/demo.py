"""`bellcast demo`: runs the server with the demo apps, without configuration."""

import os
import shutil
import signal
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bellcast.cli import console, options, serve

if TYPE_CHECKING:  # imported when the command runs, not for --help
    from bellcast.cli.demo_apps import DemoApp

EPILOG = """\
[dim]Examples[/]

  bellcast demo
  bellcast demo --port 9000 --no-browser

[dim]All data is in a temporary folder, which is deleted at the end. Settings of the environment are ignored.[/]
"""
PORT = 8787
# A short drain: only a few pages reconnect.
FLAGS = {"drain": "1s", "log_requests": True}

app = typer.Typer()


@app.command(cls=options.CliCommand, rich_help_panel="Server", epilog=EPILOG)
def demo(
    port: Annotated[
        int | None,
        typer.Option(metavar="PORT", min=0, max=65_535, help=f"The server's port. Default: {PORT}, or a free one."),
    ] = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Do not open the browser.")] = False,
) -> None:
    """Run the server with demo apps and open a page."""
    from bellcast import server
    from bellcast.cli import demo_apps, logs
    from bellcast.settings import load, project

    apps = demo_apps.every()
    is_reset = threading.Event()

    def reset() -> None:
        is_reset.set()
        os.kill(os.getpid(), signal.SIGINT)

    start_page = demo_apps.StartPage(apps, reset)
    with tempfile.TemporaryDirectory(prefix="bellcast-demo-") as data:
        server_port = demo_apps.free_port(PORT) if port is None else port
        if port is None and server_port != PORT:
            console.note(f"Port {PORT} is in use; the demo uses {server_port} and the following ones.")
        for number, demo_app in enumerate([*apps, start_page], 1):
            demo_app.listen(server_port + number)
        settings = load({**FLAGS, **demo_apps.settings([*apps, start_page]), "data": data, "port": server_port}, {})
        logs.configure(settings.server)
        credentials = project(settings)[0]

        def ready(url: str) -> None:
            for demo_app in [*apps, start_page]:
                demo_app.start(url, credentials, Path(data))
            _print_urls(url, data, [start_page, *apps])
            if not no_browser:
                demo_apps.open_page(start_page.url)

        try:
            serve.run(server.create_app(settings), ready)
        finally:
            for demo_app in [*apps, start_page]:
                demo_app.stop()
    console.note("The demo has ended; its data was deleted.")
    if is_reset.is_set():
        _restart(server_port)


def _restart(port: int) -> None:
    """Replace this process by a new demo on the same ports: Django cannot be configured twice in a process."""
    sys.stdout.flush()
    command = [sys.executable, "-m", "bellcast", "demo", "--port", str(port), "--no-browser"]
    os.execv(sys.executable, command)  # noqa: S606  the arguments are constant


def _print_urls(url: str, data: str, apps: list["DemoApp"]) -> None:
    """Print the URLs and a command to try."""
    from rich.panel import Panel
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    for demo_app in apps:
        table.add_row(f"[bold]{demo_app.name}[/]", f"[bold cyan]{demo_app.url}[/]")
    table.add_row("Server", f"[cyan]{url}[/]")
    table.add_row("API", f"[cyan]{url}/docs[/]")
    table.add_row("Stop", "Ctrl-C [dim](all data is deleted)[/]")
    console.out.print(Panel(table, title="Bellcast demo", title_align="left", expand=False, padding=(1, 2)))
    # Outside the panel, so that it can be copied in one line.
    console.out.print("[dim]Send a notification from another terminal:[/]")
    script = Path(sys.executable).with_name("bellcast")  # `make demo` activates no virtual environment
    command = "bellcast" if shutil.which("bellcast") else os.path.relpath(script)
    console.out.print(f'  {command} notify clara "Hello" --tenant oriel --url {url} --data {data}\n', soft_wrap=True)
