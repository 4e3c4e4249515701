"""`python -m bellcast.examples.shop_suite --bellcast http://127.0.0.1:8787 --project id:key:secret --port 8004`

Django's commands run with `manage`: `python -m bellcast.examples.shop_suite manage migrate`."""

import argparse
import sys
from pathlib import Path

import uvicorn

from . import create_app, project


def main() -> None:
    if sys.argv[1:2] == ["manage"]:
        project.manage(Path("bellcast-demo"), sys.argv[2:])
        return
    options = argparse.ArgumentParser(prog="python -m bellcast.examples.shop_suite", description="A shop suite.")
    options.add_argument("--bellcast", default="http://127.0.0.1:8787", metavar="URL", help="the Bellcast server")
    options.add_argument("--project", metavar="ID:KEY:SECRET", help="its project's credentials")
    options.add_argument("--port", type=int, default=8004)
    options.add_argument("--data", type=Path, default=Path("bellcast-demo"), metavar="FOLDER", help="for the database")
    options.add_argument("--settings", action="store_true", help="print what the server needs, and end")
    given = options.parse_args()
    if given.settings:
        print(f"--origins http://127.0.0.1:{given.port}")
        return
    if given.project is None:
        options.error("--project is required")
    _, _, secret = given.project.split(":", 2)
    uvicorn.run(create_app(given.bellcast, secret, given.data), port=given.port, timeout_graceful_shutdown=1)


if __name__ == "__main__":
    main()
