"""Messages between the nodes of a cluster of 2, 10 and 50, counted in one process: their number does not depend on its speed."""

import asyncio
import time
from collections.abc import Sequence

from benchmarks import figures
from benchmarks.figures import Figure
from benchmarks.node_network import NodeNetwork, SteppedClock
from benchmarks.scales import BenchmarkRun

NAME = "cluster"
SIZES = (2, 10, 50)
# Two for each node in two seconds: its beat to the keeper, and the list to it.
HEARTBEATS_A_MINUTE = 60
CONNECTS = 100
STEP_SECONDS = 0.125  # a node asks again if no answer came within 250 ms


def measure(run: BenchmarkRun) -> Sequence[Figure]:
    """Count the messages that nodes receive from others: at rest, for each connect to an inbox that no other node follows,
    and to one that three follow."""
    return [figure for number in SIZES for figure in asyncio.run(_measure(run, number))]


async def _measure(run: BenchmarkRun, number: int) -> Sequence[Figure]:
    run.report(f"{number} nodes")
    clock = SteppedClock()
    network = NodeNetwork(clock)
    nodes = [network.add() for _ in range(number)]
    await _pass(network, clock, 6)
    network.delivered.clear()
    started = time.process_time()
    await _pass(network, clock, 60)
    cpu, heartbeats = time.process_time() - started, network.delivered.total()
    network.delivered.clear()
    for index in range(CONNECTS):
        nodes[0].observe(f"unshared {index}")
    await _pass(network, clock, 5)
    unshared = network.delivered["group"] + network.delivered["group-told"]
    for index in range(CONNECTS):
        for node in nodes[1:4]:
            node.observe(f"shared {index}")
    await _pass(network, clock, 10)
    network.delivered.clear()
    # Longer than until the repetition of a state.
    for index in range(CONNECTS):
        nodes[0].observe(f"shared {index}")
    await _pass(network, clock, 10)
    shared = network.delivered["group"] + network.delivered["group-told"]
    await network.close()
    return [
        _figure(f"{number} nodes at rest: messages received in a minute", heartbeats, HEARTBEATS_A_MINUTE * number),
        _figure(f"{number} nodes at rest: CPU of a node", 1e6 * cpu / number / 60, None, "µs/s"),
        _figure(f"{number} nodes: messages for a connect to an inbox of this node only", unshared / CONNECTS, 0),
        _figure(
            f"{number} nodes: messages for a connect to an inbox followed on {min(3, number - 1)} others, answer and repetition included",
            shared / CONNECTS,
            2 * min(3, number - 1) + 1,
        ),
    ]


async def _pass(network: NodeNetwork, clock: SteppedClock, seconds: float) -> None:
    for _ in range(round(seconds / STEP_SECONDS)):
        clock.advance(STEP_SECONDS)
        await network.settle()


def _figure(name: str, value: float, goal: float | None, unit: str = "messages") -> Figure:
    return Figure(
        benchmark=NAME, name=name, value=value, unit=unit, goal=None if goal is None else figures.at_most(goal)
    )
