"""Prometheus metrics. Requests are counted as they are served, other values are collected on scrape.

If several workers share a port, the scraped worker reports the metrics of all, labelled by worker. A sum would decrease
when a worker is replaced, which Prometheus would interpret as a counter reset."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain

import msgspec
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from bellcast.api.context import Connections

# Histogram buckets in seconds. A send is one commit (about 1 ms), a second indicates trouble, and ten seconds is the
# timeout of most clients.
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class RequestMetrics(Collector):
    """Request counts and durations, in plain dicts, because a labelled counter costs ten times as much."""

    def __init__(self) -> None:
        self._counts: defaultdict[tuple[str, str, int], int] = defaultdict(int)
        self._buckets = [0] * (len(BUCKETS) + 1)
        self._seconds = 0.0

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one started response. `route` is the path template. Unknown paths share one entry."""
        self._counts[method, route, status] += 1
        self._buckets[bisect_left(BUCKETS, seconds)] += 1
        self._seconds += seconds

    def totals(self) -> tuple[int, int, int, tuple[int, ...]]:
        """Return the number of requests, of responses with status 4xx and 5xx, and of requests by duration bucket."""
        refusals = failures = 0
        for (_, _, status), count in self._counts.items():
            refusals += count if 400 <= status < 500 else 0
            failures += count if status >= 500 else 0
        return sum(self._buckets), refusals, failures, tuple(self._buckets)

    def collect(self) -> Iterator[CounterMetricFamily | HistogramMetricFamily]:
        """Collect the metrics."""
        labels = ("method", "route", "status")
        requests = CounterMetricFamily("bellcast_requests", "Served HTTP requests.", labels=labels)
        for (method, route, status), count in list(self._counts.items()):
            requests.add_metric((method, route, str(status)), count)
        yield requests
        took = HistogramMetricFamily("bellcast_request_seconds", "Time from a request to the start of its response.")
        took.add_metric((), self._cumulative(), sum_value=self._seconds)
        yield took

    def _cumulative(self) -> list[tuple[str, float]]:
        passed, families = 0, []
        for bound, count in zip((*map(str, BUCKETS), "+Inf"), self._buckets, strict=True):
            passed += count
            families.append((bound, float(passed)))
        return families


class ConnectionMetrics(Collector):
    """Metrics of the live connections."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        """Collect the metrics."""
        stats = self._connections.stats()
        open = GaugeMetricFamily("bellcast_connections", "Live connections.", labels=("protocol", "transport"))
        for item in stats.get("connections", ()):
            open.add_metric((item["protocol"], item["transport"]), item["count"])
        yield open
        about = "Encoded events: once per dialect, not per connection."
        encoded = CounterMetricFamily("bellcast_encoded", about, labels=("protocol", "transport"))
        for item in stats.get("encoded", ()):
            encoded.add_metric((item["protocol"], item["transport"]), item["count"])
        yield encoded


class MessageMetrics(Collector):
    """Ended messages of this process."""

    def __init__(self, ended: Callable[[], Mapping[tuple[str, str], int]]) -> None:
        self._ended = ended

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Collect the metrics."""
        about = "Messages outside the inbox that reached a final state."
        messages = CounterMetricFamily("bellcast_messages", about, labels=("channel", "state"))
        for labels, count in self._ended().items():
            messages.add_metric(labels, count)
        yield messages


class JobMetrics(Collector):
    """Durable jobs in the store, the same on every worker."""

    def __init__(self, counts: Mapping[tuple[str, str], int]) -> None:
        self._counts = counts

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Collect the metrics."""
        jobs = GaugeMetricFamily("bellcast_jobs", "Durable jobs in the store.", labels=("kind", "state"))
        for labels, count in self._counts.items():
            jobs.add_metric(labels, count)
        yield jobs


class GaugeMetrics(Collector):
    """Metrics that are the same on every worker."""

    def __init__(self, *sources: Callable[[], Mapping[str, object]]) -> None:
        self._sources = sources

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Collect the metrics."""
        for name, value in chain.from_iterable(source().items() for source in self._sources):
            if isinstance(value, int | float):
                yield GaugeMetricFamily(f"bellcast_{name}", f"{name.replace('_', ' ').capitalize()}.", value=value)


MetricReport = tuple[str, str, str, list[tuple[str, dict[str, str], float]]]  # a metric: name, about, type, samples


class WorkerCollector(Collector):
    """Metrics of each worker, labelled by worker."""

    def __init__(self, reports: Mapping[str, bytes]) -> None:
        self._reports = reports

    def collect(self) -> Iterable[Metric]:
        """Collect the metrics: each family once, with the samples of all workers."""
        families: dict[str, Metric] = {}
        for worker, reports in self._reports.items():
            for name, about, kind, samples in _read(reports):
                metric = families.setdefault(name, Metric(name, about, kind))
                for sample, labels, value in samples:
                    metric.add_sample(sample, labels | {"worker": worker}, value)
        yield GaugeMetricFamily("bellcast_workers", "Workers that reported metrics.", value=len(self._reports))
        yield from families.values()


def _read(reports: bytes) -> list[MetricReport]:
    try:
        return msgspec.json.decode(reports, type=list[MetricReport])
    except msgspec.DecodeError:
        return []  # the worker was killed while writing


class MetricsExporter:
    """All metrics of one app. Each app of a process has its own registry."""

    def __init__(
        self,
        requests: RequestMetrics,
        connections: Connections,
        outbox: Callable[[], Mapping[str, float]],
        messages: Callable[[], Mapping[tuple[str, str], int]] = dict,
    ) -> None:
        self._own = (requests, ConnectionMetrics(connections), MessageMetrics(messages))
        self._numbers = GaugeMetrics(connections.stats, outbox)

    def own(self) -> bytes:
        """Return this process's metrics, for another worker's exporter."""
        metrics = chain.from_iterable(item.collect() for item in self._own)
        return msgspec.json.encode(
            [(item.name, item.documentation, item.type, [sample[:3] for sample in item.samples]) for item in metrics]
        )

    def text(self, workers: Mapping[str, bytes] | None, jobs: Mapping[tuple[str, str], int]) -> bytes:
        """Return the response to a scrape. If there are several workers, `workers` has the metrics of each. `jobs` has
        the numbers of jobs by kind and state."""
        registry = CollectorRegistry(auto_describe=False)
        for item in self._own if workers is None else (WorkerCollector(workers),):
            registry.register(item)
        registry.register(self._numbers)
        registry.register(JobMetrics(jobs))
        return generate_latest(registry)
