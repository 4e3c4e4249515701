"""Nodes: several servers, or one server of several processes, that share a PostgreSQL and a broker."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks import engines, server_under_test
from benchmarks.engines import POSTGRES_SETTINGS, Engines
from benchmarks.processes import Cpu, Used, sum_cpu
from benchmarks.scales import BenchmarkRun
from benchmarks.server_under_test import BenchServer


@dataclass(frozen=True)
class Nodes:
    """A cluster of servers and its shared engines."""

    each: Sequence[BenchServer]
    engines: Engines
    broker: str = "redis"

    def cpu(self) -> Cpu:
        """CPU time of all processes of all nodes, without the engines."""
        return sum_cpu(node.process.cpu() for node in self.each)

    def memory(self) -> int:
        """Bytes (PSS) of all processes of all nodes."""
        return sum(node.process.memory() for node in self.each)

    def used(self) -> Used:
        """CPU time so far, by component."""
        postgres, broker = self.engines
        return {"server": self.cpu(), "postgres": postgres.process.cpu(), self.broker: broker.process.cpu()}


@contextlib.contextmanager
def running(
    run: BenchmarkRun, number: int, broker: str = "redis", settings: Mapping[str, str] = POSTGRES_SETTINGS
) -> Iterator[Nodes]:
    """Start `number` nodes, each with a port, on fresh engines, PostgreSQL with these settings. Raises AbsentError if an engine is not installed."""
    with engines.running(run.deadline, broker, settings) as shared, contextlib.ExitStack() as stack:
        each = [stack.enter_context(node(run, shared, f"node-{at}")) for at in range(number)]
        yield Nodes(each, shared, broker)


@contextlib.contextmanager
def workers(run: BenchmarkRun, number: int) -> Iterator[Nodes]:
    """Start one server with `number` worker processes on fresh engines. Raises AbsentError if an engine is not
    installed."""
    with (
        engines.running(run.deadline) as shared,
        node(run, shared, "workers", {"BELLCAST_WORKERS": str(number)}) as server,
    ):
        yield Nodes([server], shared)


def node(
    run: BenchmarkRun, shared: Engines, name: str, settings: dict[str, str] | None = None
) -> contextlib.AbstractContextManager[BenchServer]:
    """Start a server on these engines, with its own data folder."""
    engine_settings = {"BELLCAST_STORE": shared.postgres.url, "BELLCAST_BROKER": shared.broker.url}
    return server_under_test.running(run.folder, run.deadline, {**engine_settings, **(settings or {})}, name)
