"""Claims ensure that a recipient gets a notification only once. A claim is stored in the transaction that adds the
notification."""

from collections.abc import Sequence

from bellcast.inbox.types.sends import Claim, ClaimTaken
from bellcast.kernel.db import columns
from bellcast.kernel.db.script import Script, Statement


def add(tenant: str, claim: Claim | None, recipients: Sequence[str]) -> Script[None]:
    """Claim the recipients. Raises ClaimTaken if another request has claimed one of them."""
    if claim is None:
        return
    wanted = set(recipients)
    params = {"tenant": tenant, "claim": claim.name, "recipients": columns.to_json(sorted(wanted))}
    claimed = yield Statement("claims_add", {**params, "expires_at": claim.expires_at})
    if len(claimed) != len(wanted):
        raise ClaimTaken
