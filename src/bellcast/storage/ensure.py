"""Recipients and tenants come to be on first use."""

import hashlib
import random
from collections.abc import Sequence

from bellcast.storage import tenants
from bellcast.storage.engine import Params, Script, Statement

EPOCH_BITS = 48  # No two lives of an inbox share an epoch, so a position of an earlier life is unknown.


def digest(tenant: str, key: str) -> str:
    """What is kept of an erased recipient, so that sessions of its earlier life stay refused."""
    return hashlib.sha256(f"{tenant}\x1f{key}".encode()).hexdigest()


def digests(tenant: str, key: str) -> Params:
    """The digests under which the end of a recipient's sessions may be kept: its own and its whole tenant's."""
    return {"digest": digest(tenant, key), "tenant_digest": tenant_digest(tenant)}


def tenant_digest(tenant: str) -> str:
    """What is kept of an erased tenant. No recipient has the empty key."""
    return digest(tenant, "")


def ensure_recipient(tenant: str, key: str, now: int) -> Script[tuple[int, bool]]:
    """The number of a recipient's inbox, and whether it was made now, with its tenant if need be."""
    seen = {"tenant": tenant, "key": key}
    found = yield Statement("recipient_number", seen)
    if found:
        return int(found[0][0]), False
    yield from ensure_recipients(tenant, [key], now)
    ((number,),) = yield Statement("recipient_number", seen)
    return int(number), True


def ensure_recipients(tenant: str, keys: Sequence[str], now: int) -> Script[None]:
    """Make the inboxes of recipients nobody heard of, with their tenant if need be."""
    yield Statement("recipient_first_seen", many=[_first_seen(tenant, key, now) for key in keys])
    yield from tenants.ensure_tenant(tenant, now)


def _first_seen(tenant: str, key: str, now: int) -> Params:
    epoch = random.getrandbits(EPOCH_BITS)
    return {"tenant": tenant, "key": key, "epoch": epoch, "now": now, **digests(tenant, key)}
