"""Three nodes under load while PostgreSQL is stopped, cut off or full: no acknowledged notification is lost or shown
twice, and every device finally equals a fresh snapshot.
"""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.three_nodes import FULL, Three, disk_of, three_nodes

CUT_SECONDS = 15.0 if FULL else 6.0


@pytest.fixture(scope="module")
def disk() -> Iterator[Path]:
    with disk_of("512m") as disk:
        yield disk


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory, disk: Path) -> Iterator[Three]:
    with three_nodes(tmp_path_factory.mktemp("nodes"), "redis", disk) as three:
        yield three


@pytest.mark.thorough
async def test_restart_of_postgresql_loses_nothing(three: Three) -> None:
    def fault() -> None:
        three.postgres.stop()
        time.sleep(2)
        three.postgres.start()

    await three.check_under_load(fault)


@pytest.mark.thorough
@pytest.mark.parametrize("how", ["silent", "closed"])
async def test_node_cut_from_postgresql_loses_nothing(three: Three, how: str) -> None:
    def fault() -> None:
        with getattr(three.to_postgres, how)():
            time.sleep(CUT_SECONDS)

    await three.check_under_load(fault)


@pytest.mark.thorough
async def test_full_disk_of_postgresql_loses_nothing(three: Three, disk: Path) -> None:
    def fault() -> None:
        filler = disk / "filler"
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(65_536))
        time.sleep(CUT_SECONDS)
        filler.unlink()
        if not three.postgres.is_running:
            three.postgres.start()  # like a supervisor

    await three.check_under_load(fault)
