"""`bellcast doctor`: look at everything, and say what to do."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from bellcast.cli import console, options

if TYPE_CHECKING:  # it looks at everything, so it imports everything: not for --help
    from bellcast.cli.findings import Finding

EPILOG = """\
[dim]Examples[/]

  bellcast doctor
  [dim]# through your proxy, as browsers connect[/]
  bellcast doctor --url https://bell.example.com
  [dim]# skip the idle-timeout check, which takes 25 s behind a proxy[/]
  bellcast doctor --quick
  bellcast doctor --json | jq '.findings[] | select(.state != "ok")'

[dim]Settings are those of this shell and machine: run it where the server runs, with the server's environment. What it \
reads through --url is the server's own. Status 1 if there is a problem; warnings leave it 0.[/]
"""
MARKS = {"ok": "[green]✓[/]", "warning": "[yellow]![/]", "problem": "[bold red]✗[/]"}

app = typer.Typer()


@app.command(cls=options.with_settings("DATA", "STORE", "URL"), rich_help_panel="Look after it", epilog=EPILOG)
def doctor(
    ctx: typer.Context,
    local: Annotated[bool, typer.Option("--local", help="Look at this machine only, at no server.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Skip the idle-timeout check (25 s).")] = False,
    json: console.Json = False,
) -> None:
    """Look for what is wrong, and say what to do."""
    found = []
    with (console.err if json else console.out).status("Checking this machine") as status:
        for finding in _examine(ctx, local, quick, status.update):
            found.append(finding)
            if not json:
                _show(finding)
    problems = sum(finding.state == "problem" for finding in found)
    if json:
        console.json({"ok": not problems, "findings": [finding._asdict() for finding in found]})
    else:
        console.out.print(_summary(found))
    raise typer.Exit(1 if problems else 0)


def _examine(ctx: typer.Context, local: bool, quick: bool, progress: Callable[[str], None]) -> Iterator["Finding"]:
    from bellcast.cli import local_checks, server_checks, urls
    from bellcast.cli.findings import Finding
    from bellcast.errors import SettingsError

    try:
        settings = options.settings(ctx)
    except SettingsError as wrong:
        yield Finding("settings", "problem", wrong.detail, "correct it; `bellcast serve` would not start")
        return
    yield Finding("settings", "ok", "all can be read")
    yield from local_checks.machine(settings)
    yield from urls.examined(settings)
    if not local:
        yield from server_checks.server(settings, quick=quick, progress=progress)


def _show(finding: "Finding") -> None:
    from rich.markup import escape

    console.out.print(f"{MARKS[finding.state]} {finding.check:<14} {escape(finding.what)}", soft_wrap=True)
    if finding.fix:
        console.out.print(f"  {'':<14} [dim]→[/] {escape(finding.fix)}", soft_wrap=True)


def _summary(found: list["Finding"]) -> str:
    problems = sum(finding.state == "problem" for finding in found)
    warnings = sum(finding.state == "warning" for finding in found)
    if problems:
        return f"\n[bold red]{_counted(problems, 'problem')}[/], {_counted(warnings, 'warning')}."
    return f"\n[green]No problems[/], {_counted(warnings, 'warning')}."


def _counted(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
