"""`python -m bellcast.examples.shop_suite`

Django's commands run with `manage`: `python -m bellcast.examples.shop_suite manage migrate`."""

import sys
from pathlib import Path
from typing import Any

from bellcast.examples.app_kit import command_line

from . import create_app, project

PORT = 8004


def server_settings(url: str, data: Path) -> dict[str, str]:
    return {}


def create(options: command_line.Options) -> Any:
    return create_app(options.bellcast, options.project[2], options.data)


if __name__ == "__main__":
    if sys.argv[1:2] == ["manage"]:
        project.manage(Path("bellcast-demo"), sys.argv[2:])
    else:
        command_line.run("bellcast.examples.shop_suite", "A shop suite.", PORT, create, server_settings)
