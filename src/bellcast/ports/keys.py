"""API keys."""

from typing import Protocol

from bellcast.model.identities import ApiKey


class Keys(Protocol):
    """API keys. Only digests of their secrets are stored."""

    async def create(self, key: ApiKey, digest: bytes) -> None: ...

    async def find(self, id: str) -> tuple[ApiKey, bytes] | None:
        """Return the key, even if it is revoked, and its digest."""
        ...

    async def all(self) -> list[ApiKey]: ...

    async def record_use(self, id: str, now: int) -> None:
        """Set the time of the last use of a key."""
        ...

    async def revoke(self, id: str, now: int) -> bool:
        """Revoke a key; return whether it existed."""
        ...
