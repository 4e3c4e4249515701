"""What a caller does with recipients and subscriptions: one write each, whose events are published after its commit."""

from bellcast.engines import Engines
from bellcast.kernel import times
from bellcast.kernel.clock import Clock
from bellcast.kernel.errors import NotFound
from bellcast.kernel.events import inbox_stream
from bellcast.recipients.store import UNKNOWN, Recipients, StoredSubscriptions
from bellcast.recipients.types import Recipient, RecipientFields, Subscription, merge


async def put(
    engines: Engines,
    tenant: str,
    key: str,
    fields: RecipientFields,
    *,
    replace: bool,
    is_new: bool | None = None,
    since: int | None = None,
) -> tuple[Recipient, bool]:
    """Write a recipient; return whether it is new. Raises PreconditionFailed if it `is_new` and exists, NotFound if it is not and
    does not exist, and TenantErased for a tenant that was erased `since` the request began, by default now."""
    now = engines.clock.now() if since is None else since
    recipient, created, events = await Recipients(engines.db).put(
        tenant, key, fields, now, replace=replace, is_new=is_new
    )
    await engines.broker.publish(*events)
    return recipient, created


async def plan(engines: Engines, tenant: str, key: str, fields: RecipientFields, *, replace: bool) -> Recipient:
    """Return the recipient that `put` would write."""
    before = await Recipients(engines.db).get(tenant, key)
    if before is None:
        before = Recipient(key=key, tenant=tenant or None, created_at=times.to_rfc3339(engines.clock.now()))
    return merge(before, fields, replace=replace)


async def get(engines: Engines, tenant: str, key: str) -> Recipient:
    """Return a recipient. Raises NotFound if the tenant has none with this key."""
    recipient = await Recipients(engines.db).get(tenant, key)
    if recipient is None:
        raise NotFound(UNKNOWN)
    return recipient


async def delete(engines: Engines, token_clock: Clock, tenant: str, key: str) -> None:
    """Erase a recipient and its data, close its connections and revoke its sessions. If the process is killed after the commit,
    the reconcilers of other nodes close the connections, and only live events of the last milliseconds before it remain, until
    the history ends."""
    # This comes first: if the history cannot be reached, the erasure fails as a whole and can be repeated.
    await engines.history.clear(tenant, inbox_stream(tenant, key))
    # Also revokes sessions of the current millisecond, as `revoke` does.
    events = await Recipients(engines.db).delete(tenant, key, token_clock.now() + 1)
    if events is None:
        raise NotFound(UNKNOWN)
    await engines.broker.publish(*events)
    await engines.history.clear(tenant, inbox_stream(tenant, key))  # events that were published in the meantime


async def revoke(engines: Engines, token_clock: Clock, tenant: str, key: str) -> None:
    """Revoke all sessions of a recipient, which need not exist yet.

    Tokens have times in milliseconds. Those of the current millisecond are revoked too, and the call returns only after
    it has passed, so that tokens issued after the response are valid."""
    ends = token_clock.now() + 1
    await engines.broker.publish(*await Recipients(engines.db).revoke(tenant, key, ends))
    while token_clock.now() < ends:
        await token_clock.sleep(0.001)


async def subscribe(engines: Engines, tenant: str, topic: str, key: str) -> tuple[Subscription, bool]:
    """Subscribe a recipient to a topic; return whether the subscription is new."""
    return await StoredSubscriptions(engines.db).subscribe(tenant, topic, key, engines.clock.now())


async def plan_subscription(engines: Engines, tenant: str, topic: str, key: str) -> Subscription:
    """Return the subscription that `subscribe` would write."""
    known = await StoredSubscriptions(engines.db).get(tenant, topic, key)
    return known or Subscription(topic, key, times.to_rfc3339(engines.clock.now()))


async def unsubscribe(engines: Engines, tenant: str, topic: str, key: str) -> None:
    """Unsubscribe a recipient from a topic. Raises NotFound if it was not subscribed."""
    events = await StoredSubscriptions(engines.db).unsubscribe(tenant, topic, key, engines.clock.now())
    if events is None:
        raise NotFound("This recipient is not subscribed to this topic.")
    await engines.broker.publish(*events)
