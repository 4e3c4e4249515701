"""Recipients and tenants come to be on first use."""

import random

from bellcast.storage import tenants
from bellcast.storage.engine import Script, Statement

EPOCH_BITS = 48  # No two lives of an inbox share an epoch, so a position of an earlier life is unknown.


def arrive(tenant: str, key: str, now: int) -> Script[bool]:
    """Make the recipient, and its tenant, if they are new; whether the recipient was."""
    epoch = random.getrandbits(EPOCH_BITS)
    params = {"tenant": tenant, "key": key, "epoch": epoch, "now": now}
    made = yield Statement("recipient_first_seen", params)
    if made:
        yield from tenants.arrive(tenant, now)
    return bool(made)


def inbox_of(tenant: str, key: str, now: int) -> Script[int]:
    """The number of a recipient's inbox, made if it is new."""
    yield from arrive(tenant, key, now)
    ((number,),) = yield Statement("recipient_number", {"tenant": tenant, "key": key})
    return int(number)
