"""`python -m examples.celebrity_booking --bellcast http://127.0.0.1:8787 --secret …`"""

import argparse
from pathlib import Path

import uvicorn

from . import create_app
from .app import LIBRARIES
from .tokens import JWT_SECRET


def main() -> None:
    options = argparse.ArgumentParser(
        prog="python -m examples.celebrity_booking", description="A booking site for celebrities."
    )
    options.add_argument("--bellcast", default="http://127.0.0.1:8787", metavar="URL", help="the Bellcast server")
    options.add_argument("--secret", required=True, help="the project secret printed by `bellcast serve`")
    options.add_argument("--jwt-secret", default=JWT_SECRET, help="the value of BELLCAST_JWT_SECRET on the server")
    options.add_argument(
        "--libraries",
        type=Path,
        default=LIBRARIES,
        metavar="FOLDER",
        help="a node_modules to serve socket.io-client from",
    )
    options.add_argument("--port", type=int, default=8000)
    given = options.parse_args()
    uvicorn.run(create_app(given.bellcast, given.secret, given.jwt_secret, libraries=given.libraries), port=given.port)


if __name__ == "__main__":
    main()
