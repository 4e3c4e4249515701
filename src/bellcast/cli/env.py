"""`bellcast env`: the server's URL and credentials as shell variables."""

import shlex
from typing import Annotated, Literal

import typer

from bellcast.cli import console, options

EPILOG = """\
[dim]Examples[/]

  eval "$(bellcast env)"
  bellcast env --format dotenv > .env

[dim]The output is for sh, bash and zsh; with --format dotenv for Next.js, Django and docker --env-file. It contains the project's secret: keep it out of logs and repositories.[/]
"""

app = typer.Typer()


@app.command(cls=options.RequestCommand, rich_help_panel="Send and follow", epilog=EPILOG)
def env(
    ctx: typer.Context,
    format: Annotated[Literal["shell", "dotenv"], typer.Option(help="The form of the lines.")] = "shell",
    json: console.JsonFlag = False,
) -> None:
    """Print export lines, or lines of a file .env, for the URL, the project and the secret."""
    from bellcast.settings import existing_project, url

    settings = options.settings(ctx)
    project = existing_project(settings)
    if project is None:
        raise console.CommandError(
            f"{settings.store.data} has no credentials",
            "start `bellcast serve` with this folder once, pass the server's folder with --data, or set BELLCAST_PROJECT",
        )
    where = url(settings)
    if settings.client.url is None:
        _require_own(where, project.key)
    variables = {
        "BELLCAST_URL": where,
        "BELLCAST_PROJECT": f"{project.id}:{project.key}:{project.secret}",
        "BELLCAST_SECRET": str(project.secret),
    }
    if json:
        console.json(variables)
        return
    for name, value in variables.items():
        print(f"export {name}={shlex.quote(value)}" if format == "shell" else f"{name}={value}")
    if format == "shell" and console.out().is_terminal:
        console.note('# To set them in this shell, run: eval "$(bellcast env)"')


def _require_own(where: str, key: str) -> None:
    """Refuse the address of another server, and warn if no server responds there yet."""
    import httpx
    import msgspec

    from bellcast.client.responses import ServerHealth

    try:
        found = msgspec.json.decode(
            httpx.get(f"{where}/healthz", timeout=3, trust_env=False).content, type=ServerHealth
        ).project
    except httpx.HTTPError:
        console.note(f"No server responds at {where} yet: start `bellcast serve`.")
        return
    except msgspec.DecodeError:
        found = None
    if found != key:
        raise console.CommandError(
            f"another server responds at {where}: it is not that of the project {key}",
            "start yours with `bellcast serve --port NUMBER`, or pass its address with --url",
        )
