"""How often, and how much."""

from typing import Protocol


class Rates(Protocol):
    """How often something may happen."""

    def take(self, name: str, rate: float, now: int, number: int = 1) -> float:
        """Take so many at once: 0. Or nothing: how many seconds it is until there are enough. A rate of 0 is no bound."""
        ...

    def give_back(self, name: str, number: int) -> None:
        """So many that were taken were not needed."""
        ...


class Quotas(Protocol):
    """How much tenants may send."""

    def take(self, tenant: str, sends: int) -> None:
        """Count sends that are about to be made; TooMany if the tenant has used up what it may."""
        ...

    def give_back(self, tenant: str, sends: int) -> None:
        """Sends that were counted were not made after all."""
        ...


class Unlimited:
    """Quotas of those who set none."""

    def take(self, tenant: str, sends: int) -> None:
        """Anybody may."""

    def give_back(self, tenant: str, sends: int) -> None:
        """Nothing was counted."""
