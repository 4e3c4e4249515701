"""The engines of rules: store, broker and clock, and the services of rooms above that a rule may call."""

from collections.abc import Callable

from msgspec import Struct

from bellcast.inbox.types.sends import Quotas, Router, SendScheduler
from bellcast.kernel.brokers import Publisher
from bellcast.kernel.brokers.history import TopicHistory
from bellcast.kernel.clock import Clock
from bellcast.kernel.concurrency import Scheduler
from bellcast.kernel.db.engine import Engine
from bellcast.kernel.events import Stream
from bellcast.kernel.token_bucket import TokenBuckets
from bellcast.live_feed import Feed
from bellcast.topics.types import EventReactions
from bellcast.webhooks.types import WebhookSink


class Engines(Struct, frozen=True, kw_only=True):
    """The store, the broker, the clock and what else all rules share."""

    db: Engine
    broker: Publisher
    clock: Clock
    new_id: Callable[[int], str]
    newcomers_ms: Callable[[], int]  # the age of the oldest announcement that a new recipient receives
    history: TopicHistory
    quotas: Quotas
    rates: TokenBuckets
    router: Router
    webhooks: WebhookSink
    scheduler: SendScheduler
    reactions: EventReactions
    feed: Feed
    pace: Scheduler
    followers: Callable[[Stream], int]  # the number of connections of this process on a stream
