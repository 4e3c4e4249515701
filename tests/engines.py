"""Real engines for tests: PostgreSQL and Redis as this run's own processes, in folders that go with them.

Each is started when a test first asks for it and ended with the run. One that is not installed is an error, never a
skip: `scripts/install_system.sh` installs both."""

import atexit
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

import asyncpg

from bellcast.ports import Clock
from bellcast.storage.migrations.postgres import SCHEMA
from bellcast.storage.postgres import PostgresEngine
from tests.servers import free_port

STARTS_WITHIN = 90  # seconds; a loaded machine needs ten
OLDEST_POSTGRES = 15
OLDEST_REDIS = 7
_databases = count(1)
# As the migrations leave it: nobody connected, no rows, and those that come lie in their tables in the order they came.
EMPTY = f"""
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid();
DO $$ DECLARE one TEXT; is_filled BOOLEAN; BEGIN
  FOR one IN SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
    WHERE schemaname = '{SCHEMA}' AND tablename NOT IN ('schema_version', 'counters')
  LOOP
    EXECUTE 'SELECT EXISTS (SELECT FROM ' || one || ')' INTO is_filled;
    IF is_filled THEN EXECUTE 'TRUNCATE ' || one || ' RESTART IDENTITY CASCADE'; END IF;
  END LOOP;
  UPDATE {SCHEMA}.counters SET value = 0;
END $$;
"""


