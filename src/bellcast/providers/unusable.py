"""In place of a stored provider whose URL this node cannot use, such as one that was encrypted with another key."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from bellcast.channels.types import ExternalChannel
from bellcast.kernel.outbound.port import DeliveryError
from bellcast.providers.types import AcceptedMessage, AddressKind, OutgoingMessage

# The kinds of addresses that configured providers of a channel serve: the vendor is part of the URL.
KINDS: Mapping[ExternalChannel, Sequence[AddressKind]] = {
    "email": ("email",),
    "sms": ("sms",),
    "push": ("fcm", "apns"),
    "chat": ("telegram",),
}


class UnusableProvider(Struct, frozen=True):
    """ports.Provider whose messages fail temporarily: another provider, another node or a later attempt sends them."""

    channel: ExternalChannel
    kind: AddressKind
    problem: str
    server: None = None

    async def send(self, message: OutgoingMessage) -> AcceptedMessage:
        """Refuse the message."""
        raise DeliveryError(f"the provider's URL {self.problem}", is_temporary=True)

    async def check(self) -> None:
        """Do nothing: there are no credentials."""

    async def close(self) -> None:
        """Do nothing: there are no connections."""
