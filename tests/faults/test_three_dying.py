"""Three nodes with people on all of them, and nodes that die, stand still and are replaced: nothing acknowledged is lost or
shown twice, and every device shows in the end what a fresh look shows."""

import signal
import time
from collections.abc import Iterator

import pytest

from tests.faults.three import FULL, Three, three_nodes

# Longer than the lease of ten seconds: the others take it for dead.
PAUSED = 30.0 if FULL else 12.0


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Three]:
    with three_nodes(tmp_path_factory.mktemp("dying")) as three:
        yield three


async def test_a_node_is_killed(three: Three) -> None:
    def fault() -> None:
        three.nodes[1].kill()
        time.sleep(2)
        three.nodes[1].start()

    await three.while_it_goes_on(fault)


async def test_a_node_stands_still_for_a_while(three: Three) -> None:
    def fault() -> None:
        process = three.nodes[2].process
        assert process is not None
        process.send_signal(signal.SIGSTOP)
        try:
            time.sleep(PAUSED)
        finally:
            process.send_signal(signal.SIGCONT)

    await three.while_it_goes_on(fault)


async def test_all_nodes_are_replaced_one_after_the_other(three: Three) -> None:
    def fault() -> None:
        for node in three.nodes:
            assert node.stop() == 0
            node.start()

    await three.while_it_goes_on(fault)
