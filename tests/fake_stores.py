"""Fake stores in place of those that rules construct from their engine: `db(stores)` is an engine whose `Devices(db)` is
`stores.devices`."""

from typing import Any

from bellcast.kernel.db.engine import StoreTable

NAMES = {
    "Devices": "devices",
    "Documents": "documents",
    "Inboxes": "inboxes",
    "JoinedTopics": "joined_topics",
    "LastEvents": "topics",
    "Messages": "messages",
    "Recipients": "recipients",
    "Sends": "sends",
    "StoredSubscriptions": "subscriptions",
    "Tenants": "tenants",
}


class FakeEngine:
    def __init__(self, stores: Any) -> None:
        self.replaced: dict[type[StoreTable], Any] = {}
        self.stores = stores

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stores, name)


def db(stores: Any) -> Any:
    """Return an engine of which stores are constructed as the attributes of `stores`."""
    return FakeEngine(stores)


def _store(cls: type[StoreTable], engine: Any, *_: Any) -> Any:
    if cls in getattr(engine, "replaced", ()):
        return engine.replaced[cls]
    if isinstance(engine, FakeEngine):
        return getattr(engine.stores, NAMES[cls.__name__])
    return object.__new__(cls)


StoreTable.__new__ = _store  # type: ignore[method-assign,assignment]  # a fake is no StoreTable: its __init__ is not called
