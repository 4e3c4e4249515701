"""`bellcast demo`: the server with the demo apps around it, and nothing to configure."""

import tempfile
from typing import TYPE_CHECKING, Annotated

import typer

from bellcast.cli import console, options, serve

if TYPE_CHECKING:  # servers are imported when they start, not for --help
    from bellcast.cli.demo_apps import DemoApp

EPILOG = """\
[dim]Examples[/]

  bellcast demo
  bellcast demo --port 9000 --no-browser

[dim]Everything is kept in a temporary folder and gone when it ends. The environment's settings do not count.[/]
"""
PORT = 8787
# The few pages that are open come back at once; nobody waits for them.
FLAGS = {"drain": "1s", "log_requests": True}

app = typer.Typer()


@app.command(cls=options.Command, rich_help_panel="Server", epilog=EPILOG)
def demo(
    port: Annotated[
        int | None,
        typer.Option(metavar="PORT", min=0, max=65_535, help=f"The server's; {PORT} or a free one if not said."),
    ] = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Do not open the page.")] = False,
) -> None:
    """See it work: the server, the demo apps and an open page."""
    from bellcast import server
    from bellcast.cli import demo_apps, logs
    from bellcast.settings import load, project

    apps = demo_apps.every()
    with tempfile.TemporaryDirectory(prefix="bellcast-demo-") as data:
        chosen = demo_apps.free_port(PORT) if port is None else port
        for number, neighbour in enumerate(apps, 1):
            neighbour.listen(chosen + number)
        settings = load({**FLAGS, **demo_apps.settings(apps), "data": data, "port": chosen}, {})
        logs.configure(settings.server)
        credentials = project(settings)[0]

        def ready(url: str) -> None:
            for neighbour in apps:
                neighbour.start(url, credentials)
            _introduce(url, data, apps)
            if not no_browser:
                demo_apps.open_page(apps[0].url)

        try:
            serve.run(server.create_app(settings), ready)
        finally:
            for neighbour in apps:
                neighbour.stop()
    console.note("The demo has ended, and nothing of it is left.")


def _introduce(url: str, data: str, apps: list["DemoApp"]) -> None:
    """Where everything is, and what to try."""
    from rich.panel import Panel
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    for neighbour in apps:
        table.add_row(f"[bold]{neighbour.name}[/]", f"[bold cyan]{neighbour.url}[/]")
    table.add_row("Server", f"[cyan]{url}[/]")
    table.add_row("API", f"[cyan]{url}/docs[/]")
    table.add_row("To end it", "Ctrl-C [dim](nothing is kept)[/]")
    console.out.print(Panel(table, title="Bellcast demo", title_align="left", expand=False, padding=(1, 2)))
    # Outside the panel, where it can be copied whole.
    console.out.print("[dim]Ring a bell from another terminal:[/]")
    console.out.print(f'  bellcast notify clara "Hello" --url {url} --data {data}\n', soft_wrap=True)
