"""Nodes: several servers, or one of several processes, that share a PostgreSQL and a Redis."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bellcast.bench import engines, server_under_test
from bellcast.bench.engines import Engines
from bellcast.bench.processes import Cpu, Used, cpu_in_all
from bellcast.bench.scales import Run
from bellcast.bench.server_under_test import BenchServer


@dataclass(frozen=True)
class Nodes:
    """Servers that are one to their clients, and what they share."""

    each: Sequence[BenchServer]
    engines: Engines

    def cpu(self) -> Cpu:
        """Of all processes of all nodes; the engines are told apart."""
        return cpu_in_all(node.process.cpu() for node in self.each)

    def memory(self) -> int:
        """Bytes, of all processes of all nodes."""
        return sum(node.process.memory() for node in self.each)

    def used(self) -> Used:
        """Processor time until now."""
        postgres, redis = self.engines
        return {"server": self.cpu(), "postgres": postgres.process.cpu(), "redis": redis.process.cpu()}


@contextlib.contextmanager
def running(trial: Run, number: int) -> Iterator[Nodes]:
    """So many nodes on engines of their own, each with a port. AbsentError when an engine is not here."""
    with engines.running(trial.deadline) as shared, contextlib.ExitStack() as stack:
        each = [stack.enter_context(node(trial, shared, f"node-{at}")) for at in range(number)]
        yield Nodes(each, shared)


@contextlib.contextmanager
def workers(trial: Run, number: int) -> Iterator[Nodes]:
    """One server of so many processes on one port, on engines of its own. AbsentError as above."""
    with (
        engines.running(trial.deadline) as shared,
        node(trial, shared, "workers", {"BELLCAST_WORKERS": str(number)}) as server,
    ):
        yield Nodes([server], shared)


def node(
    trial: Run, shared: Engines, name: str, settings: dict[str, str] | None = None
) -> contextlib.AbstractContextManager[BenchServer]:
    """One more server on these engines, in a folder of its own."""
    given = {"BELLCAST_STORE": shared.postgres.url, "BELLCAST_BROKER": shared.redis.url}
    return server_under_test.running(trial.folder, trial.deadline, {**given, **(settings or {})}, name)
