"""Figures: measured values with their goals and the peers' values of the same run."""

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

Verdict = Literal["reached", "missed", "not judged"]
Detail = float | int | str


class Goal(msgspec.Struct, frozen=True, kw_only=True):
    """The bound of a figure. `source` names the origin of a bound that is not fixed."""

    bound: float
    at_most: bool
    source: str | None = None

    def is_met_by(self, value: float) -> bool:
        return value <= self.bound if self.at_most else value >= self.bound


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One measured value. `peers` holds the peers' values of the same run."""

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
        return "reached" if self.goal.is_met_by(self.value) else "missed"

    @property
    def ratios(self) -> dict[str, float]:
        """Bellcast's value divided by each peer's."""
        return {name: self.value / number for name, number in self.peers.items() if number}


class MissingFigure(msgspec.Struct, frozen=True):
    """A figure that could not be measured on this machine, and the reason."""

    benchmark: str
    name: str
    reason: str


def at_most(bound: float, source: str | None = None) -> Goal:
    return Goal(bound=bound, at_most=True, source=source)


def at_most_times(ratio: float, peers: Mapping[str, float], name: str) -> Goal | None:
    """Return a goal relative to a peer's value; None if the peer was not measured."""
    return at_most(ratio * peers[name], f"{ratio:g} × {name}") if name in peers else None


def at_least(bound: float) -> Goal:
    return Goal(bound=bound, at_most=False)


def median(numbers: Sequence[float]) -> float:
    return percentile(numbers, 0.5)


def percentile(numbers: Sequence[float], share: float) -> float:
    """Return the smallest number that at least `share` of all numbers do not exceed (nearest rank)."""
    ordered = sorted(numbers)
    rank = max(1, -(-len(ordered) * round(share * 10_000) // 10_000))
    return ordered[rank - 1]
