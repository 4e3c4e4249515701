"""The kind of a message's address, which decides which providers can deliver to it."""

import msgspec
from msgspec import Struct

from bellcast.channels.addresses import chat_vendor
from bellcast.channels.push import PushTarget
from bellcast.channels.types import StoredMessage
from bellcast.kernel.db.engine import Engine
from bellcast.providers.types import AddressKind
from bellcast.recipients.store.push_endpoints import PushEndpoints


class Target(Struct, frozen=True):
    """The kind of an address, and its form for the provider."""

    kind: AddressKind
    to: str


async def find(db: Engine, message: StoredMessage) -> Target | None:
    """Return the target of a message; None if its push endpoint was deleted or moved to another recipient."""
    if message.channel == "email" or message.channel == "sms":
        return Target(message.channel, message.address)
    if message.channel == "chat":
        return Target("telegram" if chat_vendor(message.address) is None else "webhook", message.address)
    for endpoint in await PushEndpoints(db).page(message.tenant, message.recipient):
        if endpoint.address != message.address:
            continue
        if endpoint.kind != "web":
            return Target(endpoint.kind, endpoint.address)
        keys = PushTarget(endpoint.address, endpoint.p256dh or "", endpoint.auth or "")
        return Target("web", msgspec.json.encode(keys).decode())
    return None
