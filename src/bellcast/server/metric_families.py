"""The metrics of a scrape, as Prometheus reads them. The first scrape imports this module: prometheus_client takes 2 MB."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from types import SimpleNamespace
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct
from prometheus_client import ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from bellcast import build
from bellcast.live.hub.dispatch import Histogram
from bellcast.live.hub.survey import ConnectionSurvey
from bellcast.server.metrics import COUNTERS, REQUEST_LABELS, RequestMetrics

NO_DELAYS = Histogram(())


# A metric: name, about, type, samples.
MetricReport: TypeAlias = tuple[str, str, str, list[tuple[str, dict[str, str], float]]]


class MetricsExporter(Struct, eq=False):
    """All metrics of one app."""

    requests: RequestMetrics
    connections: ConnectionSurvey
    counts: Callable[[], Mapping[str, Mapping[Any, float]]]

    def report(self) -> bytes:
        """Return this process's metrics, for another worker's exporter."""
        found = self._of_process()
        reports = [(one.name, one.documentation, one.type, [sample[:3] for sample in one.samples]) for one in found]
        return msgspec.json.encode(reports)

    def text(
        self, workers: Mapping[str, bytes] | None, jobs: Mapping[tuple[str, str], int], numbers: Mapping[str, float]
    ) -> bytes:
        """Return the response to a scrape. If there are several workers, `workers` has the metrics of each. `jobs` has
        the numbers of jobs by kind and state, `numbers` the state of store, broker and queue by name."""
        metrics = list(self._of_process()) if workers is None else []
        if workers is not None:
            # Each family once, with the samples of all workers, labelled by worker
            families: dict[str, Metric] = {}
            for worker, report in workers.items():
                try:
                    found = msgspec.json.decode(report, type=list[MetricReport])
                except msgspec.DecodeError:
                    continue  # the worker was killed while writing
                for name, about, kind, samples in found:
                    metric = families.setdefault(name, Metric(name, about, kind))
                    for sample, labels, value in samples:
                        metric.add_sample(sample, labels | {"worker": worker}, value)
            about = "Workers that reported metrics."
            metrics = [GaugeMetricFamily("bellcast_workers", about, value=len(workers)), *families.values()]
        metrics.append(_family(GaugeMetricFamily, "jobs", "Durable jobs in the store.", ("kind", "state"), jobs))
        for name, value in chain(self.connections.stats().items(), numbers.items()):
            if isinstance(value, int | float):
                about = f"{name.replace('_', ' ').capitalize()}."
                metrics.append(GaugeMetricFamily(f"bellcast_{name}", about, value=value))
        # A registry would keep its collectors, and none is used twice.
        registry: Any = SimpleNamespace(collect=lambda: metrics)
        return generate_latest(registry)

    def _of_process(self) -> Iterator[Metric]:
        """Yield the metrics of this process: its requests, connections, counters, delays, version, CPU time, memory and
        open files."""
        yield _family(CounterMetricFamily, "requests", "Served HTTP requests.", REQUEST_LABELS, self.requests.counts)
        about = "Time from a request to the start of its response."
        took = HistogramMetricFamily("bellcast_request_seconds", about, labels=REQUEST_LABELS[:2])
        for route, durations in self.requests.durations.items():
            took.add_metric(route, durations.cumulative(), sum_value=durations.sum)
        yield took
        values = {**self.counts(), **self.connections.stats()}
        labels: tuple[str, ...] = ("protocol", "transport")
        yield _family(GaugeMetricFamily, "connections", "Live connections.", labels, values.get("connections", {}))
        for name, about, labels in COUNTERS:
            yield _family(CounterMetricFamily, name, about, labels, values.get(name, {}))
        for name, source, what in (("delivery", "delays", "notification"), ("event", "event_delays", "live event")):
            delays = values.get(source, NO_DELAYS)
            about = f"Time from the acceptance of a {what} to its first write to a live connection of this process."
            yield HistogramMetricFamily(
                f"bellcast_{name}_seconds", about, buckets=delays.cumulative(), sum_value=delays.sum
            )
        labels, running = ("version", "commit"), (build.version(), build.commit() or "")
        yield _family(GaugeMetricFamily, "build_info", "The running version and commit.", labels, {running: 1})
        yield from ProcessCollector(registry=None).collect()


def _family(
    family: type[CounterMetricFamily | GaugeMetricFamily],
    name: str,
    about: str,
    labels: Sequence[str],
    values: Mapping[Any, float],
) -> Metric:
    """Return a metric whose values are keyed by a tuple of labels, or by the only label."""
    metric = family(f"bellcast_{name}", about, labels=labels)
    for key, value in list(values.items()):
        metric.add_metric([str(label) for label in key] if isinstance(key, tuple) else [key], value)
    return metric
