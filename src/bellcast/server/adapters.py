"""Create the configured store and broker. Drivers of the large engines are imported only when configured."""

import functools
import importlib.util
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

from bellcast.engines import Engines
from bellcast.kernel.brokers import Broker, MemoryBroker, Publisher, history
from bellcast.kernel.brokers.history import NO_HISTORY, HistoryRule, MemoryHistory, TopicHistory
from bellcast.kernel.clock import Clock
from bellcast.kernel.db.engine import Engine
from bellcast.kernel.db.sqlite import SqliteEngine
from bellcast.kernel.errors import SettingsError
from bellcast.kernel.events import Stream
from bellcast.kernel.identities import Project
from bellcast.kernel.limits import Limits
from bellcast.live.types import AnyEvent, FeedBatch
from bellcast.settings.parsers import NATS, POSTGRES, REDIS
from bellcast.settings.table import ServerSettings, StoreSettings

if TYPE_CHECKING:  # PostgreSQL's driver is an extra
    from bellcast.inbox.store.external_writes import ExternalWrites
    from bellcast.kernel.brokers import TopicLog
    from bellcast.kernel.brokers.remote import PubSubTransport
    from bellcast.outbox.consumer import OutboxConsumer
    from bellcast.server.tracing import Tracing
    from bellcast.workflows.triggers import TriggerWorkflow


def store(config: StoreSettings, clock: Clock, tracing: "Tracing | None" = None) -> Engine:
    """Create the engine of the store, with spans for its transactions if traces are turned on."""
    if config.url is None or config.is_file:
        database: Engine = SqliteEngine(config.path, clock)
    else:
        need_postgres()
        from bellcast.kernel.db.postgres import PostgresEngine

        database = PostgresEngine(config.url, clock, config.connections)
    if tracing is not None:
        database.span = tracing.write_span
    return database


def tracing(server: ServerSettings) -> "Tracing | None":
    """Create the tracer, if traces are turned on."""
    if not server.tracing:
        return None
    need("BELLCAST_TRACING", "opentelemetry.exporter.otlp.proto.http", "otel", "OpenTelemetry")
    from bellcast.server.tracing import Tracing

    return Tracing()


def traced(publisher: Publisher, history: TopicHistory, tracing: "Tracing | None") -> tuple[Publisher, TopicHistory]:
    """Return the publisher and the history, with spans for published events if traces are turned on."""
    if tracing is None:
        return publisher, history
    from bellcast.server.tracing import TracedHistory, TracedPublisher

    return TracedPublisher(publisher, tracing), TracedHistory(history, tracing)


def broker(config: StoreSettings, project: Project, clock: Clock) -> Broker:
    """Create the configured broker."""
    found = transport(config.broker, project)
    if found is None:
        return MemoryBroker()
    from bellcast.kernel.brokers.remote import RemoteBroker

    return RemoteBroker(found, clock, AnyEvent, (FeedBatch,))


def transport(url: str, project: Project) -> "PubSubTransport | None":
    """Create the transport of a broker on Redis, NATS or PostgreSQL."""
    if url.startswith(NATS):
        from bellcast.kernel.brokers.nats import NatsTransport

        return NatsTransport(url, project.id)
    if url.startswith(REDIS):
        need("BELLCAST_BROKER", "redis", "redis")
        from bellcast.kernel.brokers.redis import RedisTransport

        return RedisTransport(url, project.id)
    if url.startswith(POSTGRES):
        need_postgres("BELLCAST_BROKER")
        from bellcast.kernel.brokers.postgres import PostgresTransport

        return PostgresTransport(url, project.id)
    return None


def topic_history(
    config: StoreSettings, project: Project, broker: Broker, clock: Clock, limits: Limits
) -> TopicHistory:
    """Create the history of live events on the broker's engine. If there is none at the start, settings in the database
    cannot turn it on, because options or the environment have turned it off."""
    parse = functools.lru_cache(maxsize=1)(history.parse_rules)

    def rules() -> Sequence[HistoryRule]:
        """Return the current rules, which operators can change while the server runs."""
        return parse(config.topic_history) if limits.history else ()

    if not any(rule.duration_ms for rule in rules()):
        return NO_HISTORY
    if isinstance(broker, MemoryBroker):
        return MemoryHistory(clock, rules, lambda: limits.history)
    from bellcast.kernel.brokers.remote import RemoteBroker
    from bellcast.kernel.brokers.remote_history import RemoteHistory

    if not isinstance(broker, RemoteBroker):
        return NO_HISTORY
    transport: Any = broker.transport
    log: TopicLog
    if config.broker.startswith(NATS):
        from bellcast.kernel.brokers.nats_log import NatsLog

        log = NatsLog(transport, lambda: limits.history, history.KeepRules(rules))
    elif config.broker.startswith(REDIS):
        from bellcast.kernel.brokers.redis import RedisLog

        log = RedisLog(transport, lambda: limits.history)
    else:
        from bellcast.kernel.brokers.postgres import PostgresLog

        log = PostgresLog(transport, project.id, lambda: limits.history)
    return RemoteHistory(log, broker, clock, rules)


def external_writes(
    config: StoreSettings, clock: Clock, on_gap: Callable[[Collection[Stream]], None]
) -> "ExternalWrites | None":
    """Return the watch of a store that other programs can write to."""
    if config.url is None or config.is_file:
        return None
    from bellcast.inbox.store.external_writes import ExternalWrites

    return ExternalWrites(config.url, clock, on_gap)


def outbox(
    config: StoreSettings, engines: Engines, limits: Limits, trigger: "TriggerWorkflow"
) -> "OutboxConsumer | None":
    """Return the outbox consumer if the app has its own PostgreSQL or shares the store's."""
    if config.outbox_url is None:
        return None
    need_postgres("BELLCAST_DATABASE_URL")
    from bellcast.outbox.consumer import OutboxConsumer

    return OutboxConsumer(config.outbox_url, engines, limits, trigger)


def need_postgres(setting: str = "BELLCAST_STORE") -> None:
    """Raise SettingsError unless PostgreSQL's driver is installed."""
    need(setting, "asyncpg", "outbox" if setting == "BELLCAST_DATABASE_URL" else "postgres")


def need(setting: str, module: str, extra: str, name: str = "the driver") -> None:
    """Raise SettingsError, with the command that installs the extra, unless its module is installed."""
    try:
        is_installed = importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # the missing module is a parent package
        is_installed = False
    if not is_installed:
        raise SettingsError(f"{setting}: {name} is not installed: run pip install 'bellcast[{extra}]'.")
