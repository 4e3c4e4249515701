"""What a caller does with recipients: one write each, whose events are published after its commit."""

from bellcast.engines import Engines
from bellcast.kernel.clock import Clock, request_time
from bellcast.kernel.events import inbox_stream
from bellcast.recipients.store import Recipients
from bellcast.recipients.types import Recipient, RecipientFields


async def put(
    engines: Engines, tenant: str, key: str, fields: RecipientFields, *, replace: bool, is_new: bool | None = None
) -> tuple[Recipient, bool]:
    """Write a recipient; return whether it is new. Raises PreconditionFailed if it `is_new` and exists, NotFound if it is not and
    does not exist, and TenantErased for a tenant that was erased since the request began."""
    now = request_time(engines.clock)
    recipient, created, events = await Recipients(engines.db).put(
        tenant, key, fields, now, replace=replace, is_new=is_new
    )
    await engines.broker.publish(*events)
    return recipient, created


async def delete(engines: Engines, token_clock: Clock, tenant: str, key: str) -> bool:
    """Erase a recipient and its data, close its connections and revoke its sessions; return whether the tenant had it. If the
    process is killed after the commit, the reconcilers of other nodes close the connections, and only live events of the last
    milliseconds before it remain, until the history ends."""
    # This comes first: if the history cannot be reached, the erasure fails as a whole and can be repeated.
    await engines.history.clear(tenant, inbox_stream(tenant, key))
    # Also revokes sessions of the current millisecond, as `revoke` does.
    events = await Recipients(engines.db).delete(tenant, key, token_clock.now() + 1)
    if events is None:
        return False
    await engines.broker.publish(*events)
    await engines.history.clear(tenant, inbox_stream(tenant, key))  # events that were published in the meantime
    return True


async def revoke(engines: Engines, token_clock: Clock, tenant: str, key: str) -> None:
    """Revoke all sessions of a recipient, which need not exist yet.

    Tokens have times in milliseconds. Those of the current millisecond are revoked too, and the call returns only after
    it has passed, so that tokens issued after the response are valid."""
    ends = token_clock.now() + 1
    await engines.broker.publish(*await Recipients(engines.db).revoke(tenant, key, ends))
    while token_clock.now() < ends:
        await token_clock.sleep(0.001)
