"""Three nodes on dedicated engines, one of which connects through proxies that tests can cut."""

import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path

from tests import engines
from tests.faults.devices_under_load import DEVICES, World
from tests.faults.nodes import Cluster
from tests.faults.proxy import Proxy
from tests.servers import ServerProcess

# Recipients have two devices each. `FAULTS_CLIENTS=2000 pytest tests/faults/test_cluster_*.py --thorough` is the full size.
BROKERS = ("redis", "postgres", "nats", "nats-cluster")
CLIENTS = int(os.environ.get("FAULTS_CLIENTS", "200"))
FULL = CLIENTS >= 2_000
# Seconds of steady sends before and after a fault.
SECONDS_BEFORE, SECONDS_AFTER = (5.0, 5.0) if FULL else (1.0, 1.0)
_numbers = count(1)


class Three:
    """The nodes, their engines, and the proxies between those and the first node."""

    def __init__(self, folder: Path, postgres: engines.PostgresServer, broker: str) -> None:
        self.postgres = postgres
        self.to_postgres = Proxy(postgres.port)
        database = asyncio.run(postgres.make("three"))
        store_behind_proxy = f"postgresql://postgres@127.0.0.1:{self.to_postgres.port}/three"
        self.broker_servers, broker_url, behind_proxy = start_broker(broker)
        self.to_broker = Proxy(self.broker_servers[0].port) if self.broker_servers else self.to_postgres
        self.cluster = Cluster(folder, database, broker_url or database)
        cut = {
            "BELLCAST_STORE": store_behind_proxy,
            "BELLCAST_BROKER": behind_proxy.format(self.to_broker.port) or store_behind_proxy,
        }
        for environ in (cut, {}, {}):
            self.cluster.start(BELLCAST_DRAIN="1", BELLCAST_LOG_LEVEL="warning", **environ)
        self.nodes = self.cluster.nodes

    def end(self) -> None:
        self.cluster.end()
        for proxy in {self.to_postgres, self.to_broker}:
            proxy.end()
        for server in self.broker_servers:
            server.end()

    async def check_under_load(self, fault: Callable[[], None]) -> None:
        await check_under_load(self.nodes, fault)


def start_broker(name: str) -> tuple[Sequence[engines.Process], str, str]:
    """Start a broker; return its servers, its URL, and that behind a proxy to the first server, with `{}` for the port. PostgreSQL
    as broker is the store's."""
    if name == "postgres":
        return [], "", ""
    server = {"redis": engines.RedisServer, "nats": engines.NatsServer, "nats-cluster": engines.NatsCluster}[name]()
    server.start()
    servers = server.servers if isinstance(server, engines.NatsCluster) else [server]
    return servers, server.url, "redis://127.0.0.1:{}/0" if name == "redis" else "nats://127.0.0.1:{}"


async def check_under_load(nodes: list[ServerProcess], fault: Callable[[], None]) -> None:
    """Run a fault under load, then check the invariants."""
    world = World(nodes, f"world{next(_numbers)}", CLIENTS // DEVICES)
    async with world.running():
        await asyncio.sleep(SECONDS_BEFORE)
        await asyncio.to_thread(fault)
        await asyncio.sleep(SECONDS_AFTER)
        seconds = await world.settle()
        sent_count = sum(sum(titles.values()) for titles in world.acknowledged.values())
        sys.stderr.write(
            f"\n{len(world.followers)} clients, {sent_count} sent, refused {dict(world.refused)}, whole after {seconds:.1f} s\n"
        )
        await world.check()


@contextlib.contextmanager
def three_nodes(folder: Path, broker: str, disk: Path | None = None) -> Iterator[Three]:
    """Start nodes and engines. PostgreSQL stores its data on `disk` if given."""
    postgres = engines.PostgresServer(disk)
    try:
        postgres.start()
        three = Three(folder, postgres, broker)
        try:
            yield three
        finally:
            three.end()
    finally:
        postgres.end()


@contextlib.contextmanager
def disk_of(size: str) -> Iterator[Path]:
    """Mount a disk of that size, which tests can fill."""
    mount_point = Path(tempfile.mkdtemp(prefix="bellcast-disk-"))
    as_root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    subprocess.run(
        [*as_root, "mount", "-t", "tmpfs", "-o", f"size={size},mode=777", "tmpfs", str(mount_point)], check=True
    )
    mount_point.chmod(0o777)
    try:
        yield mount_point
    finally:
        subprocess.run([*as_root, "umount", "--lazy", str(mount_point)], check=True)
        mount_point.rmdir()
