"""`bellcast doctor`: checks the installation and suggests fixes."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from bellcast.cli import options, output
from bellcast.kernel.errors import SettingsError

if TYPE_CHECKING:  # imported when the command runs, not for --help
    from bellcast.console.types import FindingItem

EPILOG = """\
[dim]Examples[/]

  bellcast doctor
  [dim]# through your proxy, as browsers connect[/]
  bellcast doctor --url https://bell.example.com
  [dim]# skip the idle-timeout check, which takes 25 s behind a proxy[/]
  bellcast doctor --quick
  bellcast doctor --json | jq '.findings[] | select(.state != "ok")'

[dim]It reads the settings of this shell and machine: run it where the server runs, with the server's environment. Checks \
through --url test the running server. Exit status 1 if there is a problem, 0 with warnings only.[/]
"""
MARKS = {"ok": "[green]✓[/]", "warning": "[yellow]![/]", "problem": "[bold red]✗[/]"}
# A server started elsewhere may have other settings than this shell.
SETTINGS_PREFIX = "as set in this shell: "

app = typer.Typer()


@app.command(cls=options.with_settings("DATA", "STORE", "URL"), rich_help_panel="Maintenance", epilog=EPILOG)
def doctor(
    ctx: typer.Context,
    local: Annotated[bool, typer.Option("--local", help="Check this machine only, without a server.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Skip the idle-timeout check (25 s).")] = False,
    json: output.JsonFlag = False,
) -> None:
    """Find problems and suggest fixes."""
    from msgspec.structs import asdict

    findings = []
    with (output.err() if json else output.out()).status("Checking this machine") as status:
        for finding in _run_checks(ctx, local, quick, status.update):
            findings.append(finding)
            if not json:
                from rich.markup import escape

                output.out().print(f"{MARKS[finding.state]} {finding.check:<14} {escape(finding.what)}", soft_wrap=True)
                if finding.fix:
                    output.out().print(f"  {'':<14} [dim]→[/] {escape(finding.fix)}", soft_wrap=True)
    problems = sum(finding.state == "problem" for finding in findings)
    if json:
        output.json({"ok": not problems, "findings": [asdict(finding) for finding in findings]})
    else:
        warnings = sum(finding.state == "warning" for finding in findings)
        result = f"[bold red]{output.counted(problems, 'problem')}[/]" if problems else "[green]No problems[/]"
        output.out().print(f"\n{result}, {output.counted(warnings, 'warning')}.")
    raise typer.Exit(1 if problems else 0)


def _run_checks(
    ctx: typer.Context, local: bool, quick: bool, progress: Callable[[str], None]
) -> Iterator["FindingItem"]:
    from msgspec.structs import replace

    from bellcast.cli import server_checks
    from bellcast.console import diagnoses
    from bellcast.console.types import FindingItem
    from bellcast.server import checks

    try:
        settings = options.settings(ctx)
    except SettingsError as error:
        yield diagnoses.finding("settings_invalid", error=error.detail)
        return
    yield FindingItem("settings", "ok", "all settings are valid")
    for finding in checks.check(settings):
        is_of_settings = finding.check in checks.SETTINGS_CHECKS
        yield replace(finding, what=SETTINGS_PREFIX + finding.what) if is_of_settings else finding
    yield from checks.check_urls(settings)
    if not local:
        yield from server_checks.check(settings, quick=quick, progress=progress)
