"""Numbers for Prometheus: requests counted as they pass, the rest asked for when scraped.

Where several workers share a port, whichever is asked tells what all of them count, each by its name: a sum would fall
when one is replaced, and be taken for a restart of all."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain

import msgspec
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from bellcast.api.context import Connections

# Seconds. A send is one commit (about 1 ms); a second is trouble; ten is the patience of most clients.
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class RequestMetrics(Collector):
    """How many requests, of which kind, and how long they took. A dict entry each: a labelled counter costs ten times that."""

    def __init__(self) -> None:
        self._counts: defaultdict[tuple[str, str, int], int] = defaultdict(int)
        self._buckets = [0] * (len(BUCKETS) + 1)
        self._seconds = 0.0

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """One answer begun. `route` is the path with its parameters unfilled; paths nobody serves share one."""
        self._counts[method, route, status] += 1
        self._buckets[bisect_left(BUCKETS, seconds)] += 1
        self._seconds += seconds

    def collect(self) -> Iterator[CounterMetricFamily | HistogramMetricFamily]:
        """What Prometheus asks for."""
        labels = ("method", "route", "status")
        requests = CounterMetricFamily("bellcast_requests", "Answered HTTP requests.", labels=labels)
        for (method, route, status), count in list(self._counts.items()):
            requests.add_metric((method, route, str(status)), count)
        yield requests
        took = HistogramMetricFamily("bellcast_request_seconds", "Time from a request to the start of its answer.")
        took.add_metric((), self._cumulative(), sum_value=self._seconds)
        yield took

    def _cumulative(self) -> list[tuple[str, float]]:
        passed, found = 0, []
        for bound, count in zip((*map(str, BUCKETS), "+Inf"), self._buckets, strict=True):
            passed += count
            found.append((bound, float(passed)))
        return found


class ConnectionMetrics(Collector):
    """The numbers of the live half."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        """What Prometheus asks for."""
        stats = self._connections.stats()
        open = GaugeMetricFamily("bellcast_connections", "Live connections.", labels=("protocol", "transport"))
        for one in stats.get("connections", ()):
            open.add_metric((one["protocol"], one["transport"]), one["count"])
        yield open
        about = "Events made into bytes: once for all who speak alike."
        encoded = CounterMetricFamily("bellcast_encoded", about, labels=("protocol", "transport"))
        for one in stats.get("encoded", ()):
            encoded.add_metric((one["protocol"], one["transport"]), one["count"])
        yield encoded


class GaugeMetrics(Collector):
    """What is the same whichever worker is asked."""

    def __init__(self, *sources: Callable[[], Mapping[str, object]]) -> None:
        self._sources = sources

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """What Prometheus asks for."""
        for name, value in chain.from_iterable(source().items() for source in self._sources):
            if isinstance(value, int | float):
                yield GaugeMetricFamily(f"bellcast_{name}", f"{name.replace('_', ' ').capitalize()}.", value=value)


Told = tuple[str, str, str, list[tuple[str, dict[str, str], float]]]  # a metric: name, about, type, samples


class WorkerCollector(Collector):
    """What each worker counts, by its name."""

    def __init__(self, told: Mapping[str, bytes]) -> None:
        self._told = told

    def collect(self) -> Iterable[Metric]:
        """What Prometheus asks for: each metric once, whoever has samples of it."""
        found: dict[str, Metric] = {}
        for worker, told in self._told.items():
            for name, about, kind, samples in _read(told):
                metric = found.setdefault(name, Metric(name, about, kind))
                for sample, labels, value in samples:
                    metric.add_sample(sample, labels | {"worker": worker}, value)
        yield GaugeMetricFamily("bellcast_workers", "Workers that told what they count.", value=len(self._told))
        yield from found.values()


def _read(told: bytes) -> list[Told]:
    try:
        return msgspec.json.decode(told, type=list[Told])
    except msgspec.DecodeError:
        return []  # killed while it told


class MetricsExporter:
    """All numbers of one app; two apps in one process do not meet."""

    def __init__(
        self, requests: RequestMetrics, connections: Connections, outbox: Callable[[], Mapping[str, float]]
    ) -> None:
        self._own = (requests, ConnectionMetrics(connections))
        self._numbers = GaugeMetrics(connections.stats, outbox)

    def own(self) -> bytes:
        """What this process counts, for another worker's sheet."""
        metrics = chain.from_iterable(one.collect() for one in self._own)
        return msgspec.json.encode(
            [(one.name, one.documentation, one.type, [sample[:3] for sample in one.samples]) for one in metrics]
        )

    def text(self, workers: Mapping[str, bytes] | None) -> bytes:
        """What is answered to a scrape; `workers` is what each tells where there are several."""
        registry = CollectorRegistry(auto_describe=False)
        for one in self._own if workers is None else (WorkerCollector(workers),):
            registry.register(one)
        registry.register(self._numbers)
        return generate_latest(registry)
