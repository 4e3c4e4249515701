"""Create the configured store and broker. Drivers of the large engines are imported only when configured."""

import importlib.util
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from bellcast.brokers.memory import MemoryBroker
from bellcast.errors import SettingsError
from bellcast.model.events import Stream
from bellcast.model.identities import Project
from bellcast.model.limits import Limits
from bellcast.ports import Broker, Clock, Context, Store
from bellcast.settings.groups import POSTGRES, REDIS
from bellcast.settings.groups import StoreSettings as Kept
from bellcast.storage.engine import Engine
from bellcast.storage.sqlite import SqliteEngine
from bellcast.storage.store import SQLStore

if TYPE_CHECKING:  # PostgreSQL's driver is an extra
    from bellcast.outbox.consumer import OutboxConsumer
    from bellcast.storage.external_writes import ExternalWrites


def store(kept: Kept, clock: Clock) -> Store:
    """The store."""
    return SQLStore(engine(kept, clock))


def engine(kept: Kept, clock: Clock) -> Engine:
    """The database of a store."""
    if kept.url is None or not kept.url.startswith(POSTGRES):
        return SqliteEngine(kept.path, clock)
    need_postgres()
    from bellcast.storage.postgres import PostgresEngine

    return PostgresEngine(kept.url, clock)


def broker(kept: Kept, project: Project, clock: Clock) -> Broker:
    """The broker: the one that is set, else what a store shared by several processes can do by itself."""
    url = kept.broker
    if url.startswith(REDIS):
        need_redis()
        from bellcast.brokers.redis import RedisTransport
        from bellcast.brokers.remote import RemoteBroker

        return RemoteBroker(RedisTransport(url, project.id), clock)
    if url.startswith(POSTGRES):
        _need("BELLCAST_BROKER", "asyncpg", "postgres")
        from bellcast.brokers.postgres import PostgresTransport
        from bellcast.brokers.remote import RemoteBroker

        return RemoteBroker(PostgresTransport(url, project.id), clock)
    return MemoryBroker()


def external_writes(kept: Kept, clock: Clock, unsure: Callable[[Collection[Stream]], None]) -> "ExternalWrites | None":
    """Return the watch of a store that other programs can write to."""
    if kept.url is None or not kept.url.startswith(POSTGRES):
        return None
    from bellcast.storage.external_writes import ExternalWrites

    return ExternalWrites(kept.url, clock, unsure)


def outbox(kept: Kept, engines: Context, limits: Limits) -> "OutboxConsumer | None":
    """Return the outbox consumer if the app has its own PostgreSQL or shares the store's."""
    if kept.outbox_url is None:
        return None
    need_postgres("BELLCAST_DATABASE_URL")
    from bellcast.outbox.consumer import OutboxConsumer
    from bellcast.outbox.delivery import Delivery

    return OutboxConsumer(kept.outbox_url, Delivery(engines, limits), engines.clock)


def need_postgres(setting: str = "BELLCAST_STORE") -> None:
    """SettingsError unless PostgreSQL can be used."""
    _need(setting, "asyncpg", "outbox" if setting == "BELLCAST_DATABASE_URL" else "postgres")


def need_redis() -> None:
    """SettingsError unless Redis can be used."""
    _need("BELLCAST_BROKER", "redis", "redis")


def _need(setting: str, module: str, extra: str) -> None:
    if importlib.util.find_spec(module) is None:
        raise SettingsError(f"{setting}: its driver is not installed: pip install 'bellcast[{extra}]'.")
