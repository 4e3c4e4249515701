"""`bellcast config`: the settings in effect, and the source of each."""

from typing import TYPE_CHECKING, Annotated

import typer

from bellcast.cli import console, options

if TYPE_CHECKING:  # imported when the command runs, not for --help
    from bellcast.settings import Settings

EPILOG = """\
[dim]Examples[/]

  bellcast config --changed
  bellcast config --json | jq -r .BELLCAST_PORT.value

[dim]Secrets are masked. Pass any setting to[/] bellcast serve [dim]as an option, as the variable, or as a file named by[/] \
<VARIABLE>_FILE[dim].[/]
"""

app = typer.Typer()


@app.command(cls=options.with_settings("DATA"), rich_help_panel="Maintenance", epilog=EPILOG)
def config(
    ctx: typer.Context,
    only_changed: Annotated[
        bool, typer.Option("--changed", help="Show only settings that differ from their defaults.")
    ] = False,
    json: console.JsonFlag = False,
) -> None:
    """Show the settings in effect."""
    from bellcast.settings import as_displayed, load
    from bellcast.settings.groups import Settings

    flags = options.flags(ctx)
    defaults, from_flags, values = as_displayed(Settings()), as_displayed(load(flags, {})), as_displayed(load(flags))
    rows = {}
    for variable, value in values.items():
        source = "option" if from_flags[variable] != defaults[variable] else "environment"
        rows[variable] = (value, "default" if value == defaults[variable] else source)
    if json:
        console.json({name: {"value": value, "source": source} for name, (value, source) in rows.items()})
    else:
        _show(rows, only_changed)
        _credentials(options.settings(ctx))


def _show(rows: dict[str, tuple[str, str]], only_changed: bool) -> None:
    """Print a line for each setting, never truncated or wrapped, so that values can be copied."""
    from rich.text import Text

    from bellcast.settings import table

    names = max(map(len, rows))
    for group, settings in table.GROUPS.items():
        shown = [setting for setting in settings if not only_changed or rows[setting.variable][1] != "default"]
        if shown:
            console.out().print(f"\n[bold]{options.panels(group)[group]}[/]")
        values = max((len(rows[setting.variable][0]) for setting in shown), default=0)
        for setting in shown:
            value, source = rows[setting.variable]
            line = f"{setting.variable:<{names}}   {value:<{values}}   {source}"
            console.out().print(Text(line, "dim" if source == "default" else "cyan"), soft_wrap=True)


def _credentials(settings: "Settings") -> None:
    from bellcast.settings import existing_project
    from bellcast.settings.credentials import credentials_file

    if settings.project is None:
        state = ", generated at the first start" if existing_project(settings) is None else ""
        console.out().print(f"\nCredentials: {credentials_file(settings)}{state}", markup=False, soft_wrap=True)
