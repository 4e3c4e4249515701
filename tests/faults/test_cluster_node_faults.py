"""Three nodes under load while nodes are killed, paused and replaced, or cut from their broker, or the broker is restarted: no
acknowledged notification is lost or shown twice, and every device finally equals a fresh snapshot.
"""

import signal
import time
from collections.abc import Iterator

import pytest

from tests.faults.three_nodes import BROKERS, FULL, Three, three_nodes

# Longer than the timeout of 8.5 seconds, after which the other nodes expire it.
PAUSED_SECONDS = 30.0 if FULL else 12.0
CUT_SECONDS = 15.0 if FULL else 6.0
DOWN_SECONDS = 3.0


@pytest.fixture(scope="module", params=BROKERS)
def three(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Three]:
    with three_nodes(tmp_path_factory.mktemp("dying"), request.param) as three:
        yield three


@pytest.mark.thorough
async def test_killed_node_loses_nothing(three: Three) -> None:
    def fault() -> None:
        three.nodes[1].kill()
        time.sleep(2)
        three.nodes[1].start()

    await three.check_under_load(fault)


@pytest.mark.thorough
async def test_paused_node_loses_nothing(three: Three) -> None:
    def fault() -> None:
        process = three.nodes[2].process
        assert process is not None
        process.send_signal(signal.SIGSTOP)
        try:
            time.sleep(PAUSED_SECONDS)
        finally:
            process.send_signal(signal.SIGCONT)

    await three.check_under_load(fault)


@pytest.mark.thorough
async def test_rolling_restart_loses_nothing(three: Three) -> None:
    def fault() -> None:
        for node in three.nodes:
            assert node.stop() == 0
            node.start()

    await three.check_under_load(fault)


@pytest.mark.thorough
async def test_restart_of_the_broker_loses_nothing(three: Three) -> None:
    def fault() -> None:
        # Servers of a cluster one after another, the leader of a stream among them.
        for server in three.broker_servers or [three.postgres]:
            server.kill()
            time.sleep(DOWN_SECONDS)
            server.start()

    await three.check_under_load(fault)


@pytest.mark.thorough
@pytest.mark.parametrize("how", ["silent", "closed"])
async def test_node_cut_from_the_broker_loses_nothing(three: Three, how: str) -> None:
    def fault() -> None:
        with getattr(three.to_broker, how)():
            time.sleep(CUT_SECONDS)

    await three.check_under_load(fault)
