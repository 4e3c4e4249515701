"""`python -m bellcast.examples.NAME`: the options of all apps."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import uvicorn
from starlette.types import ASGIApp


class Options(NamedTuple):
    """`given` also contains the options that the app adds."""

    bellcast: str
    project: tuple[str, str, str]
    data: Path
    given: Any


def run(
    module: str,
    description: str,
    port: int,
    create_app: Callable[[Options], ASGIApp],
    server_settings: Callable[[str, Path], dict[str, str]],
    **extra: dict[str, Any],
) -> None:
    """Parse the command line and serve the app, or print the settings that its Bellcast server needs."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=description)
    parser.add_argument("--bellcast", default="http://127.0.0.1:8787", metavar="URL", help="the Bellcast server")
    parser.add_argument("--project", metavar="ID:KEY:SECRET", help="its project's credentials")
    parser.add_argument("--port", type=int, default=port)
    parser.add_argument("--data", type=Path, default=Path("bellcast-demo"), metavar="FOLDER", help="for the database")
    parser.add_argument("--settings", action="store_true", help="print the settings that the server needs, and end")
    for name, options in extra.items():
        parser.add_argument(f"--{name}", **options)
    given = parser.parse_args()
    if given.settings:
        settings = {"origins": f"http://127.0.0.1:{given.port}"}
        settings |= server_settings(f"http://127.0.0.1:{given.port}", given.data)
        # As variables, since secrets are no options; without quotes, since a shell keeps those of `$(…)`.
        print(" ".join(f"BELLCAST_{name.upper()}={value}" for name, value in settings.items()))
        return
    if given.project is None or given.project.count(":") != 2:
        parser.error("--project is required, as id:key:secret")
    app_id, key, secret = given.project.split(":")
    app = create_app(Options(given.bellcast, (app_id, key, secret), given.data, given))
    # Open event streams do not end, so a shutdown must not wait for them.
    uvicorn.run(app, port=given.port, timeout_graceful_shutdown=1)
