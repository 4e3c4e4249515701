"""Engines: an empty PostgreSQL, Redis or NATS on loopback for one run, stopped afterwards."""

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

from benchmarks.epoll_loop import Deadline
from benchmarks.peers import AbsentError
from benchmarks.processes import Process, free_port

# Debian installs PostgreSQL's programs here, by version; PATH often lacks them.
VERSIONS = Path("/usr/lib/postgresql")
OLDEST_POSTGRES = 15
OLDEST_REDIS = 7
OLDEST_NATS = 2
# Where scripts/install_system.sh builds servers without root.
BUILT = Path.home() / ".local/bin"
FIRST_NUMBER = re.compile(r"\d+")

# Usual settings of a dedicated server: shared buffers for the working set, and WAL space for rare checkpoints, since
# each
# checkpoint is followed by full-page writes. Settings that affect durability stay at their defaults.
POSTGRES_SETTINGS = {
    "shared_buffers": "512MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "wal_compression": "on",
    "max_connections": "200",
}


class RunningEngine(NamedTuple):
    """A running engine and the URL at which nodes connect to it."""

    process: Process
    url: str


class Engines(NamedTuple):
    """The engines that all nodes share. They may be one."""

    postgres: RunningEngine
    broker: RunningEngine


@contextlib.contextmanager
def running(
    deadline: Deadline, broker: str = "redis", settings: Mapping[str, str] = POSTGRES_SETTINGS
) -> Iterator[Engines]:
    """Start PostgreSQL and the broker: `redis`, `nats` or `postgres`. Raises AbsentError if one is missing."""
    with postgres(deadline, settings) as store:
        if broker == "postgres":
            yield Engines(store, store)
            return
        with {"redis": redis, "nats": nats}[broker](deadline) as found:
            yield Engines(store, found)


@contextlib.contextmanager
def postgres(deadline: Deadline, settings: Mapping[str, str] = POSTGRES_SETTINGS) -> Iterator[RunningEngine]:
    """Start an empty PostgreSQL. Raises AbsentError if its package is missing."""
    server, initdb = _program("postgres", OLDEST_POSTGRES), _program("initdb", OLDEST_POSTGRES)
    pg_isready = _program("pg_isready", OLDEST_POSTGRES)
    with _folder("postgres") as folder:
        data, port = folder / "data", free_port()
        create = [
            initdb,
            "-D",
            str(data),
            "-A",
            "trust",
            "-U",
            "postgres",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
        ]
        _run_as_owner(create, folder)
        options = {"listen_addresses": "127.0.0.1", "unix_socket_directories": str(folder), **settings}
        flags = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        command = [server, "-D", str(data), "-p", str(port), *flags]
        # SIGINT is PostgreSQL's fast shutdown, which does not wait for clients to disconnect.
        with _process("postgres", command, folder, signal.SIGINT) as process:
            probe = [pg_isready, "-q", "-h", "127.0.0.1", "-p", str(port)]
            process.wait_until(lambda: subprocess.run(probe, check=False).returncode == 0, deadline)
            yield RunningEngine(process, f"postgresql://postgres@127.0.0.1:{port}/postgres")


@contextlib.contextmanager
def redis(deadline: Deadline) -> Iterator[RunningEngine]:
    """Start a Redis without persistence. Raises AbsentError if its package is missing."""
    server = _program("redis-server", OLDEST_REDIS)
    with _folder("redis") as folder:
        port = free_port()
        command = [server, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
        with _process("redis", [*command, "--appendonly", "no"], folder, signal.SIGTERM) as process:
            process.wait_for(("127.0.0.1", port), deadline)
            yield RunningEngine(process, f"redis://127.0.0.1:{port}/0")


@contextlib.contextmanager
def nats(deadline: Deadline) -> Iterator[RunningEngine]:
    """Start a NATS server with JetStream. Raises AbsentError if it is missing."""
    server = _program("nats-server", OLDEST_NATS)
    with _folder("nats") as folder:
        port = free_port()
        command = [server, "--addr", "127.0.0.1", "--port", str(port), "--jetstream", "--store_dir", str(folder)]
        with _process("nats", command, folder, signal.SIGTERM) as process:
            process.wait_for(("127.0.0.1", port), deadline)
            yield RunningEngine(process, f"nats://127.0.0.1:{port}")


def versions() -> dict[str, str]:
    """Return the version texts of the installed engines."""
    versions = {}
    for name in ("postgres", "redis-server", "nats-server"):
        if program := _find_program(name):
            versions[name] = _version_text(program)
    return versions


def _program(name: str, oldest: int) -> str:
    program = _find_program(name)
    if program is None:
        raise AbsentError(
            "needs the Debian packages postgresql and redis-server, and nats-server: run scripts/install_system.sh"
        )
    version = _version_text(program)
    if _major(version) < oldest:
        raise AbsentError(f"needs version {oldest} or newer, found {version}")
    return program


def _find_program(name: str) -> str | None:
    installed = sorted(VERSIONS.glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    return shutil.which(name) or shutil.which(name, path=str(BUILT)) or (str(installed[-1]) if installed else None)


def _version_text(program: str) -> str:
    return subprocess.run([program, "--version"], capture_output=True, text=True, timeout=20, check=True).stdout.strip()


def _major(version: str) -> int:
    """`postgres (PostgreSQL) 15.12 (Debian …)`, `Redis server v=7.0.15 sha=…`"""
    match = FIRST_NUMBER.search(version)
    if match is None:
        raise AbsentError(f"no version number in {version!r}")
    return int(match[0])


def _process(name: str, command: list[str], folder: Path, stop_signal: signal.Signals) -> Process:
    return Process(name, command, folder / "log", owner=_owner(), stop_signal=stop_signal)


def _run_as_owner(command: list[str], folder: Path) -> None:
    user, group = _owner() or (None, None)
    groups: list[int] | None = None if user is None else []
    subprocess.run(
        command, check=True, capture_output=True, cwd=folder, user=user, group=group, extra_groups=groups, timeout=60
    )


@contextlib.contextmanager
def _folder(name: str) -> Iterator[Path]:
    """A temporary folder owned by the engine's user. Outside the run's folder, which other users may not enter."""
    with tempfile.TemporaryDirectory(prefix=f"bellcast-bench-{name}-", ignore_cleanup_errors=True) as folder:
        if (owner := _owner()) is not None:
            os.chown(folder, *owner)
        yield Path(folder)


def _owner() -> tuple[int, int] | None:
    """Return the user and group that run the engines, since PostgreSQL refuses to run as root; None if not root."""
    if os.getuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            user = pwd.getpwnam(name)
            return user.pw_uid, user.pw_gid
    raise AbsentError("needs a user other than root: `postgres` or `nobody`")
