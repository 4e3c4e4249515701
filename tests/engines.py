"""PostgreSQL, Redis and NATS as processes of this test run, in temporary folders.

Each starts at its first use and ends with the run. A missing one is an error, never a skip: `scripts/install_system.sh`
installs them."""

import atexit
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

import asyncpg

from bellcast.kernel.clock import Clock
from bellcast.kernel.db.migrations.postgres import SCHEMA
from bellcast.kernel.db.postgres import PostgresEngine
from tests.servers import child_processes, free_port, wait_until_ended

START_TIMEOUT = 90  # seconds; a loaded machine needs ten
OLDEST_POSTGRES = 15
OLDEST_REDIS = 7
OLDEST_NATS = 2
# Where scripts/install_system.sh builds servers without root.
BUILT = Path.home() / ".local/bin"
_databases = count(1)
# The state after the migrations: no connections, no rows, and tables without gaps, so that new rows are in insertion
# order. A connection may commit until it has closed, so its end is awaited. No triggers run: those of the outbox turn
# emptied notifications into tombstones, which would stay if their table was emptied before. Tables without a page never
# had a row: one query finds them, while one query per table took most of the time.
EMPTY = f"""
SET session_replication_role = replica;
SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid();
DO $$ DECLARE filled TEXT; BEGIN
  SELECT string_agg(format('%I.%I', schemaname, tablename), ', ') INTO filled FROM pg_tables
    WHERE schemaname = '{SCHEMA}' AND tablename NOT IN ('schema_version', 'counters')
    AND pg_relation_size(format('%I.%I', schemaname, tablename)::regclass) > 0;
  IF filled IS NOT NULL THEN EXECUTE 'TRUNCATE ' || filled || ' RESTART IDENTITY CASCADE'; END IF;
  UPDATE {SCHEMA}.counters SET value = 0;
END $$;
"""


