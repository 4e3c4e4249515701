"""`python -m examples.photo_studio --bellcast http://127.0.0.1:8787 --secret …`"""

import argparse

import uvicorn

from . import create_app


def main() -> None:
    options = argparse.ArgumentParser(
        prog="python -m examples.photo_studio", description="A photo studio's booking site."
    )
    options.add_argument("--bellcast", default="http://127.0.0.1:8787", metavar="URL", help="the Bellcast server")
    options.add_argument("--secret", required=True, help="the project secret printed by `bellcast serve`")
    options.add_argument("--port", type=int, default=8000)
    given = options.parse_args()
    # Open event streams do not end, so a shutdown must not wait for them.
    uvicorn.run(create_app(given.bellcast, given.secret), port=given.port, timeout_graceful_shutdown=1)


if __name__ == "__main__":
    main()
