"""Recipients and tenants come to be on first use."""

import hashlib
import random

from bellcast.storage import tenants
from bellcast.storage.engine import Script, Statement

EPOCH_BITS = 48  # No two lives of an inbox share an epoch, so a position of an earlier life is unknown.


def digest(tenant: str, key: str) -> str:
    """What is kept of an erased recipient, so that sessions of its earlier life stay refused."""
    return hashlib.sha256(f"{tenant}\x1f{key}".encode()).hexdigest()


def arrive(tenant: str, key: str, now: int) -> Script[tuple[int, bool]]:
    """The number of a recipient's inbox, and whether it was made now, with its tenant if need be."""
    epoch = random.getrandbits(EPOCH_BITS)
    seen = {"tenant": tenant, "key": key, "epoch": epoch, "now": now, "digest": digest(tenant, key)}
    made = yield Statement("recipient_first_seen", seen)
    if made:
        yield from tenants.arrive(tenant, now)
    ((number,),) = made or (yield Statement("recipient_number", {"tenant": tenant, "key": key}))
    return int(number), bool(made)
