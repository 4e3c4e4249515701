"""What the inside needs of the outside. Adapters in storage, brokers and outbound keep these contracts;
one contract suite per port runs on every adapter."""

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol

from msgspec import Struct, field

from bellcast.model.buckets import Buckets
from bellcast.model.events import Event, InboxEvent, Stream
from bellcast.model.inboxes import Inbox, InboxState, Position
from bellcast.model.notifications import Content, Edit, Notification, View
from bellcast.model.people import ApiKey, Recipient, RecipientFields, Subscription, Tenant, TenantRules
from bellcast.pacing import Pace

Action = Literal["seen", "unseen", "read", "unread", "archive", "unarchive", "delete"]


class Clock(Protocol):
    """The time. Tests own a fake one."""

    def now(self) -> int:
        """UTC milliseconds."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait; cancellable."""
        ...


class Query(Struct, frozen=True, kw_only=True):
    """One page of an inbox: newest first, at most `limit`, made before the id `before`."""

    view: View = "all"
    type: str | None = None
    tag: str | None = None
    limit: int = 20
    before: str | None = None


class Listed(Struct, frozen=True):
    """A page and where the inbox stood at that moment."""

    state: InboxState
    notifications: list[Notification]


class Counted(Struct, frozen=True):
    """Unread counts by type and where the inbox stood at that moment."""

    state: InboxState
    by_type: dict[str, int]


class Marking(Struct, frozen=True, kw_only=True):
    """What a recipient does to many at once. `ids` None is all not archived (unarchive: all archived), narrowed by
    `type` and `view`."""

    actions: tuple[Action, ...]
    ids: tuple[str, ...] | None = None
    type: str | None = None
    view: View | None = None


class Marked(Struct, frozen=True):
    """What came of a marking: how many rows changed, the state after it, the event to publish (none if nothing changed)."""

    changed: int
    state: InboxState
    events: tuple[InboxEvent, ...] = ()


class Change(Struct, frozen=True):
    """One row changed since a position. `made` is its first revision; `notification` is None when it is gone."""

    id: str
    made: int
    revision: int
    notification: Notification | None


class Changes(Struct, frozen=True):
    """Rows changed after a revision, oldest change first, each once, with the state they lead to."""

    state: InboxState
    floor: int
    rows: tuple[Change, ...]


class Since(Struct, frozen=True):
    """Where a client was in its inbox, and the most rows worth telling it one by one."""

    position: Position
    limit: int


class Opened(Struct, frozen=True):
    """An inbox after it took in what was announced; `events` tell its other devices. `missed` is what changed since the
    position that was asked about; None when none was, or when that cannot be told."""

    inbox: Inbox
    events: tuple[Event, ...] = ()
    missed: Changes | None = None


class Standing(Struct, frozen=True):
    """Where an inbox stands, for those who look at it now. `behind`: there are announcements it has not looked at."""

    number: int
    epoch: int
    revision: int
    revoked_before: int
    behind: bool


class Right(NamedTuple):
    """A recipient's subscription, by which connections follow a topic."""

    tenant: str
    recipient: str
    topic: str


class Sending(Struct, frozen=True, kw_only=True):
    """One accepted send to named recipients: `ids` beside `recipients`. `answer` is kept under `idempotency_key`
    together with the `fingerprint` of the body, for the next one who brings that key."""

    tenant: str
    recipients: tuple[str, ...]
    ids: tuple[str, ...]
    content: Content
    created_at: int
    idempotency_key: str | None = None
    fingerprint: bytes = b""
    answer: bytes = b""


class Announcing(Struct, frozen=True, kw_only=True):
    """One accepted send to many by one name. `tenant` "*" is every tenant; no `topic` is everyone."""

    id: str
    tenant: str
    topic: str | None
    content: Content
    created_at: int
    asked_tenant: str = ""  # whose idempotency keys
    idempotency_key: str | None = None
    fingerprint: bytes = b""
    answer: bytes = b""


class Sent(Struct, frozen=True):
    """The answer to a send: the one made now, or the first one given under the same key (then no events)."""

    answer: bytes
    events: tuple[Event, ...] = ()


class Found(Struct, frozen=True, kw_only=True):
    """A notification or announcement as the server side sees it. `seq` is set for announcements."""

    notification: Notification
    tenant: str
    recipient: str | None
    announcement: bool = False
    topic: str | None = None
    edited_at: int | None = None


