"""Suppressions: addresses to which no messages are sent."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from bellcast.model.messages import ExternalChannel


class Suppression(Struct, frozen=True, kw_only=True):
    """An address that must not be used, and the reason: `bounce`, `complaint`, `stop`, or a text of the app. E-mail
    addresses are in lower case."""

    channel: ExternalChannel
    address: str
    reason: str
    created_at: int


class Suppressions(Protocol):
    """Addresses are compared without the case of e-mail addresses."""

    async def find(self, tenant: str, addresses: Sequence[tuple[str, str]]) -> frozenset[tuple[str, str]]:
        """Return the (channel, address) pairs that must not be used."""
        ...

    async def page(self, tenant: str, after: tuple[str, str], limit: int) -> list[Suppression]:
        """Return suppressions by channel and address, after the given pair."""
        ...

    async def page_of_all(self, after: tuple[str, str, str], limit: int) -> list[tuple[str, Suppression]]:
        """Suppressions of all tenants with their tenants, by tenant, channel and address, after these."""
        ...

    async def put(self, tenant: str, suppression: Suppression) -> tuple[Suppression, bool]:
        """Suppress an address, or change the reason. Return what is stored, and whether it is new."""
        ...

    async def add_reported(self, tenant: str, suppression: Suppression) -> None:
        """Suppress an address that a provider reports. It does not replace the app's own reason."""
        ...

    async def lift(self, tenant: str, channel: str, address: str) -> bool:
        """Delete a suppression that STOP or a bounce caused; return whether there was one."""
        ...

    async def delete(self, tenant: str, channel: str, address: str) -> bool:
        """Delete a suppression; return whether there was one."""
        ...
