"""A temporary server for the scripts, on a free port and in a temporary folder."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

PROJECT = ("100001", "public-key-of-the-docs", "the-secret-of-the-docs-forty-characters-x")


class Running(NamedTuple):
    """URL and secret of a server."""

    url: str
    secret: str


@contextmanager
def server(handlers: str | None = None, *flags: str, **settings: str) -> Iterator[Running]:
    """Run `bellcast serve` until the end of the block. `handlers` is the source of a module that defines `handlers`."""
    with tempfile.TemporaryDirectory(prefix="bellcast-docs-") as folder:
        inherited = os.environ.items()  # noqa: TID251 - passed to the server, without this machine's settings
        environ = {name: value for name, value in inherited if not name.startswith("BELLCAST_")}
        given = {"project": ":".join(PROJECT), "port": "0", "drain": "0", **settings}
        if handlers is not None:
            (Path(folder) / "answers.py").write_text(handlers, encoding="utf-8")
            given["handlers"] = "answers:handlers"
        environ |= {f"BELLCAST_{name.upper()}": value for name, value in given.items()}
        command = [sys.executable, "-m", "bellcast", "serve", *flags]
        process = subprocess.Popen(command, env=environ, cwd=folder, stdout=subprocess.PIPE, text=True)
        try:
            yield Running(_url(process), PROJECT[2])
        finally:
            process.terminate()
            process.communicate(timeout=30)


def _url(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if "listening on" in line:
            return line.split()[-1]
    raise RuntimeError("the server did not start")
