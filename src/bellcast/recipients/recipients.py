"""Recipients, subscriptions and tenants through the server API."""

from collections.abc import Awaitable, Callable
from functools import partial

import msgspec

from bellcast.context import Context
from bellcast.kernel import times
from bellcast.kernel.clock import Clock
from bellcast.kernel.errors import NotFound, Unavailable
from bellcast.kernel.events import inbox_stream
from bellcast.kernel.jobs.store import Jobs
from bellcast.kernel.jobs.types import Job
from bellcast.live.types.events import PreferencesChanged
from bellcast.preferences.store import OwnPreferencesTable
from bellcast.preferences.types import Preferences
from bellcast.recipients.store.recipients import Recipients
from bellcast.recipients.store.subscriptions import StoredSubscriptions
from bellcast.recipients.types import Recipient, RecipientFields, RecipientOfLink, Subscription, merge
from bellcast.tenants.store import Tenants
from bellcast.tenants.types import Tenant
from bellcast.webhooks.types import WebhookEvent

# Recipients erased per step, so that other writers run in between.
ERASE_BATCH_RECIPIENTS = 100
ERASURE_JOB_KIND = "tenant_erasure"
# Time for which a request erases a tenant. A job continues after it, or after an interrupted request's `ERASE_RESUME_MS`.
ERASE_REQUEST_MS = 5_000
ERASE_RESUME_MS = 7_000


async def put(
    engines: Context, tenant: str, key: str, fields: RecipientFields, *, replace: bool
) -> tuple[Recipient, bool]:
    """Write a recipient; return whether it is new."""
    now = engines.clock.now()
    recipient, created, events = await Recipients(engines.db).put(tenant, key, fields, now, replace=replace)
    await engines.broker.publish(*events)
    return recipient, created


async def plan(engines: Context, tenant: str, key: str, fields: RecipientFields, *, replace: bool) -> Recipient:
    """Return the recipient that `put` would write."""
    before = await Recipients(engines.db).get(tenant, key)
    if before is None:
        before = Recipient(key=key, tenant=tenant or None, created_at=times.to_rfc3339(engines.clock.now()))
    return merge(before, fields, replace=replace)


async def get(engines: Context, tenant: str, key: str) -> Recipient:
    """Return a recipient. Raises NotFound if the tenant has none with this key."""
    recipient = await Recipients(engines.db).get(tenant, key)
    if recipient is None:
        raise NotFound("There is no recipient with this key.")
    return recipient


async def delete(engines: Context, token_clock: Clock, tenant: str, key: str) -> None:
    """Erase a recipient and its data, close its connections and revoke its sessions."""
    # This comes first: if the history cannot be reached, the erasure fails as a whole and can be repeated.
    await engines.history.clear(tenant, inbox_stream(tenant, key))
    # Also revokes sessions of the current millisecond, as `revoke` does.
    events = await Recipients(engines.db).delete(tenant, key, token_clock.now() + 1)
    if events is None:
        raise NotFound("There is no recipient with this key.")
    await engines.broker.publish(*events)
    await engines.history.clear(tenant, inbox_stream(tenant, key))  # events that were published in the meantime


async def delete_tenant(engines: Context, token_clock: Clock, key: str) -> Tenant | None:
    """Erase a tenant and its data, close its connections and revoke its sessions. Return the tenant if that takes longer than a
    request may: a job then continues."""
    now = engines.clock.now()
    name = f"{ERASURE_JOB_KIND}.{key}"
    job = Job(id=name, kind=ERASURE_JOB_KIND, payload=key.encode(), run_at=now + ERASE_RESUME_MS, created_at=now)
    tenant = await Tenants(engines.db).begin_erasure(key, now, job)
    if tenant is None:
        raise NotFound("There is no tenant with this key.")
    if await _erase(engines, token_clock, key, token_clock.now() + ERASE_REQUEST_MS):
        await Jobs(engines.db).cancel([name])
        return None
    await Jobs(engines.db).add([msgspec.structs.replace(job, run_at=now)])
    return tenant


async def continue_erasure(engines: Context, token_clock: Clock, job: Job) -> None:
    """Complete the erasure of a tenant, unless it is complete. A tenant with the same key may exist again."""
    key = job.payload.decode()
    tenant = await Tenants(engines.db).get(key)
    if tenant is not None and tenant.erasing_since is not None:
        await _erase(engines, token_clock, key, None)


async def _erase(engines: Context, token_clock: Clock, key: str, until: int | None) -> bool:
    """Erase a tenant in steps; return whether it was erased before `until`."""
    await engines.quotas.load()  # refuses sends
    await engines.history.clear(key, None)
    erased = ERASE_BATCH_RECIPIENTS
    while erased:
        if until is not None and token_clock.now() >= until:
            return False
        erased, events = await Tenants(engines.db).erase(key, token_clock.now() + 1, ERASE_BATCH_RECIPIENTS)
        await engines.broker.publish(*events)
    engines.router.forget()
    await engines.quotas.load()
    await engines.history.clear(key, None)  # events that were published in the meantime
    return True


