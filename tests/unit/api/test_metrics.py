"""Metrics in Prometheus' text format."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bellcast.api import metrics


class FakeLive:
    """Statistics of a live edge with two kinds of connections."""

    async def page(self, tenant, after, limit):
        return []

    def presence(self, tenant, topic):
        return []

    def stats(self):
        kinds = [("native", "sse", 3), ("pusher", "websocket", 4)]
        rows = [{"protocol": one, "transport": two, "count": count} for one, two, count in kinds]
        encoded = [{"protocol": "pusher", "transport": "websocket", "count": 5}]
        return {"connections": rows, "encoded": encoded, "dispatched": 17, "words": "are no number"}


@pytest.fixture
def requests():
    return metrics.RequestMetrics()


ENDED = {("email", "sent"): 4}
JOBS = {("message", "ready"): 3, ("run", "dead"): 1}


def exporter(requests, outbox=dict):
    return metrics.MetricsExporter(requests, FakeLive(), outbox, lambda: ENDED)


def samples(requests, workers=None, **outbox):
    text = exporter(requests, lambda: outbox).text(workers, JOBS).decode()
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
    buckets = [values["bellcast_request_seconds_bucket", bound] for bound in ("0.001", "0.0025", "10.0", "+Inf")]
    assert buckets == [2, 3, 3, 4]
    assert values["bellcast_request_seconds_count",] == 4
    assert values["bellcast_request_seconds_sum",] == pytest.approx(99.0035)


def test_connections_are_labelled_by_protocol_and_transport(requests):
    values = samples(requests)
    assert values["bellcast_connections", "native", "sse"] == 3
    assert values["bellcast_connections", "pusher", "websocket"] == 4
    assert values["bellcast_encoded_total", "pusher", "websocket"] == 5
    assert values["bellcast_dispatched",] == 17
    assert all(name[0].startswith("bellcast_") for name in values)


def test_two_apps_in_one_process_have_separate_metrics(requests):
    requests.count("GET", "/", 200, 0.1)
    assert ("bellcast_requests_total", "/", "200", "GET") not in samples(metrics.RequestMetrics())


def test_worker_metrics_are_labelled_and_shared_metrics_exported_once(requests):
    another = metrics.RequestMetrics()
    requests.count("GET", "/v1/inbox", 200, 0.002)
    another.count("GET", "/v1/inbox", 200, 0.002)
    another.count("GET", "/v1/inbox", 200, 9)
    values = samples(requests, {"7": exporter(requests).own(), "8": exporter(another).own()}, outbox_waiting=4)
    assert values["bellcast_requests_total", "/v1/inbox", "200", "7", "GET"] == 1
    assert values["bellcast_requests_total", "/v1/inbox", "200", "8", "GET"] == 2
    assert values["bellcast_request_seconds_bucket", "10.0", "8"] == 2
    assert values["bellcast_connections", "8", "native", "sse"] == 3
    assert (values["bellcast_dispatched",], values["bellcast_outbox_waiting",], values["bellcast_workers",]) == (
        17,
        4,
        2,
    )


def test_metrics_of_a_worker_killed_during_export_are_omitted(requests):
    requests.count("GET", "/", 200, 0.1)
    values = samples(requests, {"7": exporter(requests).own(), "8": b'[["bellcast_req'})
    assert [name for name in values if name[0] == "bellcast_requests_total"] == [
        ("bellcast_requests_total", "/", "200", "7", "GET")
    ]


def test_jobs_and_ended_messages_are_counted_by_kind_channel_and_state(requests):
    values = samples(requests)
    assert values["bellcast_messages_total", "email", "sent"] == 4
    assert values["bellcast_jobs", "message", "ready"] == 3
    assert values["bellcast_jobs", "dead", "run"] == 1
