"""Three nodes on dedicated engines, one of which connects through proxies that tests can cut."""

import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

from tests import engines
from tests.faults.devices_under_load import DEVICES, World
from tests.faults.nodes import Cluster
from tests.faults.proxy import Proxy
from tests.servers import ServerProcess

# Recipients have two devices each. `FAULTS_CLIENTS=2000 pytest tests/faults/test_three_*.py` is the full size.
CLIENTS = int(os.environ.get("FAULTS_CLIENTS", "200"))
FULL = CLIENTS >= 2_000
# Seconds of steady sends before and after a fault.
SECONDS_BEFORE, SECONDS_AFTER = (5.0, 5.0) if FULL else (1.0, 1.0)
_numbers = count(1)


class Three:
    """The nodes, their engines, and the proxies between those and the first node."""

    def __init__(self, folder: Path, postgres: engines.PostgresServer, redis: engines.RedisServer) -> None:
        self.postgres = postgres
        self.redis = redis
        self.to_postgres = Proxy(postgres.port)
        self.to_redis = Proxy(redis.port)
        database = asyncio.run(postgres.make("three"))
        self.cluster = Cluster(folder, database, redis.url)
        cut = {
            "BELLCAST_STORE": f"postgresql://postgres@127.0.0.1:{self.to_postgres.port}/three",
            "BELLCAST_BROKER": f"redis://127.0.0.1:{self.to_redis.port}/0",
        }
        for environ in (cut, {}, {}):
            self.cluster.start(BELLCAST_DRAIN="1", BELLCAST_LOG_LEVEL="warning", **environ)
        self.nodes = self.cluster.nodes

    def end(self) -> None:
        self.cluster.end()
        self.to_postgres.end()
        self.to_redis.end()

    async def check_under_load(self, fault: Callable[[], None]) -> None:
        await check_under_load(self.nodes, fault)


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
def three_nodes(folder: Path, disk: Path | None = None) -> Iterator[Three]:
    """Start nodes and engines. PostgreSQL stores its data on `disk` if given."""
    postgres, redis = engines.PostgresServer(disk), engines.RedisServer()
    try:
        postgres.start()
        redis.start()
        three = Three(folder, postgres, redis)
        try:
            yield three
        finally:
            three.end()
    finally:
        redis.end()
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