class Inboxes(Protocol):
    """The durable inboxes. Every change adds one to the inbox's revision, stamps the rows it changed and adjusts the
    counters in one transaction; a method returns after the commit, with the events to publish, in order."""

    async def open(
        self,
        tenant: str,
        recipient: str,
        now: int,
        *,
        roles: tuple[str, ...] | None = None,
        name: str | None = None,
        since: Since | None = None,
    ) -> Opened:
        """The inbox, made on first sight, after taking in pending announcements, and what changed in it, all of one
        moment. `roles` and `name` are written when given and different."""
        ...

    async def page(self, inbox: int, query: Query) -> Listed:
        """One page, newest first, and the state of the same moment."""
        ...

    async def unread_by_type(self, inbox: int) -> Counted:
        """Unread counts by type, zeros left out, and the state of the same moment."""
        ...

    async def get(self, inbox: int, id: str) -> Notification | None:
        """One notification of this inbox."""
        ...

    async def mark(self, inbox: int, marking: Marking, now: int) -> Marked:
        """Do the actions to those of the ids that are there; one revision for all of them. Unknown ids are passed over."""
        ...

    async def changes(self, inbox: int, after: int, limit: int) -> Changes:
        """At most `limit` rows changed after the revision `after`."""
        ...

    async def standings(self, inboxes: Sequence[int]) -> list[Standing]:
        """Where each of these inboxes stands; those that are gone are left out."""
        ...


class Sends(Protocol):
    """Sending, correcting and taking back, from the server side."""

    async def add(self, sendings: Sequence[Sending]) -> list[Sent | Exception]:
        """Commit each sending whole or not at all, in order; a refused one (IdempotencyMismatch) harms no other."""
        ...

    async def announce(self, announcing: Announcing) -> Sent:
        """Commit one row, whatever the size of its audience."""
        ...

    async def answered(self, asked: Sending | Announcing) -> bytes | None:
        """The answer already given under the same idempotency key, or IdempotencyMismatch if it was to another body; None
        if none was given."""
        ...

    async def find(self, tenant: str, id: str) -> Found | None:
        """A notification or announcement of that tenant (an announcement to every tenant belongs to the default one)."""
        ...

    async def edit(self, tenant: str, id: str, edit: Edit, now: int) -> tuple[Found, tuple[Event, ...]] | None:
        """Correct it in every inbox that has it; None if there is none."""
        ...

    async def recall(self, tenant: str, id: str, now: int) -> tuple[Event, ...] | None:
        """Take it out of every inbox that has it; None if there is none."""
        ...

    async def take_in(self, tenant: str, recipients: Sequence[str], now: int) -> list[Event]:
        """Take pending announcements into these existing inboxes; the events tell them."""
        ...


class Recipients(Protocol):
    """The people, their tenants and topics. Tenants and recipients come to be on first use."""

    async def get(self, tenant: str, key: str) -> Recipient | None: ...

    async def put(
        self, tenant: str, key: str, fields: RecipientFields, now: int, *, replace: bool
    ) -> tuple[Recipient, bool, tuple[Event, ...]]:
        """Write what is given (`replace` clears the rest). The recipient, whether it is new, and events (a lost role ends a topic)."""
        ...

    async def page(self, tenant: str, after: str | None, limit: int, search: str | None = None) -> list[Recipient]:
        """By key, after the key `after`; `search` is a prefix of the key."""
        ...

    async def delete(self, tenant: str, key: str, now: int) -> tuple[Event, ...] | None:
        """Erase the recipient and everything kept under it; its connections are to close. None if there is none."""
        ...

    async def export(self, tenant: str, key: str) -> AsyncIterator[tuple[str, Any]] | None:
        """Everything kept of one recipient, as (kind, thing) pairs, in bounded reads. None if there is none."""
        ...

    async def revoke(self, tenant: str, key: str, now: int) -> tuple[Event, ...]:
        """Refuse session tokens issued before now."""
        ...

    async def subscribe(self, tenant: str, topic: str, key: str, now: int) -> tuple[Subscription, bool]:
        """Put a recipient on a topic; whether it is new. It hears what is sent from now on."""
        ...

    async def unsubscribe(self, tenant: str, topic: str, key: str, now: int) -> tuple[Event, ...] | None:
        """Take it off; what was announced before stays in its inbox. None if it was not on it."""
        ...

    async def subscriptions(self, tenant: str, topic: str, after: str | None, limit: int) -> list[Subscription]: ...

    async def subscribed(self, tenant: str, key: str, topics: Sequence[str]) -> frozenset[str]:
        """Those of the topics the recipient is subscribed to."""
        ...

    async def standing(self, rights: Sequence[Right]) -> frozenset[Right]:
        """Those of these subscriptions that there still are."""
        ...

    async def tenant(self, key: str) -> Tenant | None: ...

    async def put_tenant(
        self, key: str, name: str | None, settings: dict[str, Any], now: int
    ) -> tuple[Tenant, bool]: ...

    async def tenant_rules(self) -> dict[str, TenantRules]:
        """The rules of those tenants that have some of their own."""
        ...

    async def spend(self, day: int, sends: Mapping[str, int]) -> dict[str, int]:
        """Add to what tenants sent on a day (days since 1970, UTC); the sums of those tenants."""
        ...

    async def export_tenant(self, key: str) -> AsyncIterator[tuple[str, Any]] | None:
        """Everything kept of one tenant, as (kind, thing) pairs, in bounded reads; a recipient stands before what is its
        own. None if there is none."""
        ...

    async def erase_tenant(self, key: str, now: int, limit: int) -> tuple[int, list[Event]]:
        """One step of erasing a tenant and everything kept under it: at most `limit` recipients; how many, and events
        that close their connections. With the last step, of none, the tenant itself is gone."""
        ...


