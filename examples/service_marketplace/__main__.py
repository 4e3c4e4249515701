"""`python -m bellcast.examples.service_marketplace`"""

from datetime import timedelta
from pathlib import Path
from typing import Any

from bellcast.examples.app_kit import command_line
from bellcast.examples.app_kit.accounts import LIFETIME

from . import SESSION_PATH, create_app

PORT = 8001


def server_settings(url: str, data: Path) -> dict[str, str]:
    return {"session_url": url + SESSION_PATH}


def create(options: command_line.Options) -> Any:
    lifetime = timedelta(seconds=options.given.session)
    return create_app(options.bellcast, options.project[2], options.data, session_lifetime=lifetime)


if __name__ == "__main__":
    command_line.run(
        "bellcast.examples.service_marketplace",
        "A marketplace for home services.",
        PORT,
        create,
        server_settings,
        session={"type": float, "default": LIFETIME.total_seconds(), "metavar": "SECONDS", "help": "of a sign-in"},
    )
