"""`bellcast bench`: the benchmark suite."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from bellcast.cli import options, output
from bellcast.cli.output import CommandError

CHECKOUT = Path(__file__).parents[3]

EPILOG = """\
[dim]Examples[/]

  bellcast bench --list
  bellcast bench ingest inbox --quick

[dim]It starts its own servers and the installed peers, and needs Linux. All benchmarks take about fifteen minutes.[/]
"""

app = typer.Typer()


@app.command(cls=options.CliCommand, rich_help_panel="Maintenance", epilog=EPILOG)
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
