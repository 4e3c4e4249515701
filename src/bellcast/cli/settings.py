"""`bellcast config`, `env` and `settings`: the settings in effect, the URL and the credentials as shell variables, and settings of a
running server that change without a restart."""

import shlex
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import typer

from bellcast.cli import options, output
from bellcast.cli.objects import request
from bellcast.cli.output import CommandError

EPILOG = """\
[dim]Changes apply on all nodes within seconds, and are kept in the database. Options, the environment and its files take \
precedence:[/] bellcast config [dim]shows those of this machine.[/]
"""
EXAMPLES = """\
[dim]Examples[/]

  bellcast settings set origins=https://app.example.com limit_tags=20
  bellcast settings unset limit_tags
  bellcast settings rollback 3
"""
PREFIX = "bellcast_"

app = typer.Typer()
settings = options.group(app, "settings", "Read and change settings while the server runs.", EPILOG, "Server")

SettingArgument = Annotated[str, options.argument("NAME", "The setting, such as `origins` or BELLCAST_ORIGINS.")]


@options.command(settings, "list")
def list_(client: "options.Bellcast") -> Iterator[Any]:
    """List the settings with their values and the sources of these values."""
    document = request(client, "GET", "/v1/settings")
    yield document
    output.show((one["name"], one["value"], one["locked_by"] or one["source"]) for one in document["settings"])


@options.command(settings)
def get(client: "options.Bellcast", name: SettingArgument) -> Iterator[Any]:
    """Print the value of a setting."""
    document = request(client, "GET", "/v1/settings")
    key = _key(name)
    found: dict[str, Any] | None = next((one for one in document["settings"] if one["name"] == key), None)
    if found is None:
        raise CommandError(f"{name} cannot be changed without a restart", "`bellcast settings list` lists these")
    yield found
    output.show([found["value"]])


@options.command(settings, "set", epilog=EXAMPLES)
def set_(
    client: "options.Bellcast",
    assignments: Annotated[list[str], options.argument("NAME=VALUE…", "Settings and their new values.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only check the values.")] = False,
) -> Iterator[Any]:
    """Change settings, all together or none."""
    pairs = [text.partition("=") for text in assignments]
    if wrong := [name for name, equals, _ in pairs if not equals]:
        raise typer.BadParameter(f"expected NAME=VALUE, got {wrong[0]}", param_hint="NAME=VALUE")
    changes = {_key(name): value for name, _, value in pairs}
    yield from _change(client, {"set": changes, "dry_run": dry_run})


@options.command(settings)
def unset(
    client: "options.Bellcast",
    names: Annotated[list[str], options.argument("NAME…", "Settings to reset to their defaults.")],
) -> Iterator[Any]:
    """Remove values from the database, so that the defaults apply."""
    yield from _change(client, {"reset": [_key(name) for name in names]})


@options.command(settings)
def history(client: "options.Bellcast", limit: output.LimitOption = 20) -> Iterator[Any]:
    """List the changes, newest first."""
    revisions = request(client, "GET", "/v1/settings/history", limit=limit)["revisions"]
    yield revisions
    output.show((str(one["revision"]), one["at"], one["by"], _changes(one)) for one in revisions)


@options.command(settings)
def rollback(
    client: "options.Bellcast",
    revision: Annotated[int, options.argument("REVISION", "The revision; 0 has no values.", min=0)],
) -> Iterator[Any]:
    """Make the values of an earlier revision current again."""
    yield from _change(client, {"to": revision}, "POST", "/v1/settings/rollback")


def _change(
    client: "options.Bellcast", body: dict[str, Any], method: str = "PATCH", path: str = "/v1/settings"
) -> Iterator[Any]:
    # The newest revision, which this node may not apply yet.
    current = request(client, "GET", "/v1/settings/history?limit=1")["revisions"]
    newest = current[0]["revision"] if current else 0
    revision = request(client, method, path, {"revision": newest, **body})
    yield revision
    result = "Valid" if body.get("dry_run") else f"Revision {revision['revision']}"
    output.done(f"{result}: {_changes(revision)}")


def _changes(revision: dict[str, Any]) -> str:
    changes = [f"{one['name']}={'(unset)' if one['after'] is None else one['after']}" for one in revision["changes"]]
    return ", ".join(changes) or "no change"


def _key(name: str) -> str:
    return name.strip().lower().removeprefix(PREFIX)


