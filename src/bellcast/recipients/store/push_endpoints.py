"""Push endpoints of recipients."""

from collections import defaultdict
from collections.abc import Sequence

import msgspec

from bellcast.kernel.db import columns
from bellcast.kernel.db.script import Script, Statement
from bellcast.kernel.db.table import StoreTable, on_table, read, write, write_to_recipient
from bellcast.recipients.store import ensure
from bellcast.recipients.types import PushEndpoint

_endpoint = columns.reader(PushEndpoint)


def _page(tenant: str, recipient: str) -> Script[list[PushEndpoint]]:
    """Return a recipient's endpoints, newest first."""
    found = yield Statement("push_endpoints_of", {"tenant": tenant, "key": recipient})
    return list(map(_endpoint, found))


class PushEndpoints(StoreTable):
    """Push endpoints. An address exists only once across all tenants."""

    @write_to_recipient
    def put(self, tenant: str, recipient: str, endpoint: PushEndpoint, limit: int) -> Script[tuple[str, bool]]:
        """Register an endpoint; creates the recipient. A known address keeps its id and moves to this recipient. Beyond
        `limit` endpoints, the recipient's oldest are deleted. Return the id, and whether the address is new."""
        inbox, _ = yield from ensure.ensure_recipient(tenant, recipient, endpoint.registered_at)
        params = {**msgspec.structs.asdict(endpoint), "public_key": endpoint.p256dh, "tenant": tenant, "inbox": inbox}
        is_new = not (yield Statement("push_endpoint_find", params))
        ((id,),) = yield Statement("push_endpoint_write", params)
        name = {"tenant": tenant, "key": recipient}
        for one in (yield from _page(tenant, recipient))[limit:]:
            yield Statement("push_endpoint_delete", {**name, "id": one.id})
        return id, is_new

    page = read(on_table(_page))

    @read
    def addresses(self, tenant: str, recipients: Sequence[str]) -> Script[dict[str, tuple[str, ...]]]:
        """Return the addresses by recipient, newest first; recipients without any are absent."""
        found: defaultdict[str, list[str]] = defaultdict(list)
        for key, address in (
            yield Statement("push_addresses", {"tenant": tenant, "keys": columns.to_json(recipients)})
        ):
            found[key].append(address)
        return {key: tuple(addresses) for key, addresses in found.items()}

    @write_to_recipient
    def delete(self, tenant: str, recipient: str, id: str) -> Script[bool]:
        """Delete an endpoint of a recipient; return whether there was one."""
        return bool((yield Statement("push_endpoint_delete", {"tenant": tenant, "key": recipient, "id": id})))

    @write()
    def delete_gone(self, tenant: str, address: str) -> Script[None]:
        """Delete an endpoint that no longer exists at its service."""
        yield Statement("push_endpoint_delete_gone", {"tenant": tenant, "address": address})
