"""Dependencies shared by the application services."""

from collections.abc import Callable

from msgspec import Struct, field

from bellcast.console.types.live_feed import NO_FEED, Feed
from bellcast.inbox.types.sending import InboxOnly, NoScheduler, Quotas, Rates, Router, SendScheduler, Unlimited
from bellcast.kernel.brokers.history import NO_HISTORY, TopicHistory
from bellcast.kernel.brokers.port import Publisher
from bellcast.kernel.clock import Clock
from bellcast.kernel.contention import Scheduler
from bellcast.kernel.db.engine import Engine
from bellcast.kernel.events import Stream
from bellcast.kernel.token_bucket import TokenBuckets
from bellcast.topics.types import EventReactions, NoReactions
from bellcast.webhooks.types import NoWebhooks, WebhookSink


class Context(Struct, frozen=True):
    """Dependencies shared by the application services."""

    db: Engine
    broker: Publisher
    clock: Clock
    new_id: Callable[[int], str]
    newcomers_ms: Callable[[], int] = lambda: 0  # the age of the oldest announcement that a new recipient receives
    history: TopicHistory = NO_HISTORY
    quotas: Quotas = Unlimited()
    rates: Rates = field(default_factory=TokenBuckets)
    router: Router = InboxOnly()
    webhooks: WebhookSink = NoWebhooks()
    scheduler: SendScheduler = NoScheduler()
    reactions: EventReactions = NoReactions()
    feed: Feed = NO_FEED
    pace: Scheduler = field(default_factory=Scheduler)
    followers: Callable[[Stream], int] = lambda stream: 0  # the number of connections of this process on a stream