CONFIG_EPILOG = """\
[dim]Examples[/]

  bellcast config --changed
  bellcast config --json | jq -r .BELLCAST_PORT.value

[dim]Secrets are masked. Pass any setting to[/] bellcast serve [dim]as an option, as the variable, or as a file named by[/] \
<VARIABLE>_FILE[dim].[/]
"""


@options.command(app, cls=options.with_settings("DATA"), rich_help_panel="Maintenance", epilog=CONFIG_EPILOG)
def config(
    ctx: typer.Context,
    only_changed: Annotated[
        bool, typer.Option("--changed", help="Show only settings that differ from their defaults.")
    ] = False,
) -> Iterator[Any]:
    """Show the settings in effect."""
    from bellcast.settings import as_displayed, existing_project, load
    from bellcast.settings.credentials import credentials_file
    from bellcast.settings.table import Settings

    flags = options.flags(ctx)
    defaults, from_flags, values = as_displayed(Settings()), as_displayed(load(flags, {})), as_displayed(load(flags))
    rows = {}
    for variable, value in values.items():
        source = "option" if from_flags[variable] != defaults[variable] else "environment"
        rows[variable] = (value, "default" if value == defaults[variable] else source)
    yield {name: {"value": value, "source": source} for name, (value, source) in rows.items()}
    from rich.text import Text

    from bellcast.settings import table

    names = max(map(len, rows))
    for group, settings_of_group in table.GROUPS.items():
        shown = [one for one in settings_of_group if not only_changed or rows[one.variable][1] != "default"]
        if shown:
            output.out().print(f"\n[bold]{options.panels(group)[group]}[/]")
        values_width = max((len(rows[one.variable][0]) for one in shown), default=0)
        for one in shown:
            value, source = rows[one.variable]
            # Never truncated or wrapped, so that values can be copied.
            line = f"{one.variable:<{names}}   {value:<{values_width}}   {source}"
            output.out().print(Text(line, "dim" if source == "default" else "cyan"), soft_wrap=True)
    settings = options.settings(ctx)
    if settings.project is None:
        state = ", generated at the first start" if existing_project(settings) is None else ""
        output.out().print(f"\nCredentials: {credentials_file(settings)}{state}", markup=False, soft_wrap=True)


ENV_EPILOG = """\
[dim]Examples[/]

  eval "$(bellcast env)"
  bellcast env --format dotenv > .env

[dim]The output is for sh, bash and zsh; with --format dotenv for Next.js, Django and docker --env-file. It contains the project's secret: keep it out of logs and repositories.[/]
"""


@options.command(app, rich_help_panel="Send and follow", epilog=ENV_EPILOG)
def env(
    ctx: typer.Context,
    format: Annotated[Literal["shell", "dotenv"], options.option("shell|dotenv", "The form of the lines.")] = "shell",
) -> Iterator[Any]:
    """Print the server's URL and credentials, for a shell or a file .env."""
    import httpx
    import msgspec

    from bellcast.client.request import UNDECODABLE
    from bellcast.client.responses import ServerHealth
    from bellcast.settings import existing_project, url

    settings = options.settings(ctx)
    project = existing_project(settings)
    if project is None:
        raise CommandError(
            f"{settings.store.data} has no credentials",
            "start `bellcast serve` with this folder once, pass the server's folder with --data, or set BELLCAST_PROJECT",
        )
    where = url(settings)
    if settings.client.url is None:  # it may be that of another server, or of none yet
        try:
            response = httpx.get(f"{where}/healthz", timeout=3, trust_env=False)
            found = msgspec.json.decode(response.content, type=ServerHealth).project
        except httpx.HTTPError:
            output.note(f"No server responds at {where} yet: start `bellcast serve`.")
            found = project.key
        except UNDECODABLE:
            found = None
        if found != project.key:
            raise CommandError(
                f"another server responds at {where}: it is not that of the project {project.key}",
                "start yours with `bellcast serve --port NUMBER`, or pass its address with --url",
            )
    variables = {
        "BELLCAST_URL": where,
        "BELLCAST_PROJECT": f"{project.id}:{project.key}:{project.secret}",
        "BELLCAST_SECRET": str(project.secret),
    }
    yield variables
    for name, value in variables.items():
        print(f"export {name}={shlex.quote(value)}" if format == "shell" else f"{name}={value}")
    if format == "shell" and output.out().is_terminal:
        output.note('# To set them in this shell, run: eval "$(bellcast env)"')