class Process:
    """A server of this run: started, stopped and started again on one port and folder, ended with the run."""

    def __init__(self, command: list[str], folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        self._command = command
        self._running: subprocess.Popen[bytes] | None = None
        atexit.register(self.end)

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        with (self.folder / "log").open("ab") as log:
            self._running = subprocess.Popen(self._command, stdout=log, stderr=log, cwd=self.folder, **_as(owner()))
        deadline = time.monotonic() + STARTS_WITHIN
        while not self.is_ready():
            if time.monotonic() > deadline or self._running.poll() is not None:
                raise AssertionError(f"the engine did not start: {(self.folder / 'log').read_text()[-2000:]}")
            time.sleep(0.02)

    def is_ready(self) -> bool:
        """Whether it answers."""
        raise NotImplementedError

    def kill(self) -> None:
        """As a power cut would."""
        if self._running is not None:
            self._running.kill()
            self._running.wait(timeout=STARTS_WITHIN)
            self._running = None

    def stop(self) -> None:
        """As an administrator would: connections are cut, what is committed is kept."""
        if self._running is not None:
            self._running.send_signal(2)  # SIGINT is PostgreSQL's fast shutdown
            self._running.wait(timeout=STARTS_WITHIN)
            self._running = None

    @property
    def is_running(self) -> bool:
        """Whether its process lives."""
        return self._running is not None and self._running.poll() is None

    @property
    def pid(self) -> int:
        assert self._running is not None
        return self._running.pid

    def end(self) -> None:
        """End it for good."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class PostgresServer(Process):
    """One PostgreSQL with as many databases as tests ask for, on a disk of its own if one is given."""

    def __init__(self, disk: Path | None = None) -> None:
        folder, port = own_folder("bellcast-postgres-", disk), free_port()
        data = folder / "data"
        command = [tool("initdb"), "-D", str(data), "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8"]
        subprocess.run([*command, "--no-sync"], check=True, capture_output=True, cwd=folder, **_as(owner()))
        options = {"listen_addresses": "127.0.0.1", "unix_socket_directories": folder, "max_connections": 200}
        # Nobody cuts the power here; a kill loses nothing that reached the system.
        options |= {"fsync": "off", "shared_buffers": "64MB", "max_wal_size": "256MB"}
        # In its folder, which goes: killed, it would leave the other kind behind, and a container has little of that.
        options |= {"dynamic_shared_memory_type": "mmap"}
        flags = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        super().__init__([tool("postgres"), "-D", str(data), "-p", str(port), *flags], folder, port)

    def is_ready(self) -> bool:
        asked = [tool("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(asked, check=False).returncode == 0

    def url(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    async def make(self, database: str) -> str:
        """An empty database; its URL."""
        await self.execute(f'CREATE DATABASE "{database}"')
        return self.url(database)

    async def drop(self, database: str) -> None:
        await self.execute(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')

    async def execute(self, command: str, database: str = "postgres") -> None:
        """As its administrator."""
        connection = await asyncpg.connect(self.url(database))
        try:
            await connection.execute(command)
        finally:
            await connection.close()


class RedisServer(Process):
    """One Redis that keeps nothing."""

    def __init__(self, *flags: str) -> None:
        folder, port = own_folder("bellcast-redis-"), free_port()
        command = [tool("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
        super().__init__([*command, "--save", "", "--appendonly", "no", *flags], folder, port)

    def is_ready(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"


class RedisCluster:
    """Three Redis that share the slots."""

    def __init__(self) -> None:
        flags = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--cluster-port"]
        self.servers = [RedisServer(*flags, str(free_port())) for _ in range(3)]

    def start(self) -> None:
        """Start them and give each a third of the slots."""
        for server in self.servers:
            server.start()
        members = [f"127.0.0.1:{server.port}" for server in self.servers]
        command = [tool("redis-cli"), "--cluster", "create", *members, "--cluster-replicas", "0", "--cluster-yes"]
        subprocess.run(command, check=True, capture_output=True, timeout=60)

    @property
    def url(self) -> str:
        return self.servers[0].url

    def end(self) -> None:
        """End them for good."""
        for server in self.servers:
            server.end()


class OwnDatabase(PostgresEngine):
    """An engine on a database that is its own and empty. To make one and its tables takes a tenth of a second, to empty
    it a hundredth: what one engine leaves is the next one's."""

    left: ClassVar[list[str]] = []

    def __init__(self, clock: Clock) -> None:
        self.server = postgres()
        self.is_new = not self.left
        self.database = f"test{next(_databases)}" if self.is_new else self.left.pop()
        super().__init__(self.server.url(self.database), clock)

    async def open(self) -> None:
        if self.is_new:
            await self.server.make(self.database)
            self.is_new = False
        await super().open()

    async def close(self) -> None:
        await super().close()
        await self.server.execute(EMPTY, self.database)
        self.left.append(self.database)


@cache
def postgres() -> PostgresServer:
    """The PostgreSQL of this run."""
    _must_be("postgres", OLDEST_POSTGRES)
    server = PostgresServer()
    server.start()
    return server


@cache
def redis() -> RedisServer:
    """The Redis of this run."""
    _must_be("redis-server", OLDEST_REDIS)
    server = RedisServer()
    server.start()
    return server


@cache
def redis_cluster() -> RedisCluster:
    """The Redis cluster of this run."""
    _must_be("redis-server", OLDEST_REDIS)
    cluster = RedisCluster()
    cluster.start()
    return cluster


def _must_be(name: str, oldest: int) -> None:
    said = subprocess.run([tool(name), "--version"], capture_output=True, text=True, check=True).stdout
    found = next(part for part in said.replace("v=", "").split() if part[0].isdigit())
    if int(found.split(".")[0]) < oldest:
        raise AssertionError(f"{name} {found} is too old for the tests: they need {oldest} or newer")


def tool(name: str) -> str:
    """Where a program of an engine is; Debian keeps PostgreSQL's beside the path, by version."""
    beside = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    found = shutil.which(name) or (str(beside[-1]) if beside else None)
    if found is None:
        raise AssertionError(f"{name} is not installed: run scripts/install_system.sh")
    return found


def owner() -> pwd.struct_passwd | None:
    """Who runs the engines: PostgreSQL refuses to be run by root."""
    if os.getuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def own_folder(prefix: str, within: Path | None = None) -> Path:
    """A folder of whoever runs the engines."""
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=within))
    if (user := owner()) is not None:
        os.chown(folder, user.pw_uid, user.pw_gid)
    return folder


def _as(user: pwd.struct_passwd | None) -> dict[str, Any]:
    return {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
