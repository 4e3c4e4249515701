"""Metrics in Prometheus' text format."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bellcast import build
from bellcast.server import metrics
from bellcast.server.metric_families import MetricsExporter


class FakeLive:
    """Statistics of a live edge with two kinds of connections."""

    async def page(self, tenant, after, limit):
        return []

    def presence(self, tenant, topic):
        return []

    def stats(self):
        connections = {("native", "sse"): 3, ("pusher", "websocket"): 4}
        return {"connections": connections, "encoded": {("pusher", "websocket"): 5}, "dispatched": 17}


@pytest.fixture
def requests():
    return metrics.RequestMetrics()


COUNTS = {
    "accepted": {"notification": 9},
    "messages": {("email", "sent"): 4},
    "attempts": {("email", "env-email-1", "temporary"): 2},
}
NUMBERS = {"store_up": True, "queue_age_seconds": 1.5}
JOBS = {("message", "ready"): 3, ("run", "dead"): 1}


def exporter(requests):
    return MetricsExporter(requests, FakeLive(), lambda: COUNTS)


def samples(requests, workers=None, **numbers):
    text = exporter(requests).text(workers, JOBS, {**NUMBERS, **numbers}).decode()
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_requests_are_counted_by_method_route_and_status(requests):
    for _ in range(3):
        requests.count("GET", "/v1/inbox", 200, 0.002)
    requests.count("GET", "/v1/inbox", 304, 0.002)
    values = samples(requests)
    assert values["bellcast_requests_total", "/v1/inbox", "200", "GET"] == 3
    assert values["bellcast_requests_total", "/v1/inbox", "304", "GET"] == 1


def test_request_times_are_a_cumulative_histogram(requests):
    for seconds in (0.0005, 0.001, 0.002, 99):
        requests.count("GET", "/", 200, seconds)
    values = samples(requests)
    bounds = ("0.001", "0.0025", "10.0", "+Inf")
    buckets = [values["bellcast_request_seconds_bucket", *sorted((bound, "/", "GET"))] for bound in bounds]
    assert buckets == [2, 3, 3, 4]
    assert values["bellcast_request_seconds_count", "/", "GET"] == 4
    assert values["bellcast_request_seconds_sum", "/", "GET"] == pytest.approx(99.0035)


def test_request_times_are_separate_by_route_and_complete_in_the_totals(requests):
    requests.count("GET", "/v1/feed", 200, 9)
    requests.count("POST", "/v1/notifications", 201, 0.002)
    requests.count("POST", "/v1/notifications", 503, 0.002)
    values = samples(requests)
    assert values["bellcast_request_seconds_bucket", "/v1/notifications", "0.0025", "POST"] == 2
    assert values["bellcast_request_seconds_bucket", "/v1/feed", "0.0025", "GET"] == 0
    count, refusals, failures, durations = requests.totals()
    assert (count, refusals, failures, sum(durations)) == (3, 0, 1, 3)


def test_methods_that_clients_invent_share_one_label(requests):
    for number in range(50):
        requests.count(f"X{number}", "", 405, 0.002)
    names = [name for name in samples(requests) if name[0] == "bellcast_requests_total"]
    assert names == [("bellcast_requests_total", "", "405", "other")]


def test_connections_are_labelled_by_protocol_and_transport(requests):
    values = samples(requests)
    assert values["bellcast_connections", "native", "sse"] == 3
    assert values["bellcast_connections", "pusher", "websocket"] == 4
    assert values["bellcast_encoded_total", "pusher", "websocket"] == 5
    assert values["bellcast_dispatched",] == 17
    assert all(name[0].startswith(("bellcast_", "process_")) for name in values)


def test_two_apps_in_one_process_have_separate_metrics(requests):
    requests.count("GET", "/", 200, 0.1)
    assert ("bellcast_requests_total", "/", "200", "GET") not in samples(metrics.RequestMetrics())


def test_worker_metrics_are_labelled_and_shared_metrics_exported_once(requests):
    another = metrics.RequestMetrics()
    requests.count("GET", "/v1/inbox", 200, 0.002)
    another.count("GET", "/v1/inbox", 200, 0.002)
    another.count("GET", "/v1/inbox", 200, 9)
    values = samples(requests, {"7": exporter(requests).report(), "8": exporter(another).report()}, outbox_waiting=4)
    assert values["bellcast_requests_total", "/v1/inbox", "200", "7", "GET"] == 1
    assert values["bellcast_requests_total", "/v1/inbox", "200", "8", "GET"] == 2
    assert values["bellcast_request_seconds_bucket", "/v1/inbox", "10.0", "8", "GET"] == 2
    assert values["bellcast_connections", "8", "native", "sse"] == 3
    assert (values["bellcast_dispatched",], values["bellcast_outbox_waiting",], values["bellcast_workers",]) == (
        17,
        4,
        2,
    )


def test_metrics_of_a_worker_killed_during_export_are_omitted(requests):
    requests.count("GET", "/", 200, 0.1)
    values = samples(requests, {"7": exporter(requests).report(), "8": b'[["bellcast_req'})
    assert [name for name in values if name[0] == "bellcast_requests_total"] == [
        ("bellcast_requests_total", "/", "200", "7", "GET")
    ]


def test_each_worker_reports_its_process_and_version(requests):
    values = samples(requests, {"7": exporter(requests).report(), "8": exporter(requests).report()})
    for worker in ("7", "8"):
        assert values["bellcast_build_info", "", build.version(), worker] == 1
        assert values["bellcast_accepted_total", worker, "notification"] == 9
        for name in ("cpu_seconds_total", "resident_memory_bytes", "open_fds", "max_fds"):
            assert values[f"process_{name}", worker] > 0
    assert (values["bellcast_store_up",], values["bellcast_queue_age_seconds",]) == (1, 1.5)


def test_jobs_and_ended_messages_are_counted_by_kind_channel_and_state(requests):
    values = samples(requests)
    assert values["bellcast_messages_total", "email", "sent"] == 4
    assert values["bellcast_attempts_total", "email", "env-email-1", "temporary"] == 2
    assert values["bellcast_jobs", "message", "ready"] == 3
    assert values["bellcast_jobs", "dead", "run"] == 1
