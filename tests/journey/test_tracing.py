"""OpenTelemetry traces: two servers on one Redis export their spans to a collector."""

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from bellcast.kernel.db.script import ScriptCommand, Statement, fetch
from bellcast.kernel.db.sqlite import SqliteEngine
from bellcast.kernel.errors import Conflict
from bellcast.server.tracing import Tracing
from tests import engines
from tests.clock import FakeClock
from tests.servers import ServerProcess
from tests.wire.clients import websocket

SENT, PUBLISHED = "0af7651916cd43dd8448eb211c80319c", "1bf7651916cd43dd8448eb211c80319d"
CALLER = "b7ad6b7169203331"
# By trace, service and name.
Spans = dict[tuple[str, str, str], dict[str, Any]]


class Collector(http.server.ThreadingHTTPServer):
    """Receives spans by OTLP over HTTP."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), CollectorHandler)
        self.spans: list[dict[str, Any]] = []

    def by_name(self) -> Spans:
        return {(one["trace"], one["service"], one["name"]): one for one in self.spans}


class CollectorHandler(http.server.BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        for spans in ExportTraceServiceRequest.FromString(body).resource_spans:
            service = _attributes(spans.resource)["service.name"]
            self.server.spans += [
                {
                    "service": service,
                    "name": span.name,
                    "trace": span.trace_id.hex(),
                    "id": span.span_id.hex(),
                    "parent": span.parent_span_id.hex(),
                    "attributes": _attributes(span),
                }
                for scope in spans.scope_spans
                for span in scope.spans
            ]
        self.send_response(200)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def _attributes(described: Any) -> dict[str, Any]:
    return {one.key: one.value.string_value or one.value.int_value for one in described.attributes}


@contextmanager
def collector() -> Iterator[Collector]:
    server = Collector()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def traced(folder: Path, name: str, target: Collector) -> ServerProcess:
    environ = {
        "BELLCAST_TRACING": "on",
        "BELLCAST_BROKER": engines.redis().url,
        "BELLCAST_PUBLIC_TOPICS": "news",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{target.server_port}",
        "OTEL_SERVICE_NAME": name,
    }
    return ServerProcess(folder / name, environ)


def post(server: ServerProcess, path: str, body: dict[str, Any], trace: str) -> int:
    headers = server.as_app() | {"traceparent": f"00-{trace}-{CALLER}-01"}
    return httpx.post(server.url + path, json=body, headers=headers).status_code


@pytest.fixture(scope="module")
def spans(tmp_path_factory: pytest.TempPathFactory) -> Spans:
    """The spans of one trace: a send to a connection of the same server, and an event to one of another server."""
    folder = tmp_path_factory.mktemp("tracing")
    with collector() as target:
        with traced(folder, "first", target) as first, traced(folder, "second", target) as second:
            with websocket(first, "alice") as alice, websocket(second, "bob", topics="news") as bob:
                alice.until("ready")
                bob.until("ready")
                send = {"to": "alice", "title": "Private", "type": "booking"}
                assert post(first, "/v1/notifications", send, SENT) == 201
                alice.until("notification")
                event = {"topic": "news", "name": "edition", "data": {"secret": "Private"}}
                assert post(first, "/v1/events", event, PUBLISHED) == 202
                bob.until("event")
            assert first.stop() == second.stop() == 0
        return target.by_name()


@pytest.mark.thorough
def test_request_continues_the_trace_of_its_caller(spans: Spans) -> None:
    request = spans[SENT, "first", "POST /v1/notifications"]
    assert request["parent"] == CALLER
    assert request["attributes"]["http.response.status_code"] == 201
    assert request["attributes"]["http.route"] == "/v1/notifications"
    assert request["attributes"]["bellcast.request_id"]


def test_write_and_publish_are_parts_of_the_request(spans: Spans) -> None:
    request = spans[SENT, "first", "POST /v1/notifications"]
    assert spans[SENT, "first", "write"]["parent"] == request["id"]
    assert spans[SENT, "first", "publish"]["parent"] == request["id"]


def test_delivery_is_a_part_of_the_publish(spans: Spans) -> None:
    assert spans[SENT, "first", "deliver"]["parent"] == spans[SENT, "first", "publish"]["id"]


def test_delivery_on_another_server_is_a_part_of_the_append(spans: Spans) -> None:
    delivery = spans[PUBLISHED, "second", "deliver"]
    assert delivery["parent"] == spans[PUBLISHED, "first", "append"]["id"]
    assert delivery["attributes"] == {"bellcast.connections": 1, "bellcast.event": "edition"}


def test_spans_contain_no_recipient_and_no_content(spans: Spans) -> None:
    assert spans
    assert not any(word in str(list(spans.values())) for word in ("alice", "bob", "Private", "booking"))


async def test_span_of_a_failed_write_has_the_type_of_the_error_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(_engine: SqliteEngine) -> None:
        raise Conflict("alice@example.com is known")

    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    engine = SqliteEngine(tmp_path / "bellcast.db", FakeClock())
    engine.span = Tracing().write_span
    monkeypatch.setattr(SqliteEngine, "_enqueue", property(fail))
    with pytest.raises(Conflict):
        await engine.write(ScriptCommand(lambda: fetch(Statement("probe")), None))
    with pytest.raises(Conflict):
        await engine.ping()  # without a span
    (span,) = exporter.get_finished_spans()
    assert span.attributes == {"bellcast.command": "ScriptCommand", "error.type": "Conflict"}
    assert (span.status.status_code, span.status.description, span.events) == (trace.StatusCode.ERROR, None, ())
