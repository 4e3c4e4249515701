"""Three nodes with people on all of them, and engines that are gone, cut off or full: nothing acknowledged is lost or shown
twice, and every device shows in the end what a fresh look shows."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.three import FULL, Three, disk_of, three_nodes

CUT = 15.0 if FULL else 6.0


@pytest.fixture(scope="module")
def disk() -> Iterator[Path]:
    with disk_of("512m") as disk:
        yield disk


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory, disk: Path) -> Iterator[Three]:
    with three_nodes(tmp_path_factory.mktemp("nodes"), disk) as three:
        yield three


async def test_redis_is_stopped_and_started(three: Three) -> None:
    def fault() -> None:
        three.redis.kill()
        time.sleep(3)
        three.redis.start()

    await three.while_it_goes_on(fault)


async def test_postgresql_is_restarted(three: Three) -> None:
    def fault() -> None:
        three.postgres.stop()
        time.sleep(2)
        three.postgres.start()

    await three.while_it_goes_on(fault)


@pytest.mark.parametrize("how", ["silent", "closed"])
async def test_a_node_is_cut_from_redis_only(three: Three, how: str) -> None:
    def fault() -> None:
        with getattr(three.to_redis, how)():
            time.sleep(CUT)

    await three.while_it_goes_on(fault)


@pytest.mark.parametrize("how", ["silent", "closed"])
async def test_a_node_is_cut_from_postgresql_only(three: Three, how: str) -> None:
    def fault() -> None:
        with getattr(three.to_postgres, how)():
            time.sleep(CUT)

    await three.while_it_goes_on(fault)


async def test_the_disk_of_postgresql_is_full(three: Three, disk: Path) -> None:
    def fault() -> None:
        filler = disk / "filler"
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(65_536))
        time.sleep(CUT)
        filler.unlink()
        if not three.postgres.is_running:
            three.postgres.start()  # as whoever supervises it would

    await three.while_it_goes_on(fault)
