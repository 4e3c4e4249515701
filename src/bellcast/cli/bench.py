"""`bellcast bench`: the benchmark suite."""

from typing import Annotated

import typer

from bellcast.cli import console, options

EPILOG = """\
[dim]Examples[/]

  bellcast bench --list
  bellcast bench ingest inbox --quick

[dim]It starts its own servers and the installed peers, and needs Linux. All benchmarks take about fifteen minutes.[/]
"""

app = typer.Typer()


@app.command(cls=options.CliCommand, rich_help_panel="Maintenance", epilog=EPILOG)
def bench(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]…", help="Benchmarks to run. Default: all.")
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="List the benchmarks.")] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="Small sizes: a two-minute check that everything works.")
    ] = False,
    connections: Annotated[
        int | None, typer.Option(min=1, metavar="NUMBER", help="Live clients in fanout, memory and dialects.")
    ] = None,
    json: console.JsonFlag = False,
) -> None:
    """Run the benchmarks of this server and its peers."""
    from bellcast import bench as suite

    if list_:
        suite.show_list()
        return
    raise typer.Exit(suite.main(names or (), quick=quick, json=json, connections=connections))
