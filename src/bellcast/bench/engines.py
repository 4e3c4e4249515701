"""The engines: a PostgreSQL and a Redis of the run's own, on loopback, with nothing in them and ended afterwards."""

import contextlib
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from bellcast.bench.epoll_loop import Deadline
from bellcast.bench.peers import AbsentError
from bellcast.bench.processes import Process, free_port

# Where Debian keeps PostgreSQL's programs, by version; few of them are on the path.
VERSIONS = Path("/usr/lib/postgresql")
OLDEST_POSTGRES = 15
OLDEST_REDIS = 7
FIRST_NUMBER = re.compile(r"\d+")

# Whoever has a PostgreSQL of its own gives it these: memory for what is asked for often, and room for the log between
# checkpoints, after each of which every page is written whole once more. What makes a commit durable stays at its defaults.
POSTGRES_SETTINGS = {
    "shared_buffers": "512MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "wal_compression": "on",
    "max_connections": "200",
}


class Engine(NamedTuple):
    """One engine: what it uses is told by its process, and nodes reach it at `url`."""

    process: Process
    url: str


class Engines(NamedTuple):
    """What nodes share."""

    postgres: Engine
    redis: Engine


@contextlib.contextmanager
def running(deadline: Deadline) -> Iterator[Engines]:
    """Both of them. AbsentError when one is not installed here."""
    with postgres(deadline) as store, redis(deadline) as broker:
        yield Engines(store, broker)


@contextlib.contextmanager
def postgres(deadline: Deadline, settings: Mapping[str, str] = POSTGRES_SETTINGS) -> Iterator[Engine]:
    """An empty PostgreSQL."""
    server, initdb = _program("postgres", OLDEST_POSTGRES), _program("initdb", OLDEST_POSTGRES)
    asks = _program("pg_isready", OLDEST_POSTGRES)
    with _folder("postgres") as folder:
        data, port = folder / "data", free_port()
        make = [initdb, "-D", str(data), "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]
        _run_as_owner(make, folder)
        options = {"listen_addresses": "127.0.0.1", "unix_socket_directories": str(folder), **settings}
        flags = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        command = [server, "-D", str(data), "-p", str(port), *flags]
        # SIGINT is its fast end, which does not wait for those who are connected.
        with _process("postgres", command, folder, signal.SIGINT) as process:
            asked = [asks, "-q", "-h", "127.0.0.1", "-p", str(port)]
            process.wait_until(lambda: subprocess.run(asked, check=False).returncode == 0, deadline)
            yield Engine(process, f"postgresql://postgres@127.0.0.1:{port}/postgres")


@contextlib.contextmanager
def redis(deadline: Deadline) -> Iterator[Engine]:
    """A Redis that keeps nothing."""
    server = _program("redis-server", OLDEST_REDIS)
    with _folder("redis") as folder:
        port = free_port()
        command = [server, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
        with _process("redis", [*command, "--appendonly", "no"], folder, signal.SIGTERM) as process:
            process.wait_for(("127.0.0.1", port), deadline)
            yield Engine(process, f"redis://127.0.0.1:{port}/0")


def versions() -> dict[str, str]:
    """What the engines call themselves."""
    found = {}
    for name in ("postgres", "redis-server"):
        if program := _found(name):
            found[name] = _said(program)
    return found


def _program(name: str, oldest: int) -> str:
    program = _found(name)
    if program is None:
        raise AbsentError("needs the Debian packages postgresql and redis-server")
    said = _said(program)
    if _major(said) < oldest:
        raise AbsentError(f"needs {oldest} or newer, and here is {said}")
    return program


def _found(name: str) -> str | None:
    beside = sorted(VERSIONS.glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    return shutil.which(name) or (str(beside[-1]) if beside else None)


def _said(program: str) -> str:
    return subprocess.run([program, "--version"], capture_output=True, text=True, timeout=20, check=True).stdout.strip()


def _major(said: str) -> int:
    """`postgres (PostgreSQL) 15.12 (Debian …)`, `Redis server v=7.0.15 sha=…`"""
    found = FIRST_NUMBER.search(said)
    if found is None:
        raise AbsentError(f"has no version in what it says: {said}")
    return int(found[0])


def _process(name: str, command: list[str], folder: Path, farewell: signal.Signals) -> Process:
    return Process(name, command, folder / "log", owner=_owner(), farewell=farewell)


def _run_as_owner(command: list[str], folder: Path) -> None:
    user, group = _owner() or (None, None)
    groups: list[int] | None = None if user is None else []
    subprocess.run(
        command, check=True, capture_output=True, cwd=folder, user=user, group=group, extra_groups=groups, timeout=60
    )


@contextlib.contextmanager
def _folder(name: str) -> Iterator[Path]:
    """Of whoever runs the engine. Not within the run's folder, which nobody else may enter."""
    with tempfile.TemporaryDirectory(prefix=f"bellcast-bench-{name}-", ignore_cleanup_errors=True) as folder:
        if (owner := _owner()) is not None:
            os.chown(folder, *owner)
        yield Path(folder)


def _owner() -> tuple[int, int] | None:
    """Who runs the engines for root: PostgreSQL refuses to be run by them."""
    if os.getuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            found = pwd.getpwnam(name)
            return found.pw_uid, found.pw_gid
    raise AbsentError("needs a user besides root")
