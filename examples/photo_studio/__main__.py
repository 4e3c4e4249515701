"""`python -m bellcast.examples.photo_studio`"""

from pathlib import Path
from typing import Any

from bellcast.examples.app_kit import command_line

from . import create_app

PORT = 8000


def server_settings(url: str, data: Path) -> dict[str, str]:
    return {}


def create(options: command_line.Options) -> Any:
    return create_app(options.bellcast, options.project[2], options.data)


if __name__ == "__main__":
    command_line.run("bellcast.examples.photo_studio", "A photo studio's booking site.", PORT, create, server_settings)
