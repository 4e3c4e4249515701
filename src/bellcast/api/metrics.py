"""Numbers for Prometheus, one registry an app: requests counted as they pass, the rest asked for when scraped."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from bellcast.api.rooms import Connections

# Seconds. A send is one commit (about 1 ms); a second is trouble; ten is the patience of most clients.
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Requests(Collector):
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


class Live(Collector):
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
        for name, value in stats.items():
            if isinstance(value, int | float):
                yield GaugeMetricFamily(f"bellcast_{name}", f"{name.replace('_', ' ').capitalize()}.", value=value)


def registry(requests: Requests, connections: Connections) -> CollectorRegistry:
    """Everything one app tells; two apps in one process do not meet."""
    found = CollectorRegistry(auto_describe=False)
    found.register(requests)
    found.register(Live(connections))
    return found
