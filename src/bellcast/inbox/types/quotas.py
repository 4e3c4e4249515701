"""Rate limits and send quotas."""

from typing import Protocol


class Rates(Protocol):
    """Rate limits by name."""

    def take(self, name: str, rate: float, now: int, number: int = 1) -> float:
        """Take `number` units at `rate` per second and return 0, or take none and return the seconds until they are
        available. A rate of 0 means no limit."""
        ...

    def give_back(self, name: str, number: int) -> None:
        """Return unused units."""
        ...


class Quotas(Protocol):
    """Send quotas of tenants."""

    def take(self, tenant: str, sends: int) -> None:
        """Charge sends to a tenant. Raises TooMany if its quota is exhausted, Conflict if it is being erased."""
        ...

    def give_back(self, tenant: str, sends: int) -> None:
        """Refund sends that failed."""
        ...

    async def load(self) -> None:
        """Read the tenants' rules, as all nodes do after some seconds."""
        ...


class Unlimited:
    """Quotas without limits."""

    def take(self, tenant: str, sends: int) -> None:
        """Allow all sends."""

    def give_back(self, tenant: str, sends: int) -> None:
        """Do nothing."""

    async def load(self) -> None:
        """Do nothing."""
