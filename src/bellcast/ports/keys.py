"""API keys."""

from typing import Protocol

from bellcast.model.identities import ApiKey


class Keys(Protocol):
    """API keys: only digests of their secrets are kept."""

    async def create(self, key: ApiKey, digest: bytes) -> None: ...

    async def find(self, id: str) -> tuple[ApiKey, bytes] | None:
        """The key and its digest, revoked ones too."""
        ...

    async def all(self) -> list[ApiKey]: ...

    async def revoke(self, id: str, now: int) -> bool:
        """Whether there was one to revoke."""
        ...