class Process:
    """An engine process: started, stopped and restarted on one port and folder, ended with the run."""

    def __init__(self, command: list[str], folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        self._command = command
        self._running: subprocess.Popen[bytes] | None = None
        atexit.register(self.end)

    def start(self) -> None:
        """Start it and wait until it accepts connections."""
        with (self.folder / "log").open("ab") as log:
            self._running = subprocess.Popen(self._command, stdout=log, stderr=log, cwd=self.folder, **_as(owner()))
        deadline = time.monotonic() + START_TIMEOUT
        while not self.is_ready():
            if time.monotonic() > deadline or self._running.poll() is not None:
                raise AssertionError(f"the engine did not start: {(self.folder / 'log').read_text()[-2000:]}")
            time.sleep(0.02)

    def is_ready(self) -> bool:
        """True once it accepts connections."""
        raise NotImplementedError

    def kill(self) -> None:
        """End it without a shutdown, as a power cut would."""
        if self._running is not None:
            # PostgreSQL's processes would keep a new one from starting until they notice that their parent has ended.
            children = child_processes(self._running.pid)
            self._running.kill()
            for child in children:
                with suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
            self._running.wait(timeout=START_TIMEOUT)
            for child in children:
                wait_until_ended(child)
            self._running = None

    def stop(self) -> None:
        """Shut down fast: close connections, keep committed data."""
        if self._running is not None:
            self._running.send_signal(2)  # SIGINT is PostgreSQL's fast shutdown
            self._running.wait(timeout=START_TIMEOUT)
            self._running = None

    @property
    def is_running(self) -> bool:
        return self._running is not None and self._running.poll() is None

    @property
    def pid(self) -> int:
        assert self._running is not None
        return self._running.pid

    def end(self) -> None:
        """Kill it and delete its folder."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class PostgresServer(Process):
    """A PostgreSQL server, in the given folder if any."""

    def __init__(self, disk: Path | None = None, primary: "PostgresServer | None" = None) -> None:
        """With `primary`, a standby of this running server."""
        folder, port = engine_folder("bellcast-postgres-", disk), free_port()
        data = folder / "data"
        command = [tool("initdb"), "-D", str(data), "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8"]
        if primary is not None:
            command = [
                tool("pg_basebackup"),
                "-D",
                str(data),
                "-d",
                primary.url("postgres"),
                "-R",
                "-X",
                "stream",
                "-c",
                "fast",
            ]
        subprocess.run([*command, "--no-sync"], check=True, capture_output=True, cwd=folder, **_as(owner()))
        options = {"listen_addresses": "127.0.0.1", "unix_socket_directories": folder, "max_connections": 200}
        # No test cuts the power; a kill loses nothing that reached the operating system.
        options |= {"fsync": "off", "shared_buffers": "64MB", "max_wal_size": "256MB"}
        # Shared memory in its folder, which is deleted: a kill would leak System V memory, of which a container has
        # little.
        options |= {"dynamic_shared_memory_type": "mmap"}
        flags = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        super().__init__([tool("postgres"), "-D", str(data), "-p", str(port), *flags], folder, port)

    def is_ready(self) -> bool:
        command = [tool("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(command, check=False).returncode == 0

    def url(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def create(self, database: str) -> str:
        """Create an empty database from a thread that may run an event loop; return its URL."""
        command = [tool("createdb"), "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", database]
        subprocess.run(command, check=True, capture_output=True)
        return self.url(database)

    async def make(self, database: str) -> str:
        """Create an empty database; return its URL."""
        await self.execute(f'CREATE DATABASE "{database}"')
        return self.url(database)

    async def drop(self, database: str) -> None:
        await self.execute(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')

    async def execute(self, command: str, database: str = "postgres") -> None:
        """Execute as the superuser."""
        connection = await asyncpg.connect(self.url(database))
        try:
            await connection.execute(command)
        finally:
            await connection.close()


class PgBouncer(Process):
    """PgBouncer in front of a PostgreSQL server, with few sessions so that it shares them if its mode permits."""

    def __init__(self, server: PostgresServer, mode: str) -> None:
        folder, port = engine_folder("bellcast-pgbouncer-"), free_port()
        settings = {
            "listen_addr": "127.0.0.1",
            "listen_port": port,
            "unix_socket_dir": "",
            "auth_type": "any",
            "pool_mode": mode,
            "default_pool_size": 50,
        }
        lines = [f"{name} = {value}" for name, value in settings.items()]
        text = "\n".join(
            ["[databases]", f"* = host=127.0.0.1 port={server.port} user=postgres", "[pgbouncer]", *lines, ""]
        )
        (folder / "pgbouncer.ini").write_text(text)
        super().__init__(["/usr/sbin/pgbouncer", str(folder / "pgbouncer.ini")], folder, port)

    def is_ready(self) -> bool:
        command = [tool("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(command, check=False).returncode == 0

    def url(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"


class RedisServer(Process):
    """A Redis without persistence."""

    def __init__(self, *flags: str) -> None:
        folder, port = engine_folder("bellcast-redis-"), free_port()
        command = [tool("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
        super().__init__([*command, "--save", "", "--appendonly", "no", *flags], folder, port)

    def is_ready(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"


class RedisCluster:
    """Three Redis nodes that share the slots."""

    def __init__(self) -> None:
        flags = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--cluster-port"]
        self.servers = [RedisServer(*flags, str(free_port())) for _ in range(3)]

    def start(self) -> None:
        """Start the nodes and assign a third of the slots to each."""
        for server in self.servers:
            server.start()
        members = [f"127.0.0.1:{server.port}" for server in self.servers]
        command = [tool("redis-cli"), "--cluster", "create", *members, "--cluster-replicas", "0", "--cluster-yes"]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        for server in self.servers:
            self._wait_until_joined(server)

    def _wait_until_joined(self, server: RedisServer) -> None:
        """Wait until a node serves its slots: it refuses commands until it knows the state of the others."""
        command = [tool("redis-cli"), "-p", str(server.port), "CLUSTER", "INFO"]
        for _ in range(300):
            output = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
            if "cluster_state:ok" in output:
                return
            time.sleep(0.1)
        raise AssertionError(f"the Redis cluster did not start:\n{output}")

    @property
    def url(self) -> str:
        return self.servers[0].url

    def end(self) -> None:
        """Kill all nodes and delete their folders."""
        for server in self.servers:
            server.end()


class NatsServer(Process):
    """A NATS server with JetStream unless `jetstream` is false. Lines of `config` are added to its configuration."""

    def __init__(self, *config: str, jetstream: bool = True) -> None:
        folder, port = engine_folder("bellcast-nats-"), free_port()
        lines = [f"listen: 127.0.0.1:{port}", *config]
        if jetstream:
            lines.append(f'jetstream {{ store_dir: "{folder}", max_memory_store: 64MB, max_file_store: 10GB }}')
        (folder / "nats.conf").write_text("\n".join([*lines, ""]))
        super().__init__([tool("nats-server"), "-c", str(folder / "nats.conf")], folder, port)

    def is_ready(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"


class NatsCluster:
    """Three NATS servers that replicate streams."""

    def __init__(self) -> None:
        ports = [free_port() for _ in range(3)]
        routes = ", ".join(f'"nats://127.0.0.1:{port}"' for port in ports)
        self.servers = [
            NatsServer(
                f"server_name: n{number}",
                f"cluster {{ name: test, listen: 127.0.0.1:{port}, routes: [{routes}] }}",
            )
            for number, port in enumerate(ports)
        ]

    def start(self) -> None:
        """Start the servers and wait until JetStream places a stream on all of them: its leader is elected by two."""
        for server in self.servers:
            server.start()
        deadline = time.monotonic() + START_TIMEOUT
        while not self._places_streams():
            if time.monotonic() > deadline:
                raise AssertionError(f"the NATS cluster did not start:\n{_log_of(self.servers[0])[-2000:]}")
            time.sleep(0.05)

    def _places_streams(self) -> bool:
        create = json.dumps({"name": "ready", "subjects": ["ready"], "num_replicas": 3, "storage": "memory"}).encode()
        try:
            with socket.create_connection(("127.0.0.1", self.servers[0].port), timeout=2) as connection:
                connection.sendall(b'CONNECT {"verbose":false}\r\nSUB replies 1\r\n')
                replies = connection.makefile("rb")
                for operation, body in (("CREATE", create), ("DELETE", b"")):
                    subject = f"$JS.API.STREAM.{operation}.ready".encode()
                    connection.sendall(b"PUB %s replies %d\r\n%s\r\n" % (subject, len(body), body))
                    while not (line := replies.readline()).startswith(b"MSG"):
                        if not line:
                            return False
                    if "error" in json.loads(replies.read(int(line.split()[-1]))):
                        return False
        except OSError:  # JetStream has no leader yet, and responds to nothing
            return False
        return True

    @property
    def url(self) -> str:
        return "nats://" + ",".join(f"127.0.0.1:{server.port}" for server in self.servers)

    def end(self) -> None:
        """Kill all servers and delete their folders."""
        for server in self.servers:
            server.end()


def _log_of(server: Process) -> str:
    return (server.folder / "log").read_text()


class FreshPostgresEngine(PostgresEngine):
    """An engine on an empty database. Creating one with its tables takes 0.1 s, truncating it 0.01 s, so closed
    engines leave their databases for reuse. An engine whose plans are compared gets a new database, because the
    statistics of deleted rows remain."""

    reusable: ClassVar[list[str]] = []

    def __init__(self, clock: Clock, *, is_new: bool = False) -> None:
        self.server = postgres()
        self.is_new = is_new or not self.reusable
        self.database = f"test{next(_databases)}" if self.is_new else self.reusable.pop()
        super().__init__(self.server.url(self.database), clock)

    async def open(self) -> None:
        if self.is_new:
            await self.server.make(self.database)
            self.is_new = False
        await super().open()

    async def close(self) -> None:
        await super().close()
        await self.server.execute(EMPTY, self.database)
        self.reusable.append(self.database)


@cache
def postgres() -> PostgresServer:
    """The PostgreSQL of this run."""
    _check_version("postgres", OLDEST_POSTGRES)
    server = PostgresServer()
    server.start()
    return server


@cache
def redis() -> RedisServer:
    """The Redis of this run."""
    _check_version("redis-server", OLDEST_REDIS)
    server = RedisServer()
    server.start()
    return server


@cache
def redis_cluster() -> RedisCluster:
    """The Redis cluster of this run."""
    _check_version("redis-server", OLDEST_REDIS)
    cluster = RedisCluster()
    cluster.start()
    return cluster


@cache
def nats() -> NatsServer:
    """The NATS server of this run."""
    _check_version("nats-server", OLDEST_NATS)
    server = NatsServer()
    server.start()
    return server


@cache
def nats_cluster() -> NatsCluster:
    """The NATS cluster of this run."""
    _check_version("nats-server", OLDEST_NATS)
    cluster = NatsCluster()
    cluster.start()
    return cluster


def _check_version(name: str, oldest: int) -> None:
    output = subprocess.run([tool(name), "--version"], capture_output=True, text=True, check=True).stdout
    version = next(part for part in output.replace("v=", "").replace(" v", " ").split() if part[0].isdigit())
    if int(version.split(".")[0]) < oldest:
        raise AssertionError(f"{name} {version} is too old for the tests: they need {oldest} or newer")


def tool(name: str) -> str:
    """Return the path of an engine's program; Debian installs PostgreSQL's outside PATH, by version."""
    debian_paths = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    path = shutil.which(name) or shutil.which(name, path=str(BUILT)) or (debian_paths[-1] if debian_paths else None)
    if path is None:
        raise AssertionError(f"{name} is not installed: run scripts/install_system.sh")
    return str(path)


def owner() -> pwd.struct_passwd | None:
    """Return the user that runs the engines if this is root, because PostgreSQL refuses to run as root."""
    if os.getuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def engine_folder(prefix: str, within: Path | None = None) -> Path:
    """Create a folder owned by the user that runs the engines."""
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=within))
    if (user := owner()) is not None:
        os.chown(folder, user.pw_uid, user.pw_gid)
    return folder


def _as(user: pwd.struct_passwd | None) -> dict[str, Any]:
    return {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
