"""`bellcast bench`: the benchmark suite."""

from typing import Annotated

import typer

from bellcast.cli import console, options

EPILOG = """\
[dim]Examples[/]

  bellcast bench --list
  bellcast bench ingest inbox --quick

[dim]It starts servers of its own, and the peers that are installed, and needs Linux. All of it takes some ten \
minutes.[/]
"""

app = typer.Typer()


@app.command(cls=options.Command, rich_help_panel="Look after it", epilog=EPILOG)
def bench(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]…", help="Which; all unless named.")] = None,
    list_: Annotated[bool, typer.Option("--list", help="Tell what there is to measure.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Small sizes: see that it works, in two minutes.")] = False,
    connections: Annotated[
        int | None, typer.Option(min=1, metavar="NUMBER", help="Live clients in fanout, memory and dialects.")
    ] = None,
    json: console.Json = False,
) -> None:
    """Measure this server and its peers."""
    from bellcast import bench as suite

    if list_:
        suite.show_list()
        return
    raise typer.Exit(suite.main(names or (), quick=quick, json=json, connections=connections))
