"""`python -m examples.lead_market --bellcast http://127.0.0.1:8787 --project id:key:secret`"""

import argparse
from pathlib import Path

import uvicorn

from . import create_app
from .app import LIBRARIES


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m examples.lead_market", description="A lead marketplace.")
    options.add_argument("--bellcast", default="http://127.0.0.1:8787", metavar="URL", help="the Bellcast server")
    options.add_argument("--project", required=True, metavar="ID:KEY:SECRET", help="its project's credentials")
    options.add_argument(
        "--libraries", type=Path, default=LIBRARIES, metavar="FOLDER", help="a node_modules to serve pusher-js from"
    )
    options.add_argument("--port", type=int, default=8002)
    given = options.parse_args()
    app_id, key, secret = given.project.split(":", 2)
    site = create_app(given.bellcast, secret, app_id=app_id, key=key, libraries=given.libraries)
    uvicorn.run(site, port=given.port, timeout_graceful_shutdown=1)


if __name__ == "__main__":
    main()
