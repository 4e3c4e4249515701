"""`python -m bellcast.examples.lead_market`"""

from pathlib import Path
from typing import Any

from bellcast.examples.app_kit import command_line

from . import SERVER_SETTINGS, create_app
from .app import LIBRARIES

PORT = 8002


def server_settings(url: str, data: Path) -> dict[str, str]:
    return SERVER_SETTINGS


def create(options: command_line.Options) -> Any:
    app_id, key, secret = options.project
    return create_app(options.bellcast, secret, options.data, app_id=app_id, key=key, libraries=options.given.libraries)


if __name__ == "__main__":
    command_line.run(
        "bellcast.examples.lead_market",
        "A lead marketplace.",
        PORT,
        create,
        server_settings,
        libraries={
            "type": Path,
            "default": LIBRARIES,
            "metavar": "FOLDER",
            "help": "serves pusher-js and Laravel Echo",
        },
    )
