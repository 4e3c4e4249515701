"""What the rooms are given to work with."""

from collections.abc import Callable

from msgspec import Struct, field

from bellcast.model.buckets import Buckets
from bellcast.pacing import Pace
from bellcast.ports.broker import Broker
from bellcast.ports.clock import Clock
from bellcast.ports.quotas import Boundless, Quotas, Rates
from bellcast.ports.store import Store


class Engines(Struct, frozen=True):
    """What the rooms are given to work with."""

    store: Store
    broker: Broker
    clock: Clock
    new_id: Callable[[int], str]
    quotas: Quotas = Boundless()
    rates: Rates = field(default_factory=Buckets)
    pace: Pace = field(default_factory=Pace)
