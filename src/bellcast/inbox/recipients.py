"""Recipients, topics and tenants: who there is, who follows what, and who is let go."""

from bellcast.errors import NotFound
from bellcast.model.identities import Recipient, RecipientFields, Subscription
from bellcast.ports import Context

# Recipients a step: others wait no longer than for a few of them.
ERASE_BATCH_RECIPIENTS = 100


async def put(
    engines: Context, tenant: str, key: str, fields: RecipientFields, *, replace: bool
) -> tuple[Recipient, bool]:
    """Write a recipient; whether it is new."""
    now = engines.clock.now()
    recipient, created, events = await engines.store.recipients.put(tenant, key, fields, now, replace=replace)
    await engines.broker.publish(*events)
    return recipient, created


async def get(engines: Context, tenant: str, key: str) -> Recipient:
    """The recipient; NotFound if that tenant has none of that key."""
    recipient = await engines.store.recipients.get(tenant, key)
    if recipient is None:
        raise NotFound("There is no recipient with this key.")
    return recipient


async def delete(engines: Context, tenant: str, key: str) -> None:
    """Erase a recipient and everything kept of it; its live connections close, its sessions end."""
    # The millisecond under way counts as before, as in `revoke`; nobody makes a token for whom it has just erased.
    events = await engines.store.recipients.delete(tenant, key, engines.clock.now() + 1)
    if events is None:
        raise NotFound("There is no recipient with this key.")
    await engines.broker.publish(*events)


async def delete_tenant(engines: Context, key: str) -> None:
    """Erase a tenant and everything kept under it, as of now; its live connections close, its sessions end."""
    if await engines.store.recipients.tenant(key) is None:
        raise NotFound("There is no tenant with this key.")
    erased = ERASE_BATCH_RECIPIENTS
    while erased:
        erased, events = await engines.store.recipients.erase_tenant(
            key, engines.clock.now() + 1, ERASE_BATCH_RECIPIENTS
        )
        await engines.broker.publish(*events)


async def revoke(engines: Context, tenant: str, key: str) -> None:
    """End every session of a recipient, known or not yet.

    Tokens tell their time to the millisecond. The one under way counts as before, and the answer waits until it has
    passed, so that older tokens are refused and those made after the answer are not."""
    ends = engines.clock.now() + 1
    await engines.broker.publish(*await engines.store.recipients.revoke(tenant, key, ends))
    while engines.clock.now() < ends:
        await engines.clock.sleep(0.001)


async def subscribe(engines: Context, tenant: str, topic: str, key: str) -> tuple[Subscription, bool]:
    """Put a recipient on a topic; whether it is new."""
    return await engines.store.recipients.subscribe(tenant, topic, key, engines.clock.now())


async def unsubscribe(engines: Context, tenant: str, topic: str, key: str) -> None:
    """Take a recipient off a topic; NotFound if it was not on it."""
    events = await engines.store.recipients.unsubscribe(tenant, topic, key, engines.clock.now())
    if events is None:
        raise NotFound("This recipient is not subscribed to this topic.")
    await engines.broker.publish(*events)
