"""Figures: what was measured, what there was to reach, and what the peers did in the same run."""

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

Verdict = Literal["reached", "missed", "not judged"]
Detail = float | int | str


class Goal(msgspec.Struct, frozen=True, kw_only=True):
    """The bound a figure must keep, and where the bound comes from when it is not a fixed number."""

    bound: float
    at_most: bool
    source: str | None = None

    def keeps(self, value: float) -> bool:
        return value <= self.bound if self.at_most else value >= self.bound


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One measured number. `peers` holds the same number for each peer of the same run."""

    benchmark: str
    name: str
    value: float
    unit: str
    goal: Goal | None = None
    peers: Mapping[str, float] = {}
    details: Mapping[str, Detail] = {}

    @property
    def verdict(self) -> Verdict:
        if self.goal is None:
            return "not judged"
        return "reached" if self.goal.keeps(self.value) else "missed"

    @property
    def ratios(self) -> dict[str, float]:
        """How many times the peer's number ours is."""
        return {name: self.value / number for name, number in self.peers.items() if number}


class MissingFigure(msgspec.Struct, frozen=True):
    """Something that could not be measured here, and why. Its number is never guessed."""

    benchmark: str
    name: str
    reason: str


def at_most(bound: float, source: str | None = None) -> Goal:
    return Goal(bound=bound, at_most=True, source=source)


def at_most_times(ratio: float, peers: Mapping[str, float], name: str) -> Goal | None:
    """So many times what a peer needed; no goal where it is absent."""
    return at_most(ratio * peers[name], f"{ratio:g} × {name}") if name in peers else None


def at_least(bound: float) -> Goal:
    return Goal(bound=bound, at_most=False)


def median(numbers: Sequence[float]) -> float:
    return percentile(numbers, 0.5)


def percentile(numbers: Sequence[float], share: float) -> float:
    """The smallest number that at least `share` of all numbers do not exceed (nearest rank)."""
    ordered = sorted(numbers)
    rank = max(1, -(-len(ordered) * round(share * 10_000) // 10_000))
    return ordered[rank - 1]