class Keys(Protocol):
    """API keys: only digests of their secrets are kept."""

    async def create(self, key: ApiKey, digest: bytes) -> None: ...

    async def find(self, id: str) -> tuple[ApiKey, bytes] | None:
        """The key and its digest, revoked ones too."""
        ...

    async def all(self) -> list[ApiKey]: ...

    async def revoke(self, id: str, now: int) -> bool:
        """Whether there was one to revoke."""
        ...


class Kept(Struct, frozen=True):
    """The last event of a topic: its name, its data as text, and when it was told."""

    name: str
    data: str
    at: int


class Topics(Protocol):
    """What is kept of topics themselves: the last event of those that keep it."""

    async def keep(self, tenant: str, topic: str, last: Kept) -> None:
        """Keep this event instead of the one before."""
        ...

    async def last(self, tenant: str, topic: str, since: int) -> Kept | None:
        """The event kept, if it was told at `since` (UTC milliseconds) or later."""
        ...

    async def forget(self, before: int) -> None:
        """Drop what was told before a time."""
        ...


# The revision of a connection that has answered nothing yet.
UNKNOWN = -1


class Reached(Struct, frozen=True):
    """How far a connection is known to have been told: it answered after that revision was written to it."""

    inbox: int
    device: bytes
    connection: str
    epoch: int
    revision: int


class Devices(Protocol):
    """How far each device was told its recipient's inbox, for clients that carry no position themselves."""

    async def arrive(self, reached: Reached, here: frozenset[str], now: int) -> Position | None:
        """Note a new connection. The position from which nothing is missed by any of the device's connections that are
        not `here` any more, one of which it continues (then it is noted there); None if none is known."""
        ...

    async def reach(self, reached: Sequence[Reached], now: int) -> None:
        """Note how far connections have come."""
        ...

    async def forget(self, before: int) -> None:
        """Drop what was noted before a time."""
        ...


class Job(Struct, frozen=True, kw_only=True):
    """Durable later work. `attempts` counts the leases so far."""

    id: str
    kind: str
    payload: bytes
    run_at: int
    created_at: int
    attempts: int = 0


class Jobs(Protocol):
    """Work that outlives the process: done at least once."""

    async def add(self, jobs: Sequence[Job]) -> None:
        """Keep them. One that is there already by its id is put off to the new time."""
        ...

    async def lease(self, now: int, until: int, limit: int) -> list[Job]:
        """At most `limit` due jobs, the longest due first; each is due again at `until` unless it is done by then."""
        ...

    async def done(self, ids: Sequence[str]) -> None:
        """Forget them."""
        ...

    async def again(self, id: str, run_at: int) -> None:
        """Try one again at a time."""
        ...