# Attempts of a change, which merges into the stored preferences. Of concurrent changes, one succeeds in each round.
MAX_CHANGE_ROUNDS = 100


async def set_preferences(engines: Context, tenant: str, key: str, preferences: Preferences) -> int:
    """Replace a recipient's own preferences; the recipient need not exist yet. Return the time of the change (UTC
    milliseconds)."""
    write = OwnPreferencesTable(engines.db).put
    events = await _preferences_events(engines, tenant, key, preferences)
    document, switches, now = msgspec.json.encode(preferences), preferences.switches_inbox, engines.clock.now()
    await write(tenant, key, document, now, switches_inbox=switches, events=events)
    await _publish_preferences(engines, tenant, key, preferences)
    return now


async def change_preferences(
    engines: Context, tenant: str, key: str, change: Callable[[bytes | None], Preferences]
) -> tuple[Preferences, int]:
    """Replace a recipient's own preferences with the result of a function of them; the recipient need not exist yet.
    Return them, and the time of the change (UTC milliseconds)."""
    write = partial(OwnPreferencesTable(engines.db).put, tenant, key)
    return await _change_preferences(engines, tenant, key, change, write)


async def change_preferences_by_link(
    engines: Context, link: RecipientOfLink, change: Callable[[bytes | None], Preferences]
) -> tuple[Preferences, int]:
    """Replace the preferences of a link's recipient with the result of a function of them. Return them, and the time of
    the change (UTC milliseconds). Raises NotFound if the recipient does not exist, or was erased after the link was
    issued."""
    write = partial(OwnPreferencesTable(engines.db).put_by_link, link)
    return await _change_preferences(engines, link.tenant, link.recipient, change, write)


async def _change_preferences(
    engines: Context,
    tenant: str,
    key: str,
    change: Callable[[bytes | None], Preferences],
    write: Callable[..., Awaitable[bool | None]],
) -> tuple[Preferences, int]:
    for _ in range(MAX_CHANGE_ROUNDS):
        stored = await OwnPreferencesTable(engines.db).get(tenant, key)
        before = None if stored is None else stored.document
        preferences = change(before)
        events = await _preferences_events(engines, tenant, key, preferences)
        document, switches = msgspec.json.encode(preferences), preferences.switches_inbox
        now = engines.clock.now()
        is_written = await write(document, now, switches_inbox=switches, events=events, before=before or b"")
        if is_written is None:
            raise NotFound("This link is no longer valid.")
        if is_written:
            await _publish_preferences(engines, tenant, key, preferences)
            return preferences, now
    raise Unavailable("The preferences are being changed by too many requests.")


async def _publish_preferences(engines: Context, tenant: str, key: str, preferences: Preferences) -> None:
    engines.router.forget()
    engines.router.messages_added()
    await engines.broker.publish(PreferencesChanged(tenant, key, preferences))


async def _preferences_events(
    engines: Context, tenant: str, key: str, preferences: Preferences
) -> tuple[WebhookEvent, ...]:
    """Return the webhook events for new preferences."""
    change = {"recipient": key, "preferences": msgspec.to_builtins(preferences)}
    return await engines.webhooks.events(tenant, "preferences.changed", [change])


async def revoke(engines: Context, token_clock: Clock, tenant: str, key: str) -> None:
    """Revoke all sessions of a recipient, which need not exist yet.

    Tokens have times in milliseconds. Those of the current millisecond are revoked too, and the call returns only after
    it has passed, so that tokens issued after the response are valid."""
    ends = token_clock.now() + 1
    await engines.broker.publish(*await Recipients(engines.db).revoke(tenant, key, ends))
    while token_clock.now() < ends:
        await token_clock.sleep(0.001)


async def subscribe(engines: Context, tenant: str, topic: str, key: str) -> tuple[Subscription, bool]:
    """Subscribe a recipient to a topic; return whether the subscription is new."""
    return await StoredSubscriptions(engines.db).subscribe(tenant, topic, key, engines.clock.now())


async def plan_subscription(engines: Context, tenant: str, topic: str, key: str) -> Subscription:
    """Return the subscription that `subscribe` would write."""
    known = await StoredSubscriptions(engines.db).get(tenant, topic, key)
    return known or Subscription(topic, key, times.to_rfc3339(engines.clock.now()))


async def unsubscribe(engines: Context, tenant: str, topic: str, key: str) -> None:
    """Unsubscribe a recipient from a topic. Raises NotFound if it was not subscribed."""
    events = await StoredSubscriptions(engines.db).unsubscribe(tenant, topic, key, engines.clock.now())
    if events is None:
        raise NotFound("This recipient is not subscribed to this topic.")
    await engines.broker.publish(*events)
