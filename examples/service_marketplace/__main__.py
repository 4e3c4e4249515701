"""`python -m examples.service_marketplace --bellcast http://127.0.0.1:8787 --secret …`"""

import argparse
from datetime import timedelta

import uvicorn

from . import create_app
from .sessions import LIFETIME


def main() -> None:
    options = argparse.ArgumentParser(
        prog="python -m examples.service_marketplace", description="A marketplace for home services."
    )
    options.add_argument("--bellcast", default="http://127.0.0.1:8787", metavar="URL", help="the Bellcast server")
    options.add_argument("--secret", required=True, help="the project secret printed by `bellcast serve`")
    options.add_argument("--port", type=int, default=8001)
    options.add_argument(
        "--session", type=float, default=LIFETIME.total_seconds(), metavar="SECONDS", help="how long a sign-in lasts"
    )
    given = options.parse_args()
    site = create_app(given.bellcast, given.secret, session_lifetime=timedelta(seconds=given.session))
    uvicorn.run(site, port=given.port, timeout_graceful_shutdown=1)


if __name__ == "__main__":
    main()