class Upkeep(Protocol):
    """What time does to the store, in bounded steps so that nobody waits."""

    async def next_expiry(self) -> int | None:
        """When the next notification or announcement expires, UTC milliseconds."""
        ...

    async def expire(self, now: int, limit: int) -> tuple[int, list[Event]]:
        """Take out at most `limit` due rows; how many, and the events."""
        ...

    async def retire(
        self, now: int, older_than: int, limit: int, *, tenant: str | None = None, but: Sequence[str] = ()
    ) -> tuple[int, list[Event]]:
        """Delete at most `limit` notifications made before `older_than`, leaving tombstones: of one tenant, or of all `but`
        some."""
        ...

    async def forget(self, *, tombstones_before: int, keys_before: int, limit: int) -> int:
        """Drop at most `limit` tombstones, and at most as many idempotency keys, written before the given UTC
        milliseconds; the larger of the two numbers. Positions before a dropped tombstone can no longer be resumed."""
        ...

    async def stats(self, tenant: str | None = None) -> dict[str, int]:
        """Rows of a tenant by kind; None: of every tenant, and how many those are."""
        ...


class Store(Protocol):
    """The truth. Raises Unavailable when it is away and DiskFull when it is full; then nothing was changed."""

    @property
    def inboxes(self) -> Inboxes: ...
    @property
    def sends(self) -> Sends: ...
    @property
    def recipients(self) -> Recipients: ...
    @property
    def keys(self) -> Keys: ...
    @property
    def topics(self) -> Topics: ...
    @property
    def devices(self) -> Devices: ...
    @property
    def jobs(self) -> Jobs: ...
    @property
    def upkeep(self) -> Upkeep: ...

    def weigh(self, weights: Mapping[str, float]) -> None:
        """From now on tenants that wait for each other have these shares; whoever is not named has 1."""
        ...

    async def open(self) -> None:
        """Connect and migrate under a lock."""
        ...

    async def ping(self) -> None:
        """Raise Unavailable unless it can be read and written."""
        ...

    async def close(self) -> None:
        """Finish what is under way, then let go."""
        ...


class Broker(Protocol):
    """Carries events to every process that follows their streams. At most once, the order of one process's events kept
    in each stream. Losing one is safe: readers resume from the store."""

    async def open(self) -> None:
        """Begin to connect. One that is away is no failure: it is tried again until `close`."""
        ...

    async def publish(self, *events: Event) -> None:
        """Tell this process before it returns, the others soon after. Never raises: what is lost is read from the store."""
        ...

    async def ping(self) -> None:
        """Raise Unavailable unless events can be carried."""
        ...

    def listen(
        self, listener: Callable[[Event], None], unsure: Callable[[Collection[Stream]], None] | None = None
    ) -> None:
        """Call `listener` with every event, from the loop's own thread. One listener a process: its hub.

        `unsure` is called with streams on which others' events may have been missed until now: just followed, or heard
        again after a break."""
        ...

    def follow(self, stream: Stream) -> None:
        """Somebody here follows a stream, which is when others' events on it are carried here. Counted."""
        ...

    def unfollow(self, stream: Stream) -> None:
        """One follower less."""
        ...

    async def close(self) -> None: ...


class Response(Struct, frozen=True):
    """What an outside server answered."""

    status: int
    headers: dict[str, str]
    body: bytes


class Http(Protocol):
    """Outbound HTTP. Raises Unavailable when the other side is away or slow; never follows redirects."""

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: dict[str, str],
        body: bytes = b"",
        timeout: float = 5.0,  # noqa: ASYNC109 - the transport keeps the time
    ) -> Response: ...

    async def close(self) -> None: ...


class Rates(Protocol):
    """How often something may happen."""

    def take(self, name: str, rate: float, now: int, number: int = 1) -> float:
        """Take so many at once: 0. Or nothing: how many seconds it is until there are enough. A rate of 0 is no bound."""
        ...

    def give_back(self, name: str, number: int) -> None:
        """So many that were taken were not needed."""
        ...


class Quotas(Protocol):
    """How much tenants may send."""

    def take(self, tenant: str, sends: int) -> None:
        """Count sends that are about to be made; TooMany if the tenant has used up what it may."""
        ...

    def give_back(self, tenant: str, sends: int) -> None:
        """Sends that were counted were not made after all."""
        ...


class Boundless:
    """Quotas of those who set none."""

    def take(self, tenant: str, sends: int) -> None:
        """Anybody may."""

    def give_back(self, tenant: str, sends: int) -> None:
        """Nothing was counted."""


class Engines(Struct, frozen=True):
    """What the rooms are given to work with."""

    store: Store
    broker: Broker
    clock: Clock
    new_id: Callable[[int], str]
    quotas: Quotas = Boundless()
    rates: Rates = field(default_factory=Buckets)
    pace: Pace = field(default_factory=Pace)
