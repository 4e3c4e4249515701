"""Create recipients and tenants on first use."""

import hashlib
import random
from collections.abc import Sequence

from bellcast.kernel.db.script import Params, Script, Statement
from bellcast.kernel.errors import tenant_is_erased

EPOCH_BITS = 48  # A recreated inbox gets another epoch, so positions of the earlier inbox are unknown.


def digest(tenant: str, key: str) -> str:
    """Return the digest that is stored for an erased recipient, so that its earlier sessions stay refused."""
    return hashlib.sha256(f"{tenant}\x1f{key}".encode()).hexdigest()


def digests(tenant: str, key: str) -> Params:
    """Return the digests under which a recipient's sessions may be revoked: its own and its tenant's."""
    return {"digest": digest(tenant, key), "tenant_digest": tenant_digest(tenant)}


def tenant_digest(tenant: str) -> str:
    """Return the digest stored for an erased tenant. No recipient has an empty key."""
    return digest(tenant, "")


def ensure_recipient(tenant: str, key: str, now: int) -> Script[tuple[int, bool]]:
    """Return the number of a recipient's inbox and whether it is new; create it, and its tenant, if missing."""
    params = {"tenant": tenant, "key": key}
    found = yield Statement("recipient_number", params)
    if found:
        return int(found[0][0]), False
    yield from ensure_recipients(tenant, [key], now)
    ((number, _),) = yield Statement("recipient_number", params)
    return int(number), True


def ensure_recipients(tenant: str, keys: Sequence[str], now: int) -> Script[None]:
    """Create missing inboxes, and the tenant."""
    first_seen: list[Params] = [
        {"tenant": tenant, "key": key, "epoch": random.getrandbits(EPOCH_BITS), "now": now, **digests(tenant, key)}
        for key in keys
    ]
    yield Statement("recipient_first_seen", many=first_seen)
    yield from ensure_tenant(tenant, now)


def ensure_tenant(key: str, now: int) -> Script[None]:
    """Create the tenant if it is missing. Raises Conflict if it is being erased: an erasure would not end while recipients are
    added."""
    yield Statement("tenant_first_seen", {"tenant": key, "now": now})
    if (yield Statement("tenant_erasing", {"tenant": key})):
        raise tenant_is_erased()


def erased_before(tenant: str, key: str) -> Script[int]:
    """Return the time before which sessions are refused, since a recipient or its tenant was erased; 0: none."""
    ((before,),) = yield Statement("erased_before", digests(tenant, key))
    return int(before)
