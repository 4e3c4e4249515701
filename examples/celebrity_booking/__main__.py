"""`python -m bellcast.examples.celebrity_booking`"""

from pathlib import Path
from typing import Any

from bellcast.examples.app_kit import command_line

from . import HANDLER_PATH, SERVER_SETTINGS, create_app
from .app import LIBRARIES
from .tokens import kept_secret

PORT = 8003
KEY_FILE = "starlight.key"


def server_settings(url: str, data: Path) -> dict[str, str]:
    return {**SERVER_SETTINGS, "jwt_secret": kept_secret(data / KEY_FILE), "handler_url": url + HANDLER_PATH}


def create(options: command_line.Options) -> Any:
    jwt_secret = kept_secret(options.data / KEY_FILE)
    return create_app(options.bellcast, options.project[2], options.data, jwt_secret, libraries=options.given.libraries)


if __name__ == "__main__":
    command_line.run(
        "bellcast.examples.celebrity_booking",
        "A booking site for celebrities.",
        PORT,
        create,
        server_settings,
        libraries={"type": Path, "default": LIBRARIES, "metavar": "FOLDER", "help": "serves socket.io-client"},
    )
