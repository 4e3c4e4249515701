"""OpenTelemetry traces: spans for requests, writes to the store, published events, and their delivery to connections.

An app that mounts Bellcast and has a tracer provider receives the spans; otherwise they are sent by OTLP over HTTP. The SDK
reads the variables of its specification: OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_SERVICE_NAME, OTEL_TRACES_SAMPLER and so on."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from msgspec.structs import replace
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import ProxyTracerProvider, Span, SpanKind, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

import bellcast
from bellcast.inbox.types.inboxes import NotificationAdded
from bellcast.kernel.brokers import Publisher
from bellcast.kernel.brokers.history import TopicHistory
from bellcast.kernel.db.script import WriteCommand
from bellcast.kernel.events import Event, LiveEvent, Stream
from bellcast.kernel.http import AsgiMessage, Receive, Scope, Send
from bellcast.live_feed import STATE

E = TypeVar("E", bound=Event)

TRACEPARENT = b"traceparent"  # W3C Trace Context, 3.2
SERVER_ERROR = 500

_propagator = TraceContextTextMapPropagator()
# Set when a span begins, because a sampler may depend on them.
Attributes = dict[str, str | int]


class Tracing:
    """The tracer of a process. Spans contain tenants and ids, but no recipients and no content."""

    def __init__(self) -> None:
        provider = trace.get_tracer_provider()
        self._own: TracerProvider | None = None
        if isinstance(provider, ProxyTracerProvider):  # the app has none
            resource = Resource.create()
            if str(resource.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):
                resource = resource.merge(Resource({SERVICE_NAME: "bellcast"}))
            provider = self._own = TracerProvider(resource=resource, shutdown_on_exit=False)
            self._own.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self.tracer = provider.get_tracer("bellcast", bellcast.__version__)

    async def close(self) -> None:
        """Export the last spans."""
        if self._own is not None:
            await asyncio.to_thread(self._own.shutdown)  # waits for the collector

    async def serve(
        self, app: Callable[[Scope, Receive, Send], Awaitable[None]], scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Serve a request in a span. Its parent is the caller's span, if the request has one."""
        method = scope.get("method", "GET")
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"] if name == TRACEPARENT
        }
        parent = _propagator.extract(headers)
        attributes: Attributes = {"http.request.method": method}
        state: dict[str, Any] = scope.get(STATE, {})
        with _current_span(self.tracer, method, context=parent, kind=SpanKind.SERVER, attributes=attributes) as span:

            async def read_status(message: AsgiMessage) -> None:
                if message["type"] == "http.response.start":
                    status = message["status"]
                    span.set_attribute("http.response.status_code", status)
                    if status >= SERVER_ERROR:
                        span.set_status(StatusCode.ERROR)
                await send(message)

            try:
                await app(scope, receive, read_status)
            finally:
                route, tenant, request_id = state.get("route"), state.get("tenant"), state.get("request_id")
                if route:
                    span.update_name(f"{method} {route}")
                    span.set_attribute("http.route", route)
                if tenant:
                    span.set_attribute("bellcast.tenant", tenant)
                if request_id:
                    span.set_attribute("bellcast.request_id", request_id)

    @contextmanager
    def write_span(self, command: WriteCommand[Any]) -> Iterator[None]:
        """Run the block, from the queue to the commit of a write, in a span. It is not the current one: the caller runs between
        the pages of its results."""
        attributes: Attributes = {"bellcast.command": type(command).__name__}
        if command.items:
            attributes["bellcast.items"] = len(command.items)
        span = self.tracer.start_span("write", attributes=attributes)
        try:
            yield
        except Exception as error:
            _set_error(span, error)
            raise
        finally:
            span.end()

    def deliver(self, event: Event, dispatch: Callable[[Event], None], connections: Callable[[Stream], int]) -> None:
        """Dispatch an event, in a span if it belongs to a trace."""
        if not isinstance(event, NotificationAdded | LiveEvent) or event.trace is None:
            dispatch(event)
            return
        parent = _propagator.extract({TRACEPARENT.decode(): event.trace})
        attributes: Attributes = {"bellcast.connections": connections(event.stream)}
        if isinstance(event, NotificationAdded):
            tenant, attributes["bellcast.notification"] = event.inbox.tenant, event.notification.id
        else:
            tenant, attributes["bellcast.event"] = event.tenant, event.name
        if tenant:
            attributes["bellcast.tenant"] = tenant
        with _current_span(self.tracer, "deliver", context=parent, kind=SpanKind.CONSUMER, attributes=attributes):
            dispatch(event)


@contextmanager
def _current_span(tracer: Tracer, name: str, **options: Any) -> Iterator[Span]:
    """Run the block in a span. Of an error, only the type is added, because its message and stack trace can name
    recipients."""
    with tracer.start_as_current_span(name, record_exception=False, set_status_on_exception=False, **options) as span:
        try:
            yield span
        except Exception as error:
            _set_error(span, error)
            raise


def _set_error(span: Span, error: Exception) -> None:
    span.set_attribute("error.type", type(error).__name__)
    span.set_status(StatusCode.ERROR)


class TracedPublisher:
    """A publisher that adds the publishing span to events."""

    def __init__(self, publisher: Publisher, tracing: Tracing) -> None:
        self._publisher = publisher
        self._tracer = tracing.tracer
        self.ping = publisher.ping

    async def publish(self, *events: Event) -> None:
        attributes: Attributes = {"bellcast.events": len(events)}
        with _current_span(self._tracer, "publish", kind=SpanKind.PRODUCER, attributes=attributes) as span:
            await self._publisher.publish(*(map(_traced, events) if span.is_recording() else events))


def _traced(event: E) -> E:
    """Return the event with the current span as the parent of its delivery, unless it already has one."""
    if not isinstance(event, NotificationAdded | LiveEvent) or event.trace is not None:
        return event
    carrier: dict[str, str] = {}
    _propagator.inject(carrier)
    return replace(event, trace=carrier.get(TRACEPARENT.decode()))


class TracedHistory:
    """A history that adds the appending span to events."""

    def __init__(self, history: TopicHistory, tracing: Tracing) -> None:
        self._history = history
        self._tracer = tracing.tracer
        self.end, self.missed, self.newest, self.confirm = history.end, history.missed, history.newest, history.confirm
        self.page, self.clear, self.listen, self.run = history.page, history.clear, history.listen, history.run
        self.count_logs = history.count_logs

    async def append(self, *events: LiveEvent) -> tuple[LiveEvent, ...]:
        attributes: Attributes = {"bellcast.events": len(events)}
        with _current_span(self._tracer, "append", kind=SpanKind.PRODUCER, attributes=attributes) as span:
            return await self._history.append(*(map(_traced, events) if span.is_recording() else events))
