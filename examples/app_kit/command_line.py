"""`python -m bellcast.examples.NAME`: the options of all apps."""

import argparse
import contextlib
import json
import os
import shlex
import socket
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import uvicorn
from starlette.types import ASGIApp

BELLCAST = "http://127.0.0.1:8787"
DEFAULT_PORT = 8787


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
    server_settings: Callable[[str, Path], Mapping[str, str]],
    **extra: dict[str, Any],
) -> None:
    """Parse the command line and serve the app, or print the settings that its Bellcast server needs."""
    url, project = os.environ.get("BELLCAST_URL", BELLCAST), os.environ.get("BELLCAST_PROJECT")
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=description)
    parser.add_argument("--bellcast", default=url, metavar="URL", help=f"the Bellcast server [BELLCAST_URL] ({url})")
    parser.add_argument("--project", default=project, metavar="ID:KEY:SECRET", help="its project [BELLCAST_PROJECT]")
    parser.add_argument("--port", type=int, default=port)
    parser.add_argument("--data", type=Path, default=Path("bellcast-demo"), metavar="FOLDER", help="for the database")
    parser.add_argument(
        "--settings", action="store_true", help='print the settings that the server needs, for `eval "$(…)"`, and end'
    )
    for name, options in extra.items():
        parser.add_argument(f"--{name}", **options)
    given = parser.parse_args()
    if given.settings:
        own = f"http://127.0.0.1:{given.port}"
        print(exports([{"origins": own, **server_settings(own, given.data)}]))
        return
    if given.project is None or given.project.count(":") != 2:
        parser.error('the project is missing: run `eval "$(bellcast env)"` first, or pass --project id:key:secret')
    app_id, key, secret = given.project.split(":")
    app = create_app(Options(given.bellcast, (app_id, key, secret), given.data, given))
    # Open event streams do not end, so a shutdown must not wait for them.
    uvicorn.run(app, port=given.port, timeout_graceful_shutdown=1)


def exports(settings: Iterable[Mapping[str, str]]) -> str:
    """Return the settings of one server for all of these apps as lines for a shell. If 8787 is in use, the port of the last
    server in this folder, or another one: apps that run know its URL."""
    merged: dict[str, str] = {}
    for one in settings:
        for name, value in one.items():
            if name == "origins" and name in merged:
                merged[name] += f",{value}"
            elif merged.setdefault(name, value) != value:
                raise SystemExit(f"Two of these apps need different values of BELLCAST_{name.upper()}.")
    for wanted in (DEFAULT_PORT, _last_port(), 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", wanted))
                if wanted != DEFAULT_PORT:
                    merged["port"] = str(probe.getsockname()[1])
                break
    return "\n".join(f"export BELLCAST_{name.upper()}={shlex.quote(value)}" for name, value in merged.items())


def _last_port() -> int:
    """The port of the server that ran last with the data folder `bellcast-data`; 0 if none did."""
    try:
        return urlsplit(json.loads(Path("bellcast-data/server.json").read_text())["url"]).port or 0
    except (OSError, ValueError, KeyError):
        return 0
